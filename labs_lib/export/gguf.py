"""A merged model as one GGUF file, as llama.cpp and the programs around it read it."""

from __future__ import annotations

from pathlib import Path

GGUF_TYPES = ("f32", "f16", "q8_0")
"""How the matrices are stored: 32, 16 and 8.5 bits a weight."""


def export_gguf(run_folder: str | Path, out: str | Path, type: str = "f16") -> Path:
    """Merge a run's adapter into its base and write both as one GGUF file; returns the file.

    `out` is a new folder; the file in it is named after run and type, "orders-f16.gguf". It holds
    the weights, the tokenizer and the chat template. `type` is one of `GGUF_TYPES`; vectors stay in
    f32. Raises `LabError` as `export_merged` does, for another architecture than Llama, and for a
    tokenizer whose way of splitting text llama.cpp has no name for here.
    """
    raise NotImplementedError

"""A run's weights for other programs: the adapter alone, or one ordinary model."""

from __future__ import annotations

from pathlib import Path


def export_adapter(run_folder: str | Path, out: str | Path) -> Path:
    """Write a run's adapter to the new folder `out`, its base under the hub's name; returns `out`.

    The folder holds adapter_model.safetensors, adapter_config.json and the run's model card where
    it has one: what `PeftModel.from_pretrained` loads. Raises `LabError` for a folder without a
    finished run, a run that trained all parameters, and an `out` that exists.
    """
    raise NotImplementedError


def export_merged(run_folder: str | Path, out: str | Path, dtype: str = "bf16") -> Path:
    """Write base + scaling·B·A as one ordinary model to the new folder `out`; returns `out`.

    The sum is taken in fp32 and rounded once, to `dtype`: bf16, fp16 or fp32. The base of a QLoRA
    run is the one that was never quantized, since merging into 4 bits would round the update away
    (lesson 06 compares the ways). A model that was trained whole is written as it is. The folder is
    what `AutoModelForCausalLM.from_pretrained` loads, tokenizer included. Raises `LabError` as
    `export_adapter` does, and as `merge` does for an adapter that cannot be merged.
    """
    raise NotImplementedError

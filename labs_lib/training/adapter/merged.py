"""An adapter worked into its base for good: one ordinary model on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError, last_line
from labs_lib.training.adapter.config import PROMPTS, read_config
from labs_lib.training.adapter.loading import load_with_adapter
from labs_lib.training.adapter.norms import keep_precision
from labs_lib.training.adapter.tying import is_tied, settle_tying, untie

if TYPE_CHECKING:
    import torch

_PROBE_TOKENS = 16
# Of a logit's standard deviation, root mean square: what rounding alone does stays far below.
_TOLERANCE = {"float32": 0.02, "bfloat16": 0.15, "float16": 0.1}


def merge(adapter: str | Path, out: str | Path, model: str | None = None) -> Path:
    """Write base + scaling·B·A as one ordinary model to the folder `out`; returns it.

    The merge is done in the base's 16 or 32 bits; see lesson 06 for what a 4-bit base would lose.
    Where the adapter changes one of two tied matrices, the model is written with both. Raises
    `LabError` for an adapter that cannot be merged, for a base in 4 bits, and where the merged
    model does not give the logits of base and adapter; `out` is then as it was.
    """
    from labs_lib.files import folder_written_aside

    folder = new_folder(Path(out))
    _check_can_merge(adapter)
    with folder_written_aside(folder) as aside:
        wrapped, tokenizer = load_with_adapter(adapter, model)
        merged = merged_from(wrapped)
        from labs_lib.training.failures import storage_errors  # brings PyTorch

        with storage_errors(folder):
            merged.save_pretrained(aside)
            tokenizer.save_pretrained(aside)
    return folder


def new_folder(out: Path) -> Path:
    """Return the folder that `out` leads to; `LabError` where something is there already."""
    if "\0" in str(out):
        raise LabError(f"--out: {str(out)!r} is no path")
    try:
        # A link is followed to its end, so that the model lies where the link points.
        folder = out.resolve() if out.is_symlink() else out
        taken = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    except (OSError, RuntimeError, ValueError) as error:  # links in a ring, or no path at all
        raise LabError(f"--out: {out} is no place for a folder: {last_line(error)}") from None
    if taken or folder.is_symlink():
        raise LabError(f"--out: {out} exists already; give a new folder")
    return folder


def _check_can_merge(adapter: str | Path) -> None:
    kind = read_config(adapter)["peft_type"]
    if kind in (*PROMPTS, "ADAPTION_PROMPT"):
        raise LabError(
            f"merge: {kind} puts trained embeddings in front of what the model reads and "
            f"changes no weight, so there is nothing to merge; `labs generate --adapter` uses it "
            f"as it is"
        )


def merged_from(wrapped: Any) -> Any:
    """Return the model without adapter layers, and giving the same logits.

    Raises `LabError` for a base in 4 bits, an adapter that PEFT cannot merge, and where the logits
    of the two differ by more than rounding does.
    """
    base = wrapped.get_base_model()
    if getattr(base.config, "quantization_config", None) is not None:
        raise LabError(
            "merge: the base is stored quantized, and merging would round the update away; name "
            "the base that was never quantized with --model (lesson 06 compares the ways)"
        )
    expected = _probe(wrapped)
    was_tied = is_tied(base)
    untie(wrapped)
    norms = keep_precision(wrapped)
    try:
        merged = wrapped.merge_and_unload()
    except Exception as error:  # a stranger's adapter in a library's hands
        raise LabError(f"merge: PEFT cannot merge this adapter: {last_line(error)}") from error
    settle_tying(merged, was_tied)
    for name in norms:  # as the other weights, or an answer would meet two precisions
        merged.get_submodule(name).to(merged.dtype)
    off = ((_probe(merged) - expected).square().mean().sqrt() / expected.std()).item()
    if not off <= _TOLERANCE.get(str(merged.dtype).removeprefix("torch."), 0.15):
        raise LabError(
            f"merge: the merged model's logits are off by {off:.0%} of their spread from those of "
            f"base and adapter; nothing was written"
        )
    return merged


def _probe(model: Any) -> torch.Tensor:
    """Return the logits on some tokens, in fp32 on the CPU."""
    import torch

    from labs_lib.models.windows import vocabulary_of, window_of

    length = int(min(_PROBE_TOKENS, window_of(model)))
    # Spread over the vocabulary, the last token too.
    ids = torch.linspace(0, vocabulary_of(model) - 1, length, device=model.device).round().long()
    with torch.inference_mode():
        return model(input_ids=ids[None]).logits.float().cpu()

"""What a run trained, on disk: the adapter or the whole model, and how large it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labs_lib.files import folder_written_aside
from labs_lib.training.failures import storage_errors


def save(model: Any, folder: Path, base_name: str, tokenizer: Any = None) -> None:
    """Save an adapter (or a whole model) as safetensors; other files in `folder` stay there."""
    with storage_errors(folder):
        save_listing(model, folder, base_name, tokenizer)


def save_listing(
    model: Any,
    folder: Path,
    base_name: str,
    tokenizer: Any,
    weights: Any = None,
    began_as: Path | None = None,
) -> list[str]:
    """Save beside `folder` first, then put the files in it; returns their names.

    `weights` are the tensors by name, where the model itself holds a part of them only. `began_as`
    is the folder of the adapter as it began, where that took a part out of the base's weights: PEFT
    then writes the difference, a LoRA adapter of twice the rank.
    """
    from peft import PeftModel

    given = {} if weights is None else {"state_dict": weights}
    with folder_written_aside(folder, others_stay=True) as aside:
        if isinstance(model, PeftModel):
            name_the_base(model, base_name)
            # "auto" would ask a hub whether the vocabulary grew.
            began: dict[str, Any] = {}
            if began_as is not None:
                began["path_initial_model_for_weight_conversion"] = str(began_as)
            model.save_pretrained(str(aside), save_embedding_layers=False, **given, **began)
            (aside / "README.md").unlink(missing_ok=True)
        else:
            model.save_pretrained(aside, **given)
            if tokenizer is not None:
                tokenizer.save_pretrained(aside)
        return [str(path.relative_to(aside)) for path in aside.rglob("*") if path.is_file()]


def adapter_shapes(model: Any) -> dict[str, tuple[int, ...]] | None:
    """Return name → shape of the tensors that a checkpoint of the adapter holds; None without."""
    from peft import PeftModel, get_peft_model_state_dict

    if not isinstance(model, PeftModel):
        return None
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def count_parameters(model: Any) -> tuple[int, int]:
    """Return (trainable, total) parameters; packed 4-bit weights count as what they stand for."""
    if hasattr(model, "get_nb_trainable_parameters"):
        return model.get_nb_trainable_parameters()
    return (
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        model.num_parameters(),
    )


def name_the_base(model: Any, base_name: str) -> None:
    """Record the base by its name, so that no adapter carries a path of this machine."""
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = base_name

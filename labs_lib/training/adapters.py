"""Adapters on disk: put one on its base model, check that it belongs there, merge it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"


def base_of(folder: str | Path) -> str:
    """Return the name of the base model that the adapter in `folder` was trained on."""
    return str(read_config(folder).get("base_model_name_or_path"))


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read an adapter's configuration; `LabError` where `folder` holds no whole adapter."""
    folder = Path(folder)
    if not folder.is_dir():
        raise LabError(f"adapter: no folder {folder}; `labs train` writes one named adapter/")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            inner = folder / "adapter"
            hint = f"; did you mean {inner}?" if (inner / name).is_file() else ""
            raise LabError(f"adapter: {folder} holds no {name}{hint}")
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise LabError(f"adapter: {folder / CONFIG_FILE} is not JSON: {error}") from None
    if not isinstance(config, dict) or "peft_type" not in config:
        raise LabError(f"adapter: {folder / CONFIG_FILE} names no peft_type; it is no PEFT adapter")
    return config


def weight_shapes(folder: str | Path) -> dict[str, tuple[int, ...]]:
    """Return name → shape of the adapter's tensors, read from the file's header alone.

    Raises `LabError` for a file that is cut short or no safetensors at all.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / WEIGHTS_FILE
    try:
        with safe_open(path, framework="np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LabError(
            f"adapter: {path} is damaged or cut short ({error}); train it again or copy it anew"
        ) from None


def check_fits(model: Any, folder: str | Path) -> None:
    """Raise `LabError` unless every LoRA matrix in `folder` has its place in `model`."""
    made_for = read_config(folder).get("base_model_name_or_path")
    modules = dict(model.named_modules())
    for name, shape in weight_shapes(folder).items():
        path, _, factor = name.removeprefix("base_model.model.").rpartition(".lora_")
        if factor not in ("A.weight", "B.weight"):
            continue
        if path not in modules:
            raise LabError(
                f"adapter: made for {made_for}: it has a part for {path}, which this model lacks"
            )
        d_in, d_out = _dimensions(modules[path])
        expected, side = (d_in, "inputs") if factor[0] == "A" else (d_out, "outputs")
        found = shape[1] if factor[0] == "A" else shape[0]
        if found != expected:
            raise LabError(
                f"adapter: made for {made_for}: {path} there has {found} {side}, here {expected}"
            )


def load_adapter(model: Any, folder: str | Path) -> Any:
    """Return `model` wrapped with the adapter in `folder`, ready to answer.

    Raises `LabError` for a missing or damaged adapter and for one made for another base.
    """
    from peft import PeftModel

    check_fits(model, folder)
    return PeftModel.from_pretrained(model, str(folder)).eval()


def load_with_adapter(adapter: str | Path | None, model: str | None = None) -> tuple[Any, Any]:
    """Load a base model and, if given, the adapter on it; returns (model, tokenizer).

    Without `model`, the base is the one that the adapter names.
    """
    from labs_lib import models

    if adapter is not None:
        read_config(adapter)  # before seconds are spent on the base
        weight_shapes(adapter)
    name = model or (base_of(adapter) if adapter is not None else "smollm2-135m-instruct")
    base, tokenizer = models.load(name)
    return (base.eval() if adapter is None else load_adapter(base, adapter)), tokenizer


@contextmanager
def folded_in(model: Any, wanted: bool = True) -> Iterator[bool]:
    """Fold an adapter into its base's fp32 weights inside the block; yields whether it was.

    Writing an answer then costs what the base's own costs, without an adapter's two more
    products a layer. Only in fp32, where folding rounds no more than adding the products does;
    a 4-bit base has no weights to fold into. Afterwards the weights are back up to a rounding
    error, exactly where B is zero: use it on a model that is thrown away next, or untrained.
    `wanted` False leaves the model as it is.
    """
    import torch
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    layers = [part for part in model.modules() if isinstance(part, LoraLayer)]
    in_fp32 = all(part.get_base_layer().weight.dtype == torch.float32 for part in layers)
    if not (wanted and isinstance(model, PeftModel) and layers and in_fp32):
        yield False
        return
    model.merge_adapter()
    try:
        yield True
    finally:
        model.unmerge_adapter()


def merge(adapter: str | Path, out: str | Path, model: str | None = None) -> Path:
    """Write base + scaling·B·A as one ordinary model to the folder `out`; returns it.

    The merge is done in the base's 16 or 32 bits; see lesson 06 for what a 4-bit base would lose.
    """
    from labs_lib.files import folder_written_aside

    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise LabError(f"--out: {out} exists already; give a new folder")
    wrapped, tokenizer = load_with_adapter(adapter, model)
    merged = wrapped.merge_and_unload()
    with folder_written_aside(out) as aside:
        merged.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
    return out


def _dimensions(module: Any) -> tuple[int, int]:
    if hasattr(module, "in_features"):
        return module.in_features, module.out_features
    d_in, d_out = module.weight.shape  # GPT-2's Conv1D keeps its weight transposed
    return d_in, d_out

"""An adapter's tensors: whole, finite, and each with its place in the model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, shorten
from labs_lib.training.adapter.config import CONFIG_FILE, PROMPTS, WEIGHTS_FILE

WRAPPER = "base_model.model."
_FLOATS = ("F64", "F32", "F16", "BF16")
_LONGEST = 160
_SHARED = "vblora_vector_bank"  # one tensor that PEFT lists once more in each layer


def weight_shapes(folder: str | Path) -> dict[str, tuple[int, ...]]:
    """Return name → shape of the adapter's tensors, read from the file's header alone.

    Raises `LabError` for a file that is cut short or no safetensors at all, one without a tensor,
    and one whose tensors are no floating-point numbers.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / WEIGHTS_FILE
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118  (not a dictionary)
                part = file.get_slice(name)
                # SHiRA keeps beside its values the places that they are for.
                places = name.endswith("_indices") and part.get_dtype() in ("I32", "I64")
                if part.get_dtype() not in _FLOATS and not places:
                    raise LabError(
                        f"adapter: {_readable(name)} in {path} holds {part.get_dtype()} "
                        f"numbers; legal: {', '.join(_FLOATS)}"
                    )
                shapes[name] = tuple(part.get_shape())
    except (SafetensorError, OSError) as error:
        raise LabError(
            f"adapter: {path} is damaged or cut short ({error}); train it again or copy it anew"
        ) from None
    if not shapes:
        raise LabError(f"adapter: {path} holds no tensor")
    return shapes


def check_finite(folder: str | Path) -> None:
    """Raise `LabError` for a tensor with a NaN or an infinity in it; reads them one by one."""
    from safetensors import safe_open

    path = Path(folder) / WEIGHTS_FILE
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            wrong = tensor.numel() - int(tensor.isfinite().sum())
            if wrong:
                raise LabError(
                    f"adapter: {_readable(name)} in {path} holds {wrong:,} values that are NaN or "
                    f"infinite of {tensor.numel():,}; its training went wrong"
                )


def check_fits(model: Any, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise `LabError` unless every LoRA matrix has its place in `model`, and its partner.

    `config` is what `read_config` returns, `shapes` what `weight_shapes` does.
    """
    _check_names(config, shapes)
    made_for = f"made for {_readable(config.get('base_model_name_or_path') or 'another base')}"
    modules = dict(model.named_modules())
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        path, _, factor = name.removeprefix(WRAPPER).rpartition(".lora_")
        if factor in ("A.weight", "B.weight"):
            parts.setdefault(path, {})[factor[0]] = shape
    for path, factors in parts.items():
        # Of two parameters of one module PEFT wraps the second around the first.
        place = path.replace(".base_layer", "")
        if place not in modules and not config.get("layer_replication"):
            raise LabError(
                f"adapter: {made_for}: it has a part for {_readable(path)}, which this model lacks"
            )
        for factor, shape in factors.items():
            if len(shape) < 2:
                raise LabError(
                    f"adapter: lora_{factor} of {_readable(path)} is no matrix: its shape is "
                    f"{shape}"
                )
        if len(factors) == 1:
            (present,) = factors
            lacking = "B" if present == "A" else "A"
            raise LabError(f"adapter: {_readable(path)} has a lora_{present} and no lora_{lacking}")
        if place in modules:
            _check_shapes(path, modules[place], factors, made_for)
    _check_ranks(config, parts, shapes)


def check_added(
    wrapped: Any, base_names: set[str], names: Iterable[str], adapter: str = "default"
) -> None:
    """Raise `LabError` for a tensor that would overwrite a weight of the base model.

    `base_names` are the parameters of the base by their names before it was wrapped, `adapter` the
    adapter's name in it. The embedding and the output head may come with an adapter, as PEFT saves
    them after the vocabulary grew.
    """
    from peft import get_peft_model_state_dict

    its_own = get_peft_model_state_dict(
        wrapped, adapter_name=adapter, save_embedding_layers=False
    ).keys()
    heads = _tables(wrapped)
    for name in names:
        plain = name.removeprefix(WRAPPER).replace(".base_layer.", ".")
        if name not in its_own and plain in base_names and plain not in heads:
            raise LabError(
                f"adapter: {_readable(name)} would replace a weight of the base model; no adapter "
                "does that"
            )


def check_all_placed(
    missing: Iterable[str], unexpected: Iterable[str], shapes: dict[str, tuple[int, ...]]
) -> None:
    """Raise `LabError` unless all tensors went to a place and all places got a tensor."""
    surplus = sorted(unexpected)
    lacking = sorted(name for name in missing if _SHARED not in name)
    if surplus:
        raise LabError(
            f"adapter: {len(surplus)} of its {len(shapes)} tensors have no place in this model "
            f"(first: {_readable(surplus[0])}); it was made for another base, or its names were "
            "changed"
        )
    if lacking:
        raise LabError(
            f"adapter: {len(lacking)} tensors that {CONFIG_FILE} asks for are missing (first: "
            f"{_readable(lacking[0].replace('.default', ''))}); the adapter is not whole"
        )


def _readable(name: str) -> str:
    return name if name.isprintable() and len(name) <= _LONGEST else shorten(name, _LONGEST)


def _check_names(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    if config["peft_type"] in PROMPTS:
        return
    # VeRA and its like keep what all layers share beside the model, as base_model.vera_A.
    bare = [name for name in shapes if not name.startswith("base_model.")]
    if bare:
        raise LabError(
            f"adapter: {len(bare)} of its {len(shapes)} tensors are not named as PEFT names them, "
            f"{WRAPPER}… (first: {_readable(bare[0])}); PEFT would leave them out"
        )


def _check_shapes(
    path: str, module: Any, factors: dict[str, tuple[int, ...]], made_for: str
) -> None:
    sizes = _dimensions(module)
    if sizes is None:
        return  # an expert's parameters have shapes of their own; PEFT compares them
    for factor, size in (("A", factors["A"][-1]), ("B", factors["B"][0])):
        expected, side = (sizes[0], "inputs") if factor == "A" else (sizes[1], "outputs")
        if len(factors[factor]) == 2 and size != expected:
            raise LabError(
                f"adapter: {made_for}: {_readable(path)} there has {size} {side}, here {expected}"
            )


def _check_ranks(
    config: dict[str, Any],
    parts: dict[str, dict[str, tuple[int, ...]]],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    """Compare the configuration's rank with the tensors', before PEFT takes memory by it."""
    rank = config.get("r")
    if not isinstance(rank, int):
        return
    largest = max((size for shape in shapes.values() for size in shape), default=0)
    if rank > largest:
        raise LabError(
            f"adapter: r: {CONFIG_FILE} says {rank:,}, and no tensor has more than {largest:,} rows"
        )
    if config["peft_type"] != "LORA" or config.get("target_parameters"):
        return
    from peft.utils.other import get_pattern_key

    ranks = config.get("rank_pattern") or {}
    for path, factors in parts.items():
        declared = ranks.get(get_pattern_key(list(ranks), path), rank)
        for factor, size in (("A", factors["A"][0]), ("B", factors["B"][-1])):
            if len(factors[factor]) == 2 and size != declared:
                raise LabError(
                    f"adapter: r: {CONFIG_FILE} says {declared}, but lora_{factor} of "
                    f"{_readable(path)} has rank {size}"
                )


def _dimensions(module: Any) -> tuple[int, int] | None:
    from transformers.pytorch_utils import Conv1D

    if hasattr(module, "in_features"):
        return module.in_features, module.out_features
    if not isinstance(module, Conv1D):
        return None
    d_in, d_out = module.weight.shape  # GPT-2's class keeps its weight transposed
    return d_in, d_out


def _tables(wrapped: Any) -> set[str]:
    """Return the names of the embedding's and the head's parameters in the base model."""
    base = wrapped.get_base_model()
    tables = [base.get_input_embeddings(), base.get_output_embeddings()]
    return {
        f"{name}.{parameter}".removeprefix(WRAPPER).replace(".base_layer", "")
        for name, module in base.named_modules()
        if any(module is table for table in tables)
        for parameter in ("weight", "bias")
    }

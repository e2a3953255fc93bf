"""Which model is meant: a catalogue name, a local `config.json`, or a name on the hub."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error, first_line, nearest, shorten
from labs_lib.memory.borders import in_one_line
from labs_lib.memory.config_file import check_needed, check_quantized, config_file, read_fields
from labs_lib.memory.known_fields import NoFormulaError, families, understood
from labs_lib.memory.request import MemoryRequest
from labs_lib.models.catalogue import Entry, Family, catalogue, find
from labs_lib.models.targets import resolve_targets
from labs_lib.quiet import quiet

# Under these names a configuration says how many positions the model has.
_POSITIONS = ("max_position_embeddings", "max_target_positions", "max_seq_len")


def architecture(model: str) -> Entry:
    """Return the shapes of `model` without loading torch.

    `model` is a catalogue name, or the path of a `config.json` or of its folder. Raises
    `LabError` for an unknown name (with the nearest) or a configuration that lacks a needed
    field, and `NoFormulaError` for one with a field that the formula has no place for.
    """
    found = find(model)
    if found is not None:
        if found.family.model_type not in families():
            understood({"model_type": found.family.model_type})
        return found
    path = config_file(model)
    if path is None:
        raise _unknown(model)
    return _entry_of(str(path), path.stat().st_mtime_ns)


def config_of(model: str, request: MemoryRequest | None = None) -> Any:
    """Return the transformers configuration of `model`; raises `LabError` in one line.

    With a `request`, a base that is stored quantized is refused where its bytes are others.
    """
    from labs_lib import models

    if find(model) is not None:
        return models.config_of(model)
    path = config_file(model)
    if path is None and "/" not in model:
        raise _unknown(model)
    import transformers

    quantizes = request.quantizes if request else True
    if path is None:
        config = _config_from_hub(model)
        check_quantized(config.to_dict(), model, quantizes)
        return config
    fields = read_fields(path)
    check_quantized(fields, path, quantizes)
    if fields["model_type"] in families():
        check_needed(fields, path)
    if "auto_map" in fields and fields["model_type"] not in transformers.CONFIG_MAPPING:
        raise LabError(
            f"model_type: {fields['model_type']!r} in {path} needs code of its own, which the "
            "course does not run"
        )
    if fields["model_type"] not in transformers.CONFIG_MAPPING:
        raise LabError(
            f"model_type: {fields['model_type']!r} in {path} is none that transformers "
            f"{transformers.__version__} knows"
            f"{nearest(fields['model_type'], transformers.CONFIG_MAPPING)}"
        )
    with quiet(), in_one_line(f"model: {path}"):
        auto: Any = transformers.AutoConfig
        return auto.from_pretrained(
            str(path.parent) if path.name == "config.json" else str(path),
            trust_remote_code=False,
        )


def _config_from_hub(name: str) -> Any:
    import transformers

    try:
        auto: Any = transformers.AutoConfig
        return auto.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # a file of anyone's, read by any class
        raise LabError(
            f"model: {name!r} is not in the catalogue and the hub gives no configuration: "
            f"{first_line(error)}{nearest(name, catalogue())}"
        ) from None


def positions(model: str) -> int | None:
    """Return how many positions a model has, or None if it sets no end; loads torch if it must."""
    found = find(model)
    if found is not None:
        return found.max_positions
    try:
        return architecture(model).max_positions
    except NoFormulaError:
        return positions_of(config_of(model))


def positions_of(config: Any) -> int | None:
    """Return how many positions a transformers configuration has, or None if it sets no end."""
    from labs_lib.memory.building import text_config

    for part in (text_config(config), config):
        for name in _POSITIONS:
            value = getattr(part, name, None)
            if isinstance(value, int) and value > 0:
                return value
    return None


def targets_of(shapes: Entry, request: MemoryRequest) -> list[str]:
    """Return the names that PEFT matches: the request's, or q and v (fused where they are)."""
    if request.targets is not None:
        return resolve_targets(shapes, request.targets)
    names = {linear.name for linear in shapes.linears}
    usual = [name for name in ("q_proj", "v_proj") if name in names]
    fused = [name for name in ("c_attn", "query_key_value") if name in names]
    return usual or fused or ["all-linear"]


def check_length(max_positions: int | None, request: MemoryRequest) -> None:
    """Raise `LabError` if the request's sequences are longer than the model's positions."""
    if max_positions and request.seq_len > max_positions:
        raise LabError(
            f"seq_len: {request.seq_len} is beyond {request.model}'s {max_positions:,} positions"
        )


def _unknown(model: str) -> LabError:
    try:
        folder = Path(model).expanduser()
        is_folder = folder.is_dir()
        is_adapter = is_folder and (folder / "adapter_config.json").is_file()
    except (OSError, ValueError, RuntimeError):  # what `config_file` passes over, too
        is_folder = is_adapter = False
    if is_adapter:
        return LabError(f"model: {model!r} holds an adapter; name its base model")
    if is_folder:
        return LabError(f"model: {model!r} holds no config.json, so it is not a model folder")
    if "/" in model or model.endswith(".json"):
        return LabError(
            f"model: {shorten(model)} is neither a catalogue name nor a config.json here"
            f"{nearest(model, catalogue())}"
        )
    return choice_error("model", model, catalogue())


@functools.lru_cache(maxsize=64)
def _entry_of(path: str, _changed: int) -> Entry:
    fields = read_fields(Path(path))
    by_type: dict[str, Family] = {
        each.family.model_type: each.family for each in catalogue().values()
    }
    kind = fields["model_type"]
    if kind in by_type:
        check_needed(fields, Path(path))
    known = understood(fields)
    return Entry(
        name=path, family=by_type[kind], hub_name="", licence="", parameters=0, config=known
    )

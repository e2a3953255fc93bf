"""Which model is meant: a catalogue name, a local `config.json`, or a name on the hub."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error, nearest
from labs_lib.memory.request import MemoryRequest
from labs_lib.models.catalogue import Entry, Family, catalogue, find
from labs_lib.models.targets import resolve_targets

_NEEDED = {
    "hidden_size": ("hidden_size", "n_embd"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer"),
    "num_attention_heads": ("num_attention_heads", "n_head"),
    "vocab_size": ("vocab_size",),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
}
# Whether the output head is the embedding where config.json leaves it out (transformers'
# own defaults).
_TIED_BY_DEFAULT = {"gpt2": True, "falcon": True}


def architecture(model: str) -> Entry:
    """Return the shapes of `model` without loading torch.

    `model` is a catalogue name, or the path of a `config.json` or of its folder. Raises
    `LabError` for an unknown name (with the nearest), a configuration that lacks a needed field,
    or a family that the closed form has no formula for.
    """
    found = find(model)
    if found is not None:
        return found
    path = config_file(model)
    if path is None:
        raise _unknown(model)
    return _entry_of(str(path), path.stat().st_mtime_ns)


def config_file(model: str) -> Path | None:
    """Return the `config.json` that `model` points to, or None if it points to no file."""
    path = Path(model).expanduser()
    if path.is_dir():
        path = path / "config.json"
    return path if path.is_file() else None


def config_of(model: str) -> Any:
    """Return the transformers configuration of `model`; raises `LabError` in one line."""
    from labs_lib import models

    if find(model) is not None:
        return models.config_of(model)
    path = config_file(model)
    if path is None and "/" not in model:
        raise _unknown(model)
    import transformers

    if path is not None:
        _checked_fields(path)
    try:
        return transformers.AutoConfig.from_pretrained(
            str(path.parent) if path is not None and path.name == "config.json" else path or model,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        if path is not None:
            raise LabError(f"model: {path}: {first_line(error)}") from None
        raise LabError(
            f"model: {model!r} is not in the catalogue and the hub gives no configuration: "
            f"{first_line(error)}{nearest(model, catalogue())}"
        ) from None


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


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
    if "/" in model or model.endswith(".json"):
        return LabError(
            f"model: {model!r} is neither a catalogue name nor a config.json here"
            f"{nearest(model, catalogue())}"
        )
    return choice_error("model", model, catalogue())


@functools.lru_cache(maxsize=64)
def _entry_of(path: str, changed: int) -> Entry:
    fields = _checked_fields(Path(path))
    families: dict[str, Family] = {
        each.family.model_type: each.family for each in catalogue().values()
    }
    kind = fields.get("model_type")
    if kind not in families:
        raise LabError(
            f"model_type: {kind!r} in {path} has no closed form (it has: {', '.join(families)}); "
            "--trace forecasts any architecture"
        )
    fields.setdefault("tie_word_embeddings", _TIED_BY_DEFAULT.get(kind, False))
    return Entry(
        name=path, family=families[kind], hub_name="", licence="", parameters=0, config=fields
    )


def _checked_fields(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LabError(f"model: cannot read {path}: {first_line(error)}") from None
    if not isinstance(fields, dict) or not fields.get("model_type"):
        raise LabError(f"model: {path} has no model_type: not a model's config.json")
    for name, keys in _NEEDED.items():
        value = next((fields[key] for key in keys if fields.get(key) is not None), None)
        if value is None:
            raise LabError(f"{name}: missing from {path}, and a forecast needs it")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise LabError(f"{name}: {value!r} in {path} is not a whole number above 0")
    return fields


def with_depth(config: Any, layers: int) -> Any:
    """Return a copy of a transformers configuration with `layers` decoder layers."""
    shallow = copy.deepcopy(config)
    shallow.num_hidden_layers = layers
    if getattr(shallow, "layer_types", None):
        shallow.layer_types = list(shallow.layer_types)[:layers]
    return shallow

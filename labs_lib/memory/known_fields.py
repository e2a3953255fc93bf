"""Which configurations the formula is right for: each field is known, or the model is traced."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

from labs_lib.errors import LabError, shorten
from labs_lib.yamls import read_yaml

Fields = dict[str, Any]
_SIZES = ("hidden_size", "n_embd")
_HEADS = ("num_attention_heads", "n_head")


class NoFormulaError(LabError):
    """The formula does not know this model; the trace may. `why` is the reason, in a clause."""

    def __init__(self, why: str):
        super().__init__(f"model: {why}; `estimate` and `labs memory` trace its real code instead")
        self.why = why


@functools.cache
def _known() -> Fields:
    return read_yaml(Path(__file__).with_suffix(".yaml"))


def families() -> list[str]:
    """Return the values of `model_type` that the formula has a layer for."""
    return list(_known()["families"])


def understood(fields: Fields) -> Fields:
    """Return the fields that the formula computes with, transformers' defaults filled in.

    Raises `NoFormulaError` for a family or a field that the formula has no place for, and
    `LabError` for a value that no model can have.
    """
    known = _known()
    kind = fields.get("model_type")
    if kind not in known["families"]:
        raise NoFormulaError(
            f"the formula has no layer for model_type {shorten(kind)} "
            f"(it has: {', '.join(known['families'])})"
        )
    default, holds = known["families"][kind]["default"], known["families"][kind]["holds"]
    for name, value in fields.items():
        if name in ("rope_scaling", "rope_parameters"):
            _check_rotary(name, value)
        elif name in holds:
            if not _is_one_of(value, holds[name]):
                raise _unknown(name, value)
        elif name not in default and name not in known["idle"]:
            raise _unknown(name, value)
    filled = {**default, **{name: fields[name] for name in default if name in fields}}
    for name, value in filled.items():
        _check_type(name, value, default[name])
    _check_heads(filled)
    return filled


def _unknown(name: str, value: Any) -> NoFormulaError:
    return NoFormulaError(f"the formula does not know {name}: {shorten(value)}")


def _is_one_of(value: Any, legal: list[Any]) -> bool:
    if isinstance(value, list):  # one entry for each layer
        return all(_is_one_of(each, legal) for each in cast("list[Any]", value))
    return any(
        value == each and isinstance(value, bool) == isinstance(each, bool) for each in legal
    )


def _check_rotary(name: str, value: Any) -> None:
    if value is None:
        return
    known = _known()
    if not isinstance(value, dict):
        raise _unknown(name, value)
    value = cast("dict[str, Any]", value)
    strange = [key for key in value if key not in known["rope_fields"]]
    if strange:
        raise _unknown(f"{name}.{strange[0]}", value[strange[0]])
    kind = value.get("rope_type", value.get("type", "default"))
    if kind not in known["rope_types"]:
        raise _unknown(f"{name}.rope_type", kind)


def _check_type(name: str, value: Any, default: Any) -> None:
    if isinstance(default, bool):
        legal, words = isinstance(value, bool), "true or false"
    elif isinstance(default, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        legal, words = is_number and 0 <= value <= 1, "a number from 0 to 1"
    else:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        none = value is None and (default is None or name == "sliding_window")
        legal, words = whole or none, "a whole number above 0"
    if not legal:
        raise LabError(f"{name}: {shorten(value)} in the configuration is not {words}")


def _check_heads(fields: Fields) -> None:
    size = next(fields[name] for name in _SIZES if name in fields)
    heads = next(fields[name] for name in _HEADS if name in fields)
    if size % heads and not fields.get("head_dim"):
        raise LabError(f"num_attention_heads: {heads} does not divide hidden_size, {size}")
    groups = fields.get("num_key_value_heads") or heads
    if heads % groups:
        raise LabError(f"num_key_value_heads: {groups} does not divide {heads} attention heads")

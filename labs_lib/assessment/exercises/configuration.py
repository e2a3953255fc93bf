"""A configuration judged whole: a field that is not at its default was asked for, or is refused."""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, cast

from labs_lib.assessment.exercises.base import Property
from labs_lib.assessment.exercises.reading import WrongFormError
from labs_lib.assessment.numbers import plain_number
from labs_lib.assessment.plain import plain_text
from labs_lib.errors import kind_of, shorten

_DEEPEST = 8
_LONGEST = 1000
# What PEFT itself writes into a configuration that has been used.
_RECORDS = {"auto_mapping", "base_model_name_or_path", "peft_version", "revision"}
# Judged by what they do to the model, so that every spelling of a right answer passes.
_BY_EFFECT = {
    "alpha_pattern", "bias", "exclude_modules", "layers_pattern", "layers_to_transform",
    "lora_alpha", "lora_dropout", "r", "rank_pattern", "target_modules", "task_type", "use_rslora",
}  # fmt: skip
_LARGEST_RANK = 1024
# PEFT's refusal shows all of the block, and lists what it supports.
_BLOCK_REFUSED = re.compile(r"Target module (\w+)\(\s.*\bis not supported", re.S)


def changed_fields(config: Any, default: Any) -> dict[str, Any]:
    """Return the fields of `config` that differ from `default`'s, as plain values by name.

    Works for dataclasses (LoraConfig, SFTConfig), pydantic models (Recipe) and objects that keep
    their settings as attributes. None, False and an empty container all say "not set" and count as
    equal.
    """
    names = list(dict.fromkeys([*_field_names(config), *_field_names(default)]))
    ours = {name: plain_setting(getattr(config, name, None)) for name in names}
    usual = {name: plain_setting(getattr(default, name, None)) for name in names}
    return {name: ours[name] for name in names if not _alike(ours[name], usual[name])}


def nothing_else() -> Property:
    """Return the property that no field is set which was not asked for (`seen["strays"]`)."""

    def message(seen: Any) -> str:
        name, value = next(iter(seen["strays"].items()))
        more = f" (and {len(seen['strays']) - 1} more)" if len(seen["strays"]) > 1 else ""
        return f"{name}={setting_text(value)} was not asked for{more}: leave it at its default."

    return Property(lambda seen: not seen["strays"], message)


def lora_effect(
    config: Any,
    make_model: Callable[[], Any],
    mistakes: Iterable[Callable[[Any], bool]] = (),
) -> dict[str, Any]:
    """Return what a LoraConfig asks for and does to a model, as plain values.

    `fields` are those not at their default, `strays` those of them that no exercise on LoRA asks
    for; where there is none, the model is wrapped and the rest tells what became of it. PEFT gets
    a configuration of our own with the same plain values, never the student's object. What PEFT
    refuses raises WrongFormError with its reason, unless one of `mistakes` knows the fields.
    """
    from peft import LoraConfig

    if not isinstance(config, LoraConfig):
        raise WrongFormError(f"config should be a LoraConfig, not {kind_of(config)}")
    fields = changed_fields(config, LoraConfig())
    fields = {name: value for name, value in fields.items() if name not in _RECORDS}
    strays = {name: value for name, value in fields.items() if name not in _BY_EFFECT}
    seen: dict[str, Any] = {"fields": fields, "strays": strays}
    if strays:
        return seen
    _check_numbers(fields)
    if any(mistake(seen) for mistake in mistakes):
        return seen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's advice is not the student's output
        return seen | _adaptation(_wrapped(make_model(), fields))


def _wrapped(model: Any, fields: Mapping[str, Any]) -> Any:
    """Return the model with an adapter of these fields; the caller's random state is left alone.

    Raises WrongFormError with PEFT's reason where it refuses them.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    try:
        library: Any = torch
        with library.random.fork_rng(devices=[]):
            return get_peft_model(model, LoraConfig(**fields))
    except Exception as error:  # whatever PEFT says of a configuration that is not ours
        if block := _BLOCK_REFUSED.match(str(error)):
            raise WrongFormError(
                f"target_modules names a whole block, {block[1]}: name the Linear layers inside it"
            ) from None
        raise WrongFormError(f"PEFT refuses this configuration: {plain_text(error, 250)}") from None


def _adaptation(wrapped: Any) -> dict[str, Any]:
    """Return which modules of a wrapped model are adapted, how, and what trains besides."""
    from peft import PeftModelForCausalLM
    from peft.tuners.lora import LoraLayer

    layers: dict[str, Any] = {
        name: part for name, part in wrapped.named_modules() if isinstance(part, LoraLayer)
    }
    trained = [name for name, part in wrapped.named_parameters() if part.requires_grad]
    return {
        "adapted": sorted({name.rsplit(".", 1)[-1] for name in layers}),
        "count": len(layers),
        "ranks": sorted({int(part.r["default"]) for part in layers.values()}),
        "scalings": sorted({round(float(part.scaling["default"]), 6) for part in layers.values()}),
        "beside": sorted(
            name.replace(".base_layer", "").removeprefix("base_model.model.")
            for name in trained
            if "lora_" not in name
        ),
        "causal": isinstance(wrapped, PeftModelForCausalLM),
    }


def _check_numbers(fields: Mapping[str, Any]) -> None:
    """Refuse numbers that PEFT would fail on in its own way, or at the cost of all memory."""
    ranks: list[tuple[str, Any]] = [("r", fields.get("r", 8))]
    if isinstance(patterns := fields.get("rank_pattern"), Mapping):
        ranks += [("rank_pattern", rank) for rank in cast("Mapping[Any, Any]", patterns).values()]
    for name, rank in ranks:
        if type(rank) is not int:
            raise WrongFormError(
                f"{name} should be a whole number such as 16, not {setting_text(rank)}"
            )
        if not 1 <= rank <= _LARGEST_RANK:
            raise WrongFormError(
                f"{name}: {_digits(rank)} is no rank here; a whole number from 1 to {_LARGEST_RANK}"
            )
    for name in ("lora_alpha", "lora_dropout"):
        value = fields.get(name, 0)
        if type(value) not in (int, float) or abs(value) > 1e9 or not math.isfinite(value):
            raise WrongFormError(f"{name} should be a number, not {setting_text(value)}")


def setting_text(value: Any) -> str:
    """Return a plain setting as a student would type it; the type's name of what is not plain."""
    fields: dict[Any, Any] = cast("dict[Any, Any]", value) if _is_dict(value) else {}
    if set(fields) == {"type"}:
        return str(fields["type"])
    return shorten(value, 80)


# Questions put as plain bools: narrowed by the library's own guards, Any becomes half unknown.
def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_dataclass(config: Any) -> bool:
    return dataclasses.is_dataclass(config)


def _digits(number: int) -> str:
    return f"{number:,}" if abs(number) < 1e18 else "a number so large"


def _field_names(config: Any) -> list[str]:
    if _is_dataclass(config):
        return [field.name for field in dataclasses.fields(config)]
    declared = _declared(cast("type[Any]", type(config)))
    held = cast("dict[str, Any]", vars(config)) if declared is None else declared
    return list(held)


def _declared(kind: type[Any]) -> Mapping[str, Any] | None:
    """Return the fields that a pydantic class declares; None for any other class."""
    fields: Mapping[str, Any] | None = getattr(kind, "model_fields", None)
    return fields if _is_mapping(fields) else None


def _alike(one: Any, other: Any) -> bool:
    def unset(value: Any) -> bool:
        return value is None or value is False or (isinstance(value, (list, dict)) and not value)

    return (unset(one) and unset(other)) or one == other


def plain_setting(value: Any, depth: int = 0) -> Any:
    """Return a setting as None, bool, number, text, list or dictionary; else its type's name.

    Sets become sorted lists, enumerations their value. The types are asked, never the object.
    """
    kind = cast("type[Any]", type(value))
    if value is None or kind in (bool, str):
        return value
    if issubclass(kind, Enum):
        return plain_setting(value.value, depth + 1)
    if issubclass(kind, str):
        return str.__str__(value)
    if depth > _DEEPEST:
        return {"type": "nested too deeply"}
    if issubclass(kind, (list, tuple, range)):
        return [plain_setting(part, depth + 1) for part in list(value)[:_LONGEST]]
    if issubclass(kind, (set, frozenset)):
        return sorted((plain_setting(part, depth + 1) for part in list(value)[:_LONGEST]), key=repr)
    if issubclass(kind, Mapping):
        pairs = list(cast("Mapping[Any, Any]", value).items())[:_LONGEST]
        return {
            str(plain_setting(name, depth + 1)): plain_setting(part, depth + 1)
            for name, part in pairs
        }
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        settings = {name: plain_setting(getattr(value, name, None), depth + 1) for name in names}
        return {"type": kind.__name__, **settings}
    number = plain_number(value)
    if number is not None:
        enormous = type(number) is int and number.bit_length() > 4096
        return {"type": "an enormous number"} if enormous else number
    shown = str(value) if kind.__module__ == "torch" and kind.__name__ == "dtype" else ""
    return shown or {"type": kind.__name__}

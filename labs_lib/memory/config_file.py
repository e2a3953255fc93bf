"""Reading a `config.json` that anyone may have written, without loading torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from labs_lib.errors import LabError, first_line, nearest, shorten

_MOST_BYTES = 4 * 2**20
# Above these no model is described, but a mistake or an attack: building would not end.
_MOST_LAYERS, _MOST_EXPERTS = 4096, 2**16
_MOST = 2**40
_COUNTS_LAYERS = re.compile(r"(^|_)(layers?|blocks?|stages?|depths?)$")
_COUNTS_EXPERTS = re.compile(r"(^|_)experts?$")
_NEEDED = {
    "hidden_size": ("hidden_size", "n_embd"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer"),
    "num_attention_heads": ("num_attention_heads", "n_head"),
    "vocab_size": ("vocab_size",),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
}
Fields = dict[str, Any]


def config_file(model: str) -> Path | None:
    """Return the `config.json` that `model` points to, or None if it points to no file."""
    try:
        path = Path(model).expanduser()
        if path.is_dir():
            path = path / "config.json"
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, an unknown ~user
        return None


def read_fields(path: Path) -> Fields:
    """Return the file's fields, checked as far as every model's are alike.

    Raises `LabError` in one line for a file that is no JSON object, has no `model_type`, or
    holds a number that no model has.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise LabError(f"model: {path} has more than {_MOST_BYTES:,} bytes: no config.json")
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    except RecursionError:
        raise LabError(f"model: cannot read {path}: nested too deeply") from None
    except (OSError, ValueError) as error:
        if isinstance(error, LabError):
            raise
        raise LabError(f"model: cannot read {path}: {first_line(error)}") from None
    if not isinstance(content, dict):
        raise LabError(f"model: {path} holds {shorten(content)}: not a model's config.json")
    fields = cast(Fields, content)
    kind = fields.get("model_type")
    if not kind:
        raise _no_model_type(path, fields)
    if not isinstance(kind, str):
        raise LabError(f"model_type: {shorten(kind)} in {path} is not a name")
    for name, value in _numbers(fields):
        _check_number(name, value, path)
    return fields


def check_needed(fields: Fields, path: Path) -> None:
    """Raise `LabError` unless the sizes that the formula starts from are there, and whole."""
    for name, keys in _NEEDED.items():
        value = next((fields[key] for key in keys if fields.get(key) is not None), None)
        if value is None:
            raise LabError(f"{name}: missing from {path}, and a forecast needs it")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise LabError(f"{name}: {shorten(value)} in {path} is not a whole number above 0")


def check_quantized(fields: Fields, path: Path | str, quantizes: bool) -> None:
    """Raise `LabError` for a base that is stored quantized: its bytes are not the request's.

    A bitsandbytes base in 4 or 8 bits is what a step that `quantizes` makes anyway, and passes.
    """
    stored = fields.get("quantization_config")
    if stored is None:
        return
    stored = cast(Fields, stored) if isinstance(stored, dict) else {}
    kind = str(stored.get("quant_method") or ("bitsandbytes" if _bits(stored) else "unknown"))
    if kind == "bitsandbytes" and quantizes:
        return
    advice = (
        "that is --method qlora"
        if kind == "bitsandbytes"
        else "name the model that it was made from (--method qlora for a 4-bit base)"
    )
    raise LabError(
        f"quantization_config: {path} describes a base that is quantized already "
        f"({shorten(kind)}), and the forecast is of a 16- or 32-bit one: {advice}"
    )


def held_as(fields: Fields) -> dict[str, Any]:
    """Return `quantization` and `double_quant` of a base that bitsandbytes stored, else nothing."""
    stored: Fields = fields.get("quantization_config") or {}
    if not isinstance(stored, dict) or not _bits(stored):  # pyright: ignore[reportUnnecessaryIsInstance]
        return {}
    if stored.get("load_in_8bit"):
        return {"quantization": "int8"}
    # bitsandbytes' own defaults where the file leaves them out.
    kind = stored.get("bnb_4bit_quant_type") or "fp4"
    return {"quantization": kind, "double_quant": bool(stored.get("bnb_4bit_use_double_quant"))}


def _bits(stored: Fields) -> bool:
    return bool(stored.get("load_in_4bit") or stored.get("load_in_8bit"))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _no_model_type(path: Path, fields: Fields) -> LabError:
    inside = [key for key, value in fields.items() if isinstance(value, dict)]
    nested = [key for key in inside if isinstance(fields[key].get("model_type"), str)]
    if nested:
        return LabError(
            f"model: {path} has no model_type of its own: its {nested[0]!r} holds a "
            f"{shorten(fields[nested[0]]['model_type'])} configuration; save that as a config.json"
        )
    if "peft_type" in fields:
        base = shorten(fields.get("base_model_name_or_path"))
        return LabError(f"model: {path} describes an adapter; name its base model, {base}")
    return LabError(
        f"model: {path} has no model_type: not a model's config.json{nearest('model_type', fields)}"
    )


def _numbers(fields: Fields) -> Iterator[tuple[str, Any]]:
    """Yield (name, number) of the file and of the parts nested in it."""
    waiting: list[Any] = [fields]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, dict):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [{name: each} for each in cast("list[Any]", value)[:_MOST_LAYERS]]
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                yield name, value


def _check_number(name: str, value: float, path: Path) -> None:
    for counts, most in ((_COUNTS_LAYERS, _MOST_LAYERS), (_COUNTS_EXPERTS, _MOST_EXPERTS)):
        if counts.search(name) and value > most:
            raise LabError(f"{name}: {shorten(value)} in {path} is more than any model has")
    if abs(value) > _MOST and isinstance(value, int):
        raise LabError(f"{name}: {shorten(value)} in {path} is beyond any model's size")
    if abs(value) == float("inf"):  # 1e999 is how JSON smuggles it in
        raise LabError(f"{name}: {path} gives a number that is too large")

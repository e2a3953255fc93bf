"""Results of student code as plain JSON: numbers, text, lists, tensors; nothing is unpickled.

`encode` runs beside the student's code, in its process, and may run code of theirs. `decode` runs
in the notebook's: it looks at nothing but what JSON can hold, and refuses what `encode` never
writes.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable, Iterator, Mapping, MappingView, Sequence, Set
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import islice
from typing import Any, cast

from labs_lib.assessment.numbers import scalar_number
from labs_lib.shown import type_name

LARGEST_TENSOR_BYTES = 16 * 2**20
LARGEST_INT_BITS = 4096
DEEPEST = 20
MOST_PARTS = 100_000
MOST_VALUES = 300_000
LONGEST_TEXT = 20_000
LONGEST_NAME = 60

_ATOMS = (type(None), bool, int, float, str, type(...))
_BOXES = (list, tuple, set, frozenset, dict)


class TooLargeError(Exception):
    """A result holds more values than any exercise asks for."""


class ForgedError(ValueError):
    """What should be decoded was never written by `encode`."""


@dataclass(frozen=True)
class Other:
    """A value of a type that no exercise asks for, by its type's name."""

    type_name: str
    shown: str = ""


@dataclass(frozen=True)
class Record:
    """A dataclass's instance (a LoraConfig, say): its fields are its attributes."""

    type_name: str
    fields: dict[str, Any] = field(default_factory=dict[str, Any])

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(f"{self.type_name} has no field {name}") from None


def plain_text(text: object, limit: int = 300) -> str:
    """Return text as one line that any screen takes, at most `limit` characters."""
    raw = str(text)[: 4 * limit].encode("utf-8", "replace").decode("utf-8")
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in raw).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def is_plain(value: Any) -> bool:
    """Return whether a value is made of Python's own numbers, texts and containers alone.

    Goes by exact types and runs no code of the value's; False for what is deep, large or holds
    itself.
    """
    ahead, seen = [(value, 0)], 0
    while ahead:
        part, depth = ahead.pop()
        seen += 1
        kind = cast("type[Any]", type(part))
        if kind is int and part.bit_length() > 1_000_000:
            return False
        if any(kind is atom for atom in _ATOMS):
            continue
        if depth >= DEEPEST or seen > 20_000 or not any(kind is box for box in _BOXES):
            return False
        if len(part) > 20_000:
            return False
        inner = [*part.keys(), *part.values()] if kind is dict else part
        ahead += [(each, depth + 1) for each in inner]
    return True


def encode(value: Any, tuples: bool = False) -> Any:
    """Return `value` as JSON can hold it; what is not plain becomes its type's name.

    Numbers of other types become Python's, iterators and ranges lists, mappings dicts, a
    dataclass's instance its fields. Tuples become lists, or stay if `tuples`. Raises
    TooLargeError, and whatever the value's own code raises.
    """
    return _Encoder(tuples).encode(value, 0)


class _Encoder:
    def __init__(self, tuples: bool):
        self.tuples = tuples
        self.count = 0
        self.around: set[int] = set()

    def encode(self, value: Any, depth: int) -> Any:
        self.count += 1
        if self.count > MOST_VALUES:
            raise TooLargeError
        if value is None or value is True or value is False:
            return value
        if value is ...:
            return {"blank": True}
        if issubclass(type(value), str):
            return str.__str__(value)[:LONGEST_TEXT]
        number = _number(value)
        if number is not None:
            return number
        if depth >= DEEPEST:
            return {"other": "value nested too deeply", "shown": ""}
        if id(value) in self.around:
            return {"other": f"{type_name(value)} that holds itself", "shown": ""}
        self.around.add(id(value))
        try:
            return self._box(value, depth + 1)
        finally:
            self.around.discard(id(value))

    def _box(self, value: Any, depth: int) -> Any:
        if type(value) is Other:
            return {"other": value.type_name, "shown": value.shown}
        if type(value) is Record:
            inner = [[name, self.encode(part, depth)] for name, part in value.fields.items()]
            return {"record": value.type_name, "fields": inner}
        array = _as_array(value)
        if array is not None:
            return self._array(value, array, depth)
        if issubclass(type(value), Mapping):
            mapping = cast("Mapping[Any, Any]", value)
            pairs = list(islice(mapping.items(), MOST_PARTS + 1))
            if len(pairs) > MOST_PARTS:
                raise TooLargeError
            return {"dict": [[self.encode(a, depth), self.encode(b, depth)] for a, b in pairs]}
        if isinstance(value, (set, frozenset)):
            parts = sorted(cast("set[Any]", value), key=repr)
            return {"set": self._parts(parts, depth)}
        if _is_listlike(value):
            kept = "tuple" if self.tuples and isinstance(value, tuple) else "list"
            return {kept: self._parts(cast("Iterable[Any]", value), depth)}
        if is_dataclass(value) and not isinstance(value, type):
            named = {each.name: getattr(value, each.name, None) for each in fields(value)}
            inner = [[name, self.encode(part, depth)] for name, part in named.items()]
            return {"record": type_name(value), "fields": inner}
        return {"other": type_name(value), "shown": _repr(value)}

    def _parts(self, parts: Iterable[Any], depth: int) -> list[Any]:
        found = list(islice(parts, MOST_PARTS + 1))
        if len(found) > MOST_PARTS:
            raise TooLargeError
        return [self.encode(part, depth) for part in found]

    def _array(self, value: Any, array: Any, depth: int) -> Any:
        if isinstance(array, str):
            return {"other": array, "shown": f"of shape {tuple(value.shape)}"[:100]}
        if array.ndim == 0:
            return self.encode(array.item(), depth)
        if array.dtype.kind in "OUS" and array.size <= MOST_PARTS:
            return self.encode(array.tolist(), depth)
        if array.nbytes > LARGEST_TENSOR_BYTES or array.dtype.kind not in "fiub":
            shown = f"of shape {array.shape} and type {array.dtype}"
            return {"other": type_name(value), "shown": shown[:100]}
        plain = array.astype(array.dtype.newbyteorder("="), copy=False)
        data = base64.b64encode(plain.tobytes()).decode("ascii")
        tensor = type(value).__module__.split(".")[0] == "torch"
        return {"array": data, "dtype": plain.dtype.str, "shape": plain.shape, "torch": tensor}


def decode(value: Any) -> Any:
    """Return what `encode` was given, from its JSON; raises ForgedError for anything else."""
    try:
        return _decode(value, 0)
    except ForgedError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError) as error:
        raise ForgedError(type(error).__name__) from None


def _decode(value: Any, depth: int) -> Any:
    if type(value) in (type(None), bool, int, float, str):
        return value
    if type(value) is not dict or depth > 2 * DEEPEST:
        raise ForgedError
    written = cast("dict[str, Any]", value)
    kind = next(iter(written), None)
    if kind in ("list", "tuple", "set"):
        parts = [_decode(part, depth + 1) for part in written[kind]]
        if kind == "set":
            return {_hashable(part) for part in parts}
        return tuple(parts) if kind == "tuple" else parts
    if kind == "dict":
        return {_hashable(_decode(a, depth + 1)): _decode(b, depth + 1) for a, b in written["dict"]}
    if kind == "record":
        named = {str(name): _decode(part, depth + 1) for name, part in written["fields"]}
        return Record(plain_text(written["record"], LONGEST_NAME), named)
    if kind == "blank":
        return ...
    if kind == "array":
        return _decode_array(written)
    if kind == "other":
        return Other(
            plain_text(written["other"], 2 * LONGEST_NAME), plain_text(written["shown"], 100)
        )
    raise ForgedError


def _decode_array(value: dict[str, Any]) -> Any:
    import numpy as np

    kind = np.dtype(str(value["dtype"]))
    if kind.kind not in "fiub":
        raise ForgedError
    raw: Any = np.frombuffer(base64.b64decode(value["array"]), dtype=kind)
    array: Any = raw.reshape(value["shape"]).copy()
    if not value["torch"]:
        return array
    import torch

    library: Any = torch
    return library.from_numpy(array)


def _number(value: Any) -> Any:
    """Return a number of any type as Python's own; a very long one by its name; None for others."""
    number = scalar_number(value)
    if isinstance(number, int) and number.bit_length() > LARGEST_INT_BITS:
        digits = int(number.bit_length() * 0.30103) + 1
        return {"other": "whole number", "shown": f"of some {digits:,} digits"}
    return number  # Python's JSON carries nan and inf


def _is_listlike(value: Any) -> bool:
    if isinstance(value, (str, bytes, bytearray, memoryview, type)):
        return False
    return issubclass(type(value), (Sequence, Iterator, MappingView, Set))


def _as_array(value: Any) -> Any:
    """Return an array, a tensor or a scalar of either as a NumPy array.

    The words that name it where its numbers cannot be read; None for anything else.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        try:
            plain = value.detach().cpu()
            if plain.layout != torch.strided and plain.numel() * 8 <= LARGEST_TENSOR_BYTES:
                plain = plain.to_dense()
            if plain.is_floating_point() and plain.dtype not in (torch.float32, torch.float64):
                plain = plain.float()
            return plain.resolve_conj().resolve_neg().contiguous().numpy()
        except (RuntimeError, TypeError, NotImplementedError):
            return f"{plain_text(value.device.type, 20)} {type_name(value)} without numbers"
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        return numpy.asarray(value)
    if hasattr(cast("type[Any]", type(value)), "__array__"):
        made = numpy.asarray(value)
        return made if made.dtype.kind in "fiub" else None
    return None


def _hashable(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_hashable(part) for part in cast("list[Any]", value))
    if isinstance(value, (set, frozenset)):
        return frozenset(cast("set[Any]", value))
    try:
        hash(value)
    except TypeError:
        return Other(type_name(value), plain_text(repr(value), 60))
    return value


def _repr(value: Any) -> str:
    try:
        return plain_text(repr(value), 100)
    except Exception:
        return ""

"""What the log keeps of an answer: plain JSON, bounded, with a fingerprint where it was cut."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import itertools
import json
import math
import sys
import types
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, cast

from labs_lib.assessment.numbers import plain_number
from labs_lib.errors import shorten, type_name

# Of one answer: bytes of text, items of one container, values in all, and values that go into
# the fingerprint where not all are kept.
MOST_BYTES = 8000
LONGEST_TEXT = 6000
MOST_ITEMS = 100
MOST_VALUES = 500
MOST_FINGERPRINTED = 50_000
LARGEST_SET = 10_000
DEEPEST = 12
CUT = "…"
_NEITHER = object()


def plain(value: Any) -> Any:
    """Return `value` as a line of JSON may hold it: finite, bounded, and free of objects.

    Numbers of any library become Python's, arrays and tensors lists, sets sorted lists, a
    dataclass its fields, a PEFT configuration its fields that are not at their defaults, a
    function its source text. What is cut ends in "…". Never raises.
    """
    return _Keeper().keep(value)


def kept_answer(value: Any) -> dict[str, Any]:
    """Return an event's fields for an answer: `response`, and `response_sha256` if it was cut."""
    keeper = _Keeper()
    response = keeper.keep(value)
    if not keeper.cut:
        return {"response": response}
    whole = _Keeper(whole=True)
    text = json.dumps(whole.keep(value), sort_keys=True)
    return {"response": response, "response_sha256": _fingerprint(text.encode())}


def listed(value: Any) -> Any:
    """Return an iterator's or a view's first items as a list, and anything else as it is.

    An iterator can be read only once, and an answer is judged and recorded.
    """
    if not issubclass(type(value), (*_ITERATORS, *_DICT_VIEWS)):
        return value
    items: Iterable[Any] = value
    try:
        return list(itertools.islice(items, MOST_ITEMS + 1))
    except Exception:  # the student's own generator failed: it is no answer
        return value


_DICT: type[dict[Any, Any]] = dict
_LIST: type[list[Any]] = list
_TUPLE: type[tuple[Any, ...]] = tuple
_NO_KEYS: dict[Any, Any] = {}
_EMPTY: tuple[Iterable[Any], ...] = ([], (), {}, set(), "", range(0))
_DICT_VIEWS: tuple[type[Any], ...] = (
    type(_NO_KEYS.keys()), type(_NO_KEYS.values()), type(_NO_KEYS.items()),
)  # fmt: skip
_VIEWS: tuple[type[Any], ...] = (range, deque, *_DICT_VIEWS)
_ITERATORS: tuple[type[Any], ...] = (
    types.GeneratorType, map, filter, zip, reversed, enumerate, itertools.chain,
    *(type(iter(each)) for each in _EMPTY),
)  # fmt: skip


class _Keeper:
    """Walks through one answer, counts what it keeps, and knows whether anything was cut."""

    def __init__(self, whole: bool = False):
        self.cut = False
        self._left = MOST_FINGERPRINTED if whole else MOST_VALUES
        self._items = MOST_FINGERPRINTED if whole else MOST_ITEMS
        self._whole = whole
        self._bytes = MOST_BYTES
        self._open: set[int] = set()  # what encloses this value: a list may hold itself

    def keep(self, value: Any) -> Any:
        kind = cast("type[Any]", type(value))
        self._left -= 1
        if self._left < 0 or len(self._open) > DEEPEST or id(value) in self._open:
            return self._cut()
        if value is None or kind is bool:
            return value
        if value is ...:
            return "..."
        self._open.add(id(value))
        try:
            known = self._text_or_number(value, kind)
            return self._compound(value, kind) if known is _NEITHER else known
        except Exception:  # a stranger's object that cannot be read, a tensor without values
            return {"class": type_name(value), "shown": self._text(shorten(value, 200))}
        finally:
            self._open.discard(id(value))

    def _text_or_number(self, value: Any, kind: type) -> Any:
        if issubclass(kind, enum.Enum) and not issubclass(kind, (str, int)):
            return f"{type_name(value)}.{value.name}"
        if issubclass(kind, str):
            return self._text(str.__str__(value))
        if kind is bytes or kind is bytearray:
            return self._text(repr(bytes(value if self._whole else value[: LONGEST_TEXT + 1])))
        number = plain_number(value)
        if isinstance(number, float):
            return number if math.isfinite(number) else str(number)
        if isinstance(number, int):
            if number.bit_length() < 1000:
                return number
            self.cut = True
            return f"a huge number of {number.bit_length():,} bits"
        return _NEITHER

    def _compound(self, value: Any, kind: type[Any]) -> Any:
        if issubclass(kind, dict):
            return self._mapping(_DICT.items(value), len(value))
        if issubclass(kind, list):
            return self._sequence(_LIST.__iter__(value), _LIST.__len__(value))
        if issubclass(kind, tuple):
            return self._sequence(_TUPLE.__iter__(value), _TUPLE.__len__(value))
        if issubclass(kind, (set, frozenset)):
            return self._set(value)
        if issubclass(kind, _VIEWS):
            return self._sequence(value, len(value))
        if issubclass(kind, _ITERATORS):
            return f"a {type_name(value)}"
        if issubclass(kind, (types.FunctionType, types.MethodType, type)):
            return self._source(value)
        return self._record(value, kind)

    def _record(self, value: Any, kind: type[Any]) -> Any:
        """Keep an array by its numbers, any other object by its class and fields."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.ma.MaskedArray):
            return self.keep(value.tolist())  # what is masked is null
        array = _array_of(value, kind)
        if array is not None:
            return self._array(array)
        if _is_peft_config(kind):
            return {"class": type_name(value), **self._mapping(*_changed_fields(value))}
        if dataclasses.is_dataclass(kind):
            pairs = [
                (field.name, object.__getattribute__(value, field.name))
                for field in dataclasses.fields(kind)
            ]
            return {"class": type_name(value), **self._mapping(pairs, len(pairs))}
        if isinstance(value, Mapping):
            mapping = cast("Mapping[Any, Any]", value)
            return self._mapping(mapping.items(), len(mapping))
        fields: Any = getattr(kind, "model_fields", None)
        if isinstance(fields, dict):  # pydantic
            pairs = [(name, getattr(value, name)) for name in cast("dict[str, Any]", fields)]
            return {"class": type_name(value), **self._mapping(pairs, len(pairs))}
        return {"class": type_name(value), "shown": self._text(shorten(value, 200))}

    def _sequence(self, items: Iterable[Any], length: int) -> list[Any]:
        parts = [self.keep(part) for part in itertools.islice(items, self._allowed())]
        if length > len(parts):
            parts.append(self._cut(f"{CUT} {length - len(parts):,} more"))
        return parts

    def _set(self, value: Any) -> list[Any]:
        length = len(value)
        if length > LARGEST_SET:
            return [self._cut(f"{CUT} {length:,} items")]
        # Sorted by what is kept of the items: a set's own order differs from run to run.
        keepers = [_Keeper(self._whole) for _ in range(length)]
        parts = [keeper.keep(part) for keeper, part in zip(keepers, value, strict=True)]
        self.cut |= any(keeper.cut for keeper in keepers)
        parts.sort(key=lambda part: (type(part).__name__, json.dumps(part, sort_keys=True)))
        return self._sequence(parts, length)

    def _mapping(self, pairs: Iterable[tuple[Any, Any]], length: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, part in itertools.islice(pairs, self._allowed()):
            if self._left <= 1:
                break
            name = self._key(key)
            while name in mapping:  # 1 and "1" are two keys, and one name
                name += "'"
            mapping[name] = self.keep(part)
        if length > len(mapping):
            mapping[CUT] = self._cut(f"{length - len(mapping):,} more")
        return mapping

    def _key(self, key: Any) -> str:
        if type(key) is str:
            return self._text(key)
        return self._text(json.dumps(self.keep(key), ensure_ascii=False))

    def _source(self, code: Any) -> Any:
        """Return a function's or a class's source text; where there is none, its name and more."""
        import inspect

        try:
            return self._text(inspect.getsource(code))
        except (OSError, TypeError, ValueError):
            pass
        if isinstance(code, type):
            return {"class": f"{code.__module__}.{code.__qualname__}"[:200]}
        compiled = code.__code__
        # No text to be had, as in a console: two functions are told apart by their code.
        identity = compiled.co_code + repr((compiled.co_names, _constants(compiled))).encode()
        return {"function": str(code.__name__)[:200], "code_sha256": _fingerprint(identity)}

    def _array(self, array: Any) -> Any:
        if array.dtype.kind in "biuf" and array.size <= MOST_ITEMS and array.size <= self._left:
            return self.keep(array.tolist())
        form = {"class": "array", "dtype": str(array.dtype), "shape": list(array.shape)}
        if array.dtype.kind not in "biufc":
            return {**form, "values": self.keep(array.ravel()[:MOST_ITEMS].tolist())}
        self.cut = True
        if self._whole:
            return {**form, "sha256": _fingerprint(array.tobytes())}
        return {**form, "values": [*self.keep(array.ravel()[:20].tolist()), CUT]}

    def _text(self, text: str) -> str:
        text = text.encode("utf-8", "replace").decode("utf-8")
        if self._whole:
            return text if len(text) < LONGEST_TEXT else _fingerprint(text.encode())
        start = text[: min(LONGEST_TEXT, max(self._bytes, 0))]
        while start and (size := len(json.dumps(start, ensure_ascii=False).encode())) > self._bytes:
            start = start[: len(start) * self._bytes // size - 1] if self._bytes > 0 else ""
        self._bytes -= len(json.dumps(start, ensure_ascii=False).encode())
        return start if len(start) == len(text) else start + self._cut()

    def _allowed(self) -> int:
        return max(0, min(self._items, self._left))

    def _cut(self, mark: str = CUT) -> str:
        self.cut = True
        return mark


def _array_of(value: Any, kind: type) -> Any:
    """Return a NumPy or torch value as a NumPy array; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
        return numpy.asarray(value)
    torch = sys.modules.get("torch")
    if torch is None or not issubclass(kind, torch.Tensor):
        return None
    tensor = value.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return tensor.resolve_conj().resolve_neg().contiguous().numpy()


def _is_peft_config(kind: type) -> bool:
    peft = sys.modules.get("peft")
    return peft is not None and issubclass(kind, peft.PeftConfig)


def _changed_fields(config: Any) -> tuple[list[tuple[str, Any]], int]:
    """Return the fields of a PEFT configuration that are not at their defaults."""
    default = type(config)()
    pairs: list[tuple[str, Any]] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name, None)
        if not _equal(value, getattr(default, field.name, None)):
            pairs.append((field.name, value))
    return pairs, len(pairs)


def _equal(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # an array, or a stranger's ==
        return False


def _constants(code: Any) -> list[str]:
    return [shorten(part) for part in code.co_consts if not hasattr(part, "co_code")] + [
        inner
        for part in code.co_consts
        if hasattr(part, "co_code")
        for inner in (part.co_code.hex(), *_constants(part))
    ]


def _fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

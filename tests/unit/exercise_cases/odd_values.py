"""Values that no exercise asks for: each gets an outcome, quickly, and nothing is raised.

A table of (name, maker): the maker runs in the test, so that the table itself loads nothing.
"""

from __future__ import annotations

import datetime
import enum
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any


class LiesAboutTruth:
    """An object whose truth, length, equality and hash raise."""

    def __bool__(self):
        raise ValueError("neither")

    __len__ = __hash__ = __bool__

    def __eq__(self, other):
        raise ValueError("incomparable")


class LiesAboutClass:
    """An object that calls itself a dictionary, a number and a list."""

    def __init__(self, said: type):
        self.said = said

    @property
    def __class__(self):
        return self.said


class RaisesEverywhere:
    """An object that raises for any attribute, for its text and for its parts."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError("no text")

    __str__ = __iter__ = __float__ = __index__ = __repr__


class ExitsOnCopy:
    """An object that ends the process when it is copied, compared or shown."""

    def __deepcopy__(self, memo):
        raise SystemExit(3)

    def __repr__(self):
        raise SystemExit(3)

    __copy__ = __eq__ = __iter__ = __deepcopy__
    __hash__ = object.__hash__


class Mapped(Mapping):
    """A mapping whose every part is itself."""

    def __getitem__(self, key):
        return self

    def __iter__(self):
        return iter(("A", "B", "lora", "qlora", "lora_A", "base weight"))

    def __len__(self):
        return 6


class Endless:
    """An object that never stops giving parts, and says that it has very many."""

    def __iter__(self):
        return self

    def __next__(self):
        return 1

    def __len__(self):
        return sys.maxsize


class Meta(type):
    """The class of a class that claims everything as its instance."""

    def __instancecheck__(cls, instance):
        return True


class Claims(metaclass=Meta):
    """A class of which everything is an instance."""


class Color(enum.Enum):
    """An enumeration."""

    RED = 1


class Number(float):
    """A number whose text, comparisons and sums raise."""

    def __repr__(self):
        raise ValueError("no text")

    def __sub__(self, other):
        raise ValueError("no difference")

    def __eq__(self, other):
        raise ValueError("incomparable")

    __lt__ = __gt__ = __eq__
    __hash__ = float.__hash__
    __abs__ = __repr__  # pyright: ignore[reportAssignmentType]


def holds_itself() -> Any:
    parts: list[Any] = [1]
    parts.append(parts)
    return parts


def dict_that_holds_itself() -> Any:
    parts: dict[str, Any] = {}
    parts.update({letter: parts for letter in "ABCDE"}, lora=parts, qlora=parts)
    return parts


def deep() -> Any:
    parts: list[Any] = []
    for _ in range(100_000):
        parts = [parts]
    return parts


def nameless() -> Any:
    return type("", (), {})()


def long_name() -> Any:
    return type("x" * 1_000_000, (), {})()


def tensor(make: Callable[[Any], Any]) -> Callable[[], Any]:
    def made() -> Any:
        import torch

        return make(torch)

    return made


def array(make: Callable[[Any], Any]) -> Callable[[], Any]:
    def made() -> Any:
        import numpy as np

        return make(np)

    return made


def lora(**fields: Any) -> Callable[[], Any]:
    """Make a LoraConfig and set its fields afterwards, past what PEFT checks."""

    def made() -> Any:
        from peft import LoraConfig

        config = LoraConfig(r=8)
        for name, value in fields.items():
            setattr(config, name, value)
        return config

    return made


def lora_without_fields() -> Any:
    from peft import LoraConfig

    return LoraConfig.__new__(LoraConfig)


def lora_subclass() -> Any:
    from peft import LoraConfig

    class Mine(LoraConfig):
        def __getattribute__(self, name):
            raise RuntimeError(name)

    return Mine.__new__(Mine)


def lora_that_exits() -> Any:
    from peft import LoraConfig

    class Mine(LoraConfig):
        def __deepcopy__(self, memo):
            raise SystemExit(3)

        __reduce_ex__ = __deepcopy__

    return Mine(r=8, target_modules=["q_proj"])


ODD_VALUES: list[tuple[str, Callable[[], Any]]] = [
    ("ragged list", lambda: [[1, 2], [3]]),
    ("mixed list", lambda: [1, "two", None, [3.0]]),
    ("empty list", list),
    ("empty dict", dict),
    ("list of nothing", lambda: [None, None]),
    ("huge int", lambda: 2**10**5),
    ("huge negative int", lambda: -(10**5000)),
    ("huge float", lambda: 1e308),
    ("list of huge ints", lambda: [10**5000] * 16),
    ("dict of huge ints", lambda: {10**5000: 10**5000}),
    ("holds itself", holds_itself),
    ("dict that holds itself", dict_that_holds_itself),
    ("100,000 deep", deep),
    ("nan", lambda: float("nan")),
    ("inf", lambda: float("-inf")),
    ("complex", lambda: 3 + 4j),
    ("bool", lambda: True),
    ("text", lambda: "48"),
    ("text of NUL", lambda: "\0" * 50_000),
    ("lone surrogate", lambda: "\ud800"),
    ("long text", lambda: "9" * 5_000_000),
    ("source of nothing", lambda: "pass"),
    ("bytes", lambda: b"\xff" * 1000),
    ("set", lambda: {1, 2, 3}),
    ("generator", lambda: (n for n in range(3))),
    ("endless", Endless),
    ("range", lambda: range(10**18)),
    ("type", lambda: int),
    ("NotImplemented", lambda: NotImplemented),
    ("exception", lambda: ValueError("x")),
    ("module", lambda: sys),
    ("lock", threading.Lock),
    ("date", lambda: datetime.date(2024, 2, 29)),
    ("enum", lambda: Color.RED),
    ("class without a name", nameless),
    ("class with a name of a million characters", long_name),
    ("lies about truth", LiesAboutTruth),
    ("calls itself a dict", lambda: LiesAboutClass(dict)),
    ("calls itself a float", lambda: LiesAboutClass(float)),
    ("calls itself a list", lambda: LiesAboutClass(list)),
    ("calls itself a function", lambda: LiesAboutClass(type(deep))),
    ("raises everywhere", RaisesEverywhere),
    ("exits when copied", ExitsOnCopy),
    ("mapping of itself", Mapped),
    ("claims everything", Claims),
    ("number that raises", lambda: Number(-1)),
    ("dict of odd parts", lambda: {"A": LiesAboutTruth(), "lora": RaisesEverywhere(), 3: 4}),
    ("five odd parts", lambda: [LiesAboutTruth(), RaisesEverywhere(), ..., None, ExitsOnCopy()]),
    ("two dicts", lambda: {"lora": {}, "qlora": {}}),
    ("empty tensor", tensor(lambda torch: torch.empty(0))),
    ("meta tensor", tensor(lambda torch: torch.empty(3, device="meta"))),
    ("meta scalar", tensor(lambda torch: torch.empty((), device="meta"))),
    ("complex tensor", tensor(lambda torch: torch.ones(2, dtype=torch.complex64))),
    ("sparse tensor", tensor(lambda torch: torch.ones(2, 2).to_sparse())),
    ("tensor with a gradient", tensor(lambda torch: torch.ones(1, requires_grad=True) * 2)),
    ("large tensor", tensor(lambda torch: torch.zeros(10**7))),
    ("nan tensor", tensor(lambda torch: torch.tensor(float("nan")))),
    ("empty array", array(lambda np: np.empty((0, 3)))),
    ("array of objects", array(lambda np: np.array([None, "a", {}], dtype=object))),
    ("array of text", array(lambda np: np.array(["a", "b"]))),
    ("structured array", array(lambda np: np.zeros(2, dtype=[("a", int), ("b", float)]))),
    ("datetime64", array(lambda np: np.datetime64("NaT"))),
    ("masked", array(lambda np: np.ma.masked)),
    ("rank of a billion", lora(r=10**9)),
    ("rank that is text", lora(r="8", target_modules=["q_proj"])),
    ("rank below zero", lora(r=-1, target_modules=["q_proj", "dense"])),
    ("rank that lies", lora(r=LiesAboutTruth(), target_modules=["q_proj", "dense"])),
    ("alpha that is nan", lora(lora_alpha=float("nan"), target_modules=["q_proj", "dense"])),
    ("alpha without end", lora(lora_alpha=10**5000, target_modules=["q_proj", "dense"])),
    ("dropout that is text", lora(lora_dropout="0.05", target_modules=["q_proj", "dense"])),
    ("targets that hold themselves", lora(target_modules=holds_itself())),
    ("targets that are objects", lora(target_modules={RaisesEverywhere, None, 3})),
    ("broken pattern", lora(target_modules="([")),
    ("endless targets", lora(target_modules=Endless())),
    ("pattern of ranks without sense", lora(rank_pattern={"(": None}, target_modules=["q_proj"])),
    ("odd field", lora(modules_to_save=RaisesEverywhere())),
    ("a LoraConfig without fields", lora_without_fields),
    ("a LoraConfig that raises", lora_subclass),
    ("a LoraConfig that exits when copied", lora_that_exits),
    # Python's re backtracks for ever on the names of modules: only a time limit ends it.
    ("pattern that explodes", lora(target_modules=r"((\w|\.)*)*!")),
]

# What a function may return in place of a result; each costs a process of its own.
RETURNED = (
    "ragged list", "mixed list", "empty dict", "list of nothing", "huge int", "holds itself",
    "nan", "complex", "text of NUL", "set", "generator", "type", "class without a name",
    "class with a name of a million characters", "lies about truth", "calls itself a dict",
    "raises everywhere", "exits when copied", "mapping of itself", "five odd parts",
    "empty tensor", "meta tensor", "complex tensor", "sparse tensor", "array of objects",
    "structured array",
)  # fmt: skip

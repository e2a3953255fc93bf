"""Values whose own methods hang, end the process, fail or lie, and others that crash a checker.

Each is a maker, by name. `odd_values` holds quieter ones, which every exercise is given.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import torch


def odd(name: str = "Odd", **members: Any) -> Any:
    return type(name, (), members)()


def hang(*_: Any, **__: Any) -> Any:
    while True:
        pass


def leave(*_: Any, **__: Any) -> Any:
    os._exit(3)


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("\udcff" + "x" * 10**6)


class LyingMeta(type):
    def __eq__(cls, other):
        os._exit(3)

    __hash__ = type.__hash__

    @property
    def __name__(cls):
        os._exit(3)

    def __getattribute__(cls, name):
        os._exit(3)

    def __instancecheck__(cls, other):
        os._exit(3)


class LyingList(list):
    __iter__ = hang
    __len__ = __bool__ = leave


class LyingText(str):
    __slots__ = ()
    strip = __len__ = __eq__ = leave
    __hash__ = str.__hash__


class LyingDict(dict):
    items = hang
    keys = get = __len__ = leave


def itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def config(**fields: Any) -> Any:
    from peft import LoraConfig

    return LoraConfig(**fields)


def leaving_config() -> Any:
    from peft import LoraConfig

    return type("Config", (LoraConfig,), {"__deepcopy__": leave})(target_modules=["dense"])


def tensor(make: str) -> Any:
    if make == "meta":
        return torch.empty(3, device="meta")
    return torch.eye(3).to_sparse() if make == "sparse" else torch.empty(0)


_METHODS = (
    "__bool__", "__eq__", "__len__", "__iter__", "__hash__", "__repr__", "__float__", "__index__",
    "__array__", "__getattribute__", "__getattr__", "__deepcopy__", "__reduce_ex__",
)  # fmt: skip
HOSTILE: dict[str, Any] = {
    **{
        f"{method} that {way.__name__}s": lambda method=method, way=way: odd(**{method: way})
        for method in _METHODS
        for way in (hang, leave, fail)
    },
    "__class__ that hangs": lambda: odd(__class__=property(hang)),
    "__class__ that leaves": lambda: odd(__class__=property(leave)),
    "a class of str's": lambda: odd(__class__=str),
    "a class without a name": lambda: odd(""),
    "a very long name": lambda: odd("a" * 10**6),
    "a lying metaclass": lambda: LyingMeta("Odd", (), {})(),
    "a lying list": lambda: LyingList([1]),
    "a lying text": lambda: LyingText("abc"),
    "a lying dict": lambda: LyingDict(a=1),
    "ragged": lambda: [[1], [2, 3]],
    "a very long int": lambda: 2**10**5,
    "an int of 5,000 digits": lambda: 10**5000,
    "a list that holds itself": itself,
    "a dict that holds itself": lambda: {"a": itself()},
    "nested deeply": lambda: functools.reduce(lambda a, _: [a], range(500), 1),
    "nan": lambda: float("nan"),
    "inf": lambda: float("-inf"),
    "a complex number": lambda: 3j,
    "half a surrogate": lambda: "\udcff\x1b[31m",
    "bytes": lambda: b"\xff",
    "a type": lambda: int,
    "a module": lambda: os,
    "an exception": lambda: ValueError("x"),
    "mixed keys": lambda: {1: 2, "a": [1], None: ...},
    "an endless generator": lambda: iter(int, 1),
    "a meta tensor": lambda: tensor("meta"),
    "a sparse tensor": lambda: tensor("sparse"),
    "an empty tensor": lambda: tensor("empty"),
    "a very large rank": lambda: config(r=10**9, target_modules="all-linear"),
    "a regex bomb": lambda: config(target_modules=r"(([a-z_.]+)+)+$X"),
    "a config whose copy leaves": leaving_config,
}

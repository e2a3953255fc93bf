"""What an answer may do to its checker: nothing. What a right answer may look like: much."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import fractions
import functools
import os
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from labs_lib.assessment.exercises import all_exercises, find_exercise
from labs_lib.assessment.exercises.base import (
    CheckerError,
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    ValueCheck,
    judge,
    same,
)
from labs_lib.assessment.plain import ForgedError, Other, Record, decode, encode

SECONDS = 0.2


def exercise(check: Any, **more: Any) -> Exercise:
    texts = {"starter": "def f(x):\n    ...\n", "solution": "def f(x):\n    return x\n", **more}
    return Exercise(
        "00.test", "Test", "test", "Do it.", "f", hints=("Think.",), check=check, **texts
    )


def returning(wanted: Any, **more: Any) -> Exercise:
    """An exercise whose every case wants this value."""
    cases = [(number,) for number in range(3)]
    return exercise(FunctionCheck(lambda _: cases, lambda _: wanted, seconds=5.0, **more))


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


@pytest.mark.parametrize("asked", ["00.trained-share", "04.lora-config"])
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_no_value_raises_or_hangs(asked, make):
    known = find_exercise(asked)
    check: Any = known.check
    short = dataclasses.replace(known, check=dataclasses.replace(check, seconds=SECONDS))
    outcome = judge(short, make())
    assert outcome.status in ("incorrect", "error") and outcome.misconception != "not-judged"
    assert outcome.message.isprintable() and len(outcome.message) <= 1000
    outcome.message.encode()


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("wanted", [7.5, [1.0, 2.0]])
def test_no_result_raises_or_hangs(wanted, make):
    check = FunctionCheck(lambda _: [(1,)], lambda _: wanted, seconds=SECONDS)
    outcome = judge(exercise(check), lambda x: make())
    assert outcome.status in ("incorrect", "error") and outcome.misconception != "not-judged"
    assert outcome.message.isprintable() and len(outcome.message) <= 1000


def test_a_result_wanted_as_an_array_may_be_anything():
    for make in (HOSTILE["ragged"], HOSTILE["a very long int"], lambda: {"a": 1}, lambda: ["a"]):
        assert judge(returning(np.ones((2, 2))), lambda x, make=make: make()).status == "incorrect"


@pytest.mark.parametrize(
    "answer",
    [
        odd(__call__=lambda self, x: 7.5),
        odd(__call__=lambda self, x: 7.5, __code__=property(leave)),
        functools.partial(lambda y, x: y, 7.5),
        "def f(x): return 7.5",
        "import math\nf = lambda x: math.sqrt(56.25)\n",
    ],
)
def test_whatever_can_be_called_is_a_function(answer):
    assert judge(returning(7.5), answer).status == "correct"


@pytest.mark.parametrize(
    "source", ["f = 1", "def f(x:", "raise SystemExit", "while True: pass", "(" * 5000, "\x00", "f"]
)
def test_no_source_raises(source):
    check = FunctionCheck(lambda _: [(1,)], lambda _: 1, seconds=SECONDS)
    assert judge(exercise(check), source).status == "error"


class Point(tuple):
    __slots__ = ()


Pair = collections.namedtuple("Pair", "a b")


class Whole(enum.IntEnum):
    SEVEN = 7


RIGHT = [  # wanted, a result that a fair teacher takes
    (7, lambda: 7.0),
    (7, lambda: Whole.SEVEN),
    (7, lambda: fractions.Fraction(14, 2)),
    (7.5, lambda: decimal.Decimal("7.5")),
    (7.5, lambda: fractions.Fraction(15, 2)),
    (7.5, lambda: np.float32(7.5)),
    (7.5, lambda: np.array([[7.5]])),
    (7, lambda: np.int64(7)),
    (7, lambda: torch.tensor(7)),
    (7.5, lambda: torch.tensor([7.5], dtype=torch.bfloat16, requires_grad=True)),
    (2**70, lambda: 2**70),
    (True, lambda: 1),
    (False, lambda: 0.0),
    (True, lambda: np.bool_(True)),
    (True, lambda: torch.tensor(True)),
    ("test", lambda: " Test"),
    ([1, 2], lambda: (1, 2)),
    ((1, 2), lambda: [1.0, 2.0]),
    ((1, 2), lambda: Pair(1, 2)),
    ([1, 2], lambda: Point([1, 2])),
    ([0, 1, 2], lambda: range(3)),
    ([0, 1, 4], lambda: (n * n for n in range(3))),
    ([0, 1, 2], lambda: map(int, "012")),
    ([1, 2], lambda: {"a": 1, "b": 2}.values()),
    ([1, 2], lambda: collections.deque([1, 2])),
    ([1, 2], lambda: collections.UserList([1, 2])),
    ([1.0, 2.0], lambda: np.array([1, 2])),
    ([[1, 2], [3, 4]], lambda: torch.tensor([[1, 2], [3, 4]])),
    ([1, [2, 3]], lambda: np.array([1, [2, 3]], dtype=object)),
    ({"a": 1}, lambda: collections.OrderedDict(a=1)),
    ({"a": 1}, lambda: collections.UserDict(a=1)),
    ({"a": 1}, lambda: types.MappingProxyType({"a": 1})),
    ({"a": [1, 2]}, lambda: collections.defaultdict(list, a=(1, 2))),
    ({1, 2}, lambda: frozenset([2, 1])),
    ("array", lambda: [[1.0, 2.0], [3.0, 4.0]]),
    ("array", lambda: torch.tensor([[1.0, 2], [3, 4]]).double()),
    ("array", lambda: torch.tensor([[1.0, 2], [3, 4]]).to_sparse()),
    ("array", lambda: torch.tensor([[1.0, 2], [3, 4]]).to_sparse_csr()),
    ("array", lambda: np.array([[1, 2], [3, 4]], dtype=">i4")),
]


@pytest.mark.parametrize(("wanted", "make"), RIGHT)
def test_a_right_result_of_another_type_is_right(wanted, make):
    wanted = np.array([[1.0, 2], [3, 4]]) if wanted == "array" else wanted
    assert judge(returning(wanted), lambda x: make()).status == "correct"


@pytest.mark.parametrize(("wanted", "make"), [row for row in RIGHT if not callable(row[0])][:15])
def test_a_right_value_of_another_type_is_right(wanted, make):
    check = ValueCheck((Property(lambda value: same(value, wanted), "No."),), observe=lambda v: v)
    value = make()
    value = value if not callable(value) else value.value
    assert judge(exercise(check), value).status == "correct"


FORMS = [  # wanted, the same in another form, what is said
    ("row", lambda: np.arange(4.0)[None], "shape (4,)"),
    ("row", lambda: torch.arange(4.0)[:, None], "shape (4,)"),
    ("row", lambda: [[0, 1, 2, 3]], "shape (4,)"),
    ([1, 2, 3], lambda: [[1, 2, 3]], "3 values"),
    ([1, 2], lambda: {1, 2}, "no order"),
    ((1, 2), lambda: {"a": 1, "b": 2}, "tuple"),
    (7, lambda: "7", "not text"),
    (1234.5, lambda: "1,234.5", "not text"),
    (7, lambda: [7], "the number itself"),
    (True, lambda: "true", "True or False"),
    (3.14159, lambda: 3.14, "not rounded"),
    ([3.14159, 2.71828], lambda: (3.14, 2.72), "not rounded"),
    (None, lambda: "None", "None, not text"),
    ("row", lambda: {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}, "not a dict"),
    ("row", lambda: {0.0, 1.0, 2.0, 3.0}, "no order"),
    ("row", lambda: ["0", "1", "2", "3"], "not text"),
    ("thirds", lambda: (torch.arange(4.0) / 3).bfloat16(), "rounded to 16 bits"),
    ((1, None), lambda: ("1", "none"), "not text"),
]


@pytest.mark.parametrize(("wanted", "make", "said"), FORMS)
def test_right_values_in_another_form_are_told_the_form(wanted, make, said):
    rows = {"row": np.arange(4.0), "thirds": np.arange(4.0) / 3}
    wanted = rows.get(wanted, wanted) if isinstance(wanted, str) else wanted
    outcome = judge(returning(wanted), lambda x: make())
    assert outcome.status == "error" and said in outcome.message, outcome


WRONG = [  # wanted, a result that looks alike and is not
    (7, lambda: 8),
    (7, lambda: True),
    (1, lambda: True),
    (True, lambda: 2),
    (True, lambda: "yes"),
    (7, lambda: "8"),
    (7.5, lambda: 7.0),
    (3.14159, lambda: 3.0),
    ([1, 2], lambda: [2, 1]),
    ([1, 2], lambda: {1, 3}),
    ([1, 1], lambda: [1]),
    (10**400, lambda: 10**400 + 1),
    (10**400, lambda: float("inf")),
    ("row", lambda: np.arange(4.0)[::-1]),
    ("row", lambda: np.arange(4.0).reshape(2, 2)),
    ("row", lambda: np.arange(5.0)),
    ({"a": 1}, lambda: {"a": 1, "b": 2}),
    ("test", lambda: "tests"),
    (None, lambda: "nothing"),
    ("row", lambda: ["0", "1", "2", "4"]),
    ("row", lambda: {0: 3.0, 1: 1.0, 2: 2.0, 3: 0.0}),
    ("row", lambda: torch.tensor([0, 1, 2, 3.5]).bfloat16()),
    (None, lambda: 0),
]


@pytest.mark.parametrize(("wanted", "make"), WRONG)
def test_a_wrong_result_is_wrong(wanted, make):
    wanted = np.arange(4.0) if isinstance(wanted, str) and wanted == "row" else wanted
    assert judge(returning(wanted), lambda x: make()).status == "incorrect"


def pops(cards):
    best = None
    while cards:
        card = cards.pop()
        best = card if best is None else min(best, card)
    return best


def sorts(cards):
    cards.sort()
    return cards[0]


def same_list_each_time(cards, kept=[]):  # noqa: B006
    kept.append(min(cards))
    return kept[-1]


@pytest.mark.parametrize("answer", [pops, sorts, same_list_each_time])
def test_each_call_has_its_own_arguments(answer):
    shared = [80, 16, 48]
    check = FunctionCheck(lambda _: [(shared,), (shared,), (shared,)], pops)
    assert judge(exercise(check), answer).status == "correct"
    assert shared == [80, 16, 48]


def test_a_message_shows_the_arguments_as_they_were():
    check = FunctionCheck(lambda _: [([3, 1, 2],)], min)
    outcome = judge(exercise(check), lambda values: values.sort() or values.pop())
    assert outcome.message == "f([3, 1, 2]) returned 3; expected 1."


def test_a_list_returned_twice_and_changed_is_judged_as_it_was():
    kept: list[int] = []

    def answer(x):
        kept.append(x)
        return kept

    check = FunctionCheck(lambda _: [(0,), (1,)], lambda x: list(range(x + 1)))
    assert judge(exercise(check), answer).status == "correct"


MESSAGES = [  # wanted, result, what the message says
    (7, 7.9999999, "returned 7.9999999; expected 7"),
    (7.0, 7.01, "returned 7.01; expected 7"),
    (1000000.0, 1001000.5, "returned 1001000.5; expected 1e+06"),
    (24, None, "returned None; expected 24"),
    ([1, 2.5, 3], [1, 2.75, 3], "returned 2.75 in place 1; expected 2.5"),
    (7, HOSTILE["a very long int"], "a whole number of some"),
]


@pytest.mark.parametrize(("wanted", "result", "said"), MESSAGES)
def test_a_message_shows_the_difference(wanted, result, said):
    def answer(x):
        return result() if callable(result) else result

    assert said in judge(returning(wanted), answer).message


def test_a_missing_return_is_named_only_where_it_is_missing():
    def forgets(x):
        x + 1

    def returns_none(x):
        return None if x > -1 else 5

    assert "end with a return" in judge(returning(5), forgets).message
    assert "end with a return" in judge(returning(5), "def f(x):\n    x + 1\n").message
    assert judge(returning(5), returns_none).message == "f(0) returned None; expected 5."
    said = judge(returning(5), "def f(x):\n    return {}.get(x)\n").message
    assert said == "f(0) returned None; expected 5."


def test_what_a_wrong_answer_prints_is_shown():
    def answer(x):
        print("here:", x)
        return 3

    outcome = judge(returning(5), answer)
    assert outcome.status == "incorrect" and "It printed: 'here: 0" in outcome.message

    def floods(x):
        print("y" * 5000)
        return 3

    assert len(judge(returning(5), floods).message) < 300


def unfinished(x):
    raise NotImplementedError


def unfinished_in_words(x):
    raise NotImplementedError("to do")


def returns_dots(x):
    return ...


def only_a_docstring(x):
    """Return five, one day."""


def a_docstring_and_dots(x):
    """Return five, one day."""
    ...


def wrong_backward(x):
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return 2 * value

        @staticmethod
        def backwards(ctx, gradient):
            return 2 * gradient

    value = torch.ones(1, requires_grad=True)
    Twice.apply(value).backward()
    return 1


def half_ndtri(x):
    return torch.special.ndtri(torch.tensor([0.5], dtype=torch.float16))


def meta_tensor(x):
    return torch.empty(2, device="meta").tolist()


def meta_number(x):
    return torch.empty(1, device="meta").item()


def module_without_forward(x):
    return torch.nn.Module()(x)


def wraps_a_librarys(x):
    try:
        return module_without_forward(x)
    except NotImplementedError as error:
        raise NotImplementedError("wrapped") from error


def re_raises(x):
    try:
        return module_without_forward(x)
    except NotImplementedError:
        raise


@pytest.mark.parametrize(
    "answer",
    [
        unfinished, unfinished_in_words, returns_dots, only_a_docstring, a_docstring_and_dots,
    ],
)  # fmt: skip
def test_a_blank_is_a_blank(answer):
    assert judge(returning(5), answer).status == "not attempted"


@pytest.mark.parametrize(
    "answer",
    [
        wrong_backward, half_ndtri, meta_tensor, meta_number, module_without_forward,
        wraps_a_librarys, re_raises,
    ],
)  # fmt: skip
def test_work_is_no_blank(answer):
    assert judge(returning(5), answer).status in ("error", "incorrect")


def test_patching_the_comparison_in_the_other_process_changes_nothing():
    def answer(x):
        import math

        import labs_lib.assessment.exercises.comparing as comparing

        torch.allclose = torch.equal = math.isclose = lambda *_, **__: True
        comparing.same = lambda *_, **__: True
        sys.modules["labs_lib.assessment.exercises.base"].same = comparing.same  # type: ignore
        return torch.zeros(3)

    assert judge(returning(torch.ones(3)), answer).status == "incorrect"


def slip(*_: Any) -> Any:
    return undefined_name  # type: ignore # noqa: F821


@pytest.mark.parametrize(
    "check",
    [
        FunctionCheck(slip, lambda x: x),
        FunctionCheck(lambda _: [(1,)], slip),
        FunctionCheck(lambda _: [(1,)], lambda x: 1 / 0),
        FunctionCheck(lambda _: [(1,)], properties=(Property(slip, ""),)),
        FunctionCheck(lambda _: [(1,)], lambda x: 5, (Misconception("a", "", wrong=slip),)),
        FunctionCheck(lambda _: [(1,)], lambda x: 5, (Misconception("a", "", when=slip),)),
    ],
)
def test_an_authors_slip_is_no_students_mistake(check):
    with pytest.raises(CheckerError):
        judge(exercise(check), lambda x: 2 * x)


def test_an_authors_slip_in_a_value_check_is_told_too():
    for check in (ValueCheck((Property(slip, ""),)), ValueCheck((), observe=slip)):
        with pytest.raises(CheckerError):
            judge(exercise(check), 3)


@pytest.mark.parametrize("each", all_exercises(), ids=lambda each: each.id)
def test_no_exercise_has_a_slip_in_its_own_cases(each):
    """The reference and every known mistake run on every case."""
    import random

    from labs_lib.assessment.exercises.base import SEED

    if not isinstance(each.check, FunctionCheck):
        return
    for case in each.check.cases(random.Random(SEED)):
        for known in each.check.misconceptions:
            if known.wrong is not None:
                known.wrong(*case)


def test_a_configuration_crosses_with_its_fields():
    crossed = decode(encode(config(r=4, target_modules=["a", "b"], bias="all")))
    assert isinstance(crossed, Record) and crossed.type_name == "LoraConfig"
    assert (crossed.r, crossed.target_modules, crossed.bias) == (4, {"a", "b"}, "all")
    with pytest.raises(AttributeError, match="no field rank"):
        _ = crossed.rank


@pytest.mark.parametrize(
    "forged",
    [
        [], [1], {"odd": 1}, {"list": 3}, {"list": [[1]]}, {"dict": [[1, 2, 3]]}, {"dict": 1},
        {"array": "AA==", "dtype": "O", "shape": [1], "torch": False},
        {"array": "AAAA", "dtype": "<f4", "shape": [-7, 10**12], "torch": True},
        {"array": 3, "dtype": "<f4", "shape": [1], "torch": True},
        {"array": "", "dtype": "x" * 99, "shape": [0], "torch": True},
        {"other": "x"}, {"record": "x", "fields": [1]}, {},
    ],
)  # fmt: skip
def test_what_was_never_encoded_is_refused(forged):
    with pytest.raises(ForgedError):
        decode(forged)


def test_odd_containers_come_back():
    value = {(1, (2, 3)): {(4, 5)}, frozenset({1}): Other("lock")}
    assert decode(encode(value, tuples=True)) == value

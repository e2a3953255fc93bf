"""Which answers count as work, what each call is given, and whose slip a slip is."""

from __future__ import annotations

import functools
import random
from typing import Any

import pytest
import torch
from exercise_cases.base import exercise, returning
from exercise_cases.hostile_values import fail, leave, odd

from labs_lib.assessment.exercises import all_exercises, reading
from labs_lib.assessment.exercises.base import (
    SEED,
    CheckerError,
    FunctionCheck,
    Misconception,
    Property,
    ValueCheck,
    judge,
)
from labs_lib.assessment.outcomes import is_blank

SECONDS = 0.2


@pytest.mark.parametrize(
    "answer",
    [
        odd(__call__=lambda _self, _x: 7.5),
        odd(__call__=lambda _self, _x: 7.5, __code__=property(leave)),
        functools.partial(lambda y, _x: y, 7.5),
        "def f(x): return 7.5",
        "import math\nf = lambda x: math.sqrt(56.25)\n",
    ],
)
def test_whatever_can_be_called_is_a_function(answer):
    assert judge(returning(7.5), answer).status == "correct"


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
    assert outcome.status == "incorrect"
    assert "It printed: 'here: 0" in outcome.message

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
        def forward(_ctx, value):
            return 2 * value

        @staticmethod
        def backwards(_ctx, gradient):
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


@pytest.mark.parametrize("kind", [str, list, tuple, set, frozenset])
def test_a_blank_is_told_without_asking_the_value(kind):
    odd_kind = type("Odd", (kind,), {"__len__": fail, "__bool__": fail, "strip": fail})
    assert is_blank(odd_kind())
    assert not is_blank(odd_kind("a"))


@pytest.mark.parametrize(
    "answer",
    [
        wrong_backward, half_ndtri, meta_tensor, meta_number, module_without_forward,
        wraps_a_librarys, re_raises,
    ],
)  # fmt: skip
def test_work_is_no_blank(answer):
    assert judge(returning(5), answer).status in ("error", "incorrect")


def slip(*_: Any) -> Any:
    return undefined_name  # type: ignore # noqa: F821


@pytest.mark.parametrize(
    "check",
    [
        FunctionCheck(slip, lambda x: x),
        FunctionCheck(lambda _: [(1,)], slip),
        FunctionCheck(lambda _: [(1,)], lambda _x: 1 / 0),
        FunctionCheck(lambda _: [(1,)], properties=(Property(slip, ""),)),
        FunctionCheck(lambda _: [(1,)], lambda _x: 5, (Misconception("a", "", wrong=slip),)),
        FunctionCheck(lambda _: [(1,)], lambda _x: 5, (Misconception("a", "", when=slip),)),
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
    if not isinstance(each.check, FunctionCheck):
        return
    for case in each.check.cases(random.Random(SEED)):
        for known in each.check.misconceptions:
            if known.wrong is not None:
                known.wrong(*case)


def test_a_wrong_form_is_told_by_its_class_and_not_by_its_name():
    class WrongFormError(ValueError):
        """A student's own class, which is called as the checkers' is."""

    def own(x):
        raise WrongFormError(f"a fault in my code at {x}")

    def theirs(x):
        raise reading.WrongFormError(f"x should be a number, not {x}")

    check = FunctionCheck(lambda _: [(1,)], lambda x: x)
    assert judge(exercise(check), own).message.startswith("WrongFormError in line ")
    assert judge(exercise(check), theirs).message == "x should be a number, not 1."


def test_a_look_in_this_process_tells_a_wrong_form_too():
    outcome = judge(exercise(ValueCheck((), observe=reading.number_of("x"))), "7")
    assert outcome.status == "error"
    assert outcome.message.startswith("x should be a number, not a str")

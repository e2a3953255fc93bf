"""What an exercise is, and how an answer to one is judged."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, cast

from labs_lib.assessment.exercises.answers import (
    SOURCE_FILE,
    is_starter,
    is_text,
    returns_a_value,
    student_files,
)
from labs_lib.assessment.exercises.code import NO_CODE, Code
from labs_lib.assessment.exercises.comparing import difference, expected_form, same
from labs_lib.assessment.exercises.work import Calls, CheckerError, Looks
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.outcomes import (
    BLANK,
    CORRECT,
    ERROR,
    INCORRECT,
    NOT_ATTEMPTED,
    Outcome,
    is_blank,
)
from labs_lib.assessment.plain import is_plain, plain_text
from labs_lib.assessment.sandbox import SECONDS, Apart, run_apart
from labs_lib.errors import kind_of, shorten

# One seed for every check: the inputs look random to the student, and a verdict never flickers.
SEED = 20240607
LONGEST_MESSAGE = 1000

Difficulty = Literal["easy", "hard"]
# What an exercise takes a person: one line or one number, or a whole function.
MINUTES: dict[Difficulty, int] = {"easy": 3, "hard": 10}

__all__ = [
    "SEED",
    "SOURCE_FILE",
    "Check",
    "CheckerError",
    "Difficulty",
    "Exercise",
    "FunctionCheck",
    "Misconception",
    "Property",
    "ValueCheck",
    "judge",
    "same",
]


@dataclass(frozen=True)
class Misconception:
    """A known mistake: how to recognize it, and what to tell the student who made it.

    For a function, give `wrong`, the function that the mistake amounts to: it is recognized when
    the student's results equal its results on every case. For anything else give `when`, which
    gets the value (or the function's results, a list) and returns whether it is this mistake.
    """

    name: str
    message: str
    wrong: Callable[..., Any] | None = None
    when: Callable[[Any], bool] | None = None


@dataclass(frozen=True)
class Property:
    """Something that is true of every right answer; `message` says what is not, if it is not.

    A message that names what the answer holds is a function of what `holds` was given.
    """

    holds: Callable[[Any], bool]
    message: str | Callable[[Any], str]

    def message_for(self, value: Any) -> str:
        """Return the message about this value."""
        return self.message if isinstance(self.message, str) else self.message(value)


class Check(Protocol):
    """How an exercise judges an answer."""

    @property
    def misconceptions(self) -> tuple[Misconception, ...]:
        """Return the known mistakes."""
        ...

    def judge(self, exercise: Exercise, answer: Any) -> Outcome:
        """Return the outcome; never raises for what the answer holds or does."""
        ...


@dataclass(frozen=True)
class Exercise:
    """A task in a notebook cell: what to do, what the cell holds at first, how it is judged.

    `answer` is the name that the cell defines and that `check(id, name)` is given. `code` is the
    cell's source, before and after; the marker line is added to both. A lesson's exercise gets it
    from the files of `code/NAME`, NAME being its id without the lesson.
    """

    id: str
    title: str
    objective: str
    task: str
    answer: str
    hints: tuple[str, ...]
    check: Check
    praise: str = "That is right."
    material: Callable[[], Any] | None = field(default=None, repr=False)
    code: Code = field(default=NO_CODE, repr=False)
    difficulty: Difficulty = "hard"
    # Lines that belong to a known mistake, shown among the solution's by `arrange`, indented alike.
    decoys: tuple[str, ...] = ()

    @property
    def minutes(self) -> int:
        """Return how many minutes a person needs for it."""
        return MINUTES[self.difficulty]

    @property
    def lesson(self) -> str:
        """Return the id of its lesson."""
        return lesson_id(self.id)

    @property
    def name(self) -> str:
        """Return its id without the lesson."""
        return self.id.partition(".")[2]

    @property
    def starter(self) -> str:
        """Return what its cell holds at first."""
        return self.code.starter

    @property
    def solution(self) -> str:
        """Return what its cell holds once solved."""
        return self.code.solution


def judge(exercise: Exercise, answer: Any) -> Outcome:
    """Judge an answer to an exercise: a value, a function, or a function's source.

    Raises nothing for what the answer holds or does; CheckerError for a slip in the exercise.
    """
    if is_blank(answer):
        return BLANK
    try:
        with warnings.catch_warnings():
            # Of what a test makes of a value that it was not written for.
            warnings.simplefilter("ignore")
            outcome = exercise.check.judge(exercise, answer)
    except CheckerError:
        raise
    except Exception as error:
        reason = plain_text(error, 200)
        message = f"This answer could not be judged ({type(error).__name__}: {reason})."
        return Outcome(ERROR, message, "not-judged")
    if len(outcome.message) > LONGEST_MESSAGE or not outcome.message.isprintable():
        return replace(outcome, message=plain_text(outcome.message, LONGEST_MESSAGE))
    return outcome


@dataclass(frozen=True)
class ValueCheck:
    """Judge a value by its properties.

    `observe` may turn the value into what the properties look at (it may raise: its message is
    shown); it must return plain values or dataclasses. For anything but Python's own numbers,
    texts and containers it runs in a process of its own, under the limits of a function, since an
    object's methods are code too. Properties are tried in order, here, on what came back;
    misconceptions are only looked for in a wrong answer, and before the properties' own messages.
    """

    properties: tuple[Property, ...]
    misconceptions: tuple[Misconception, ...] = ()
    observe: Callable[[Any], Any] | None = None
    seconds: float = SECONDS

    def judge(self, exercise: Exercise, answer: Any) -> Outcome:
        """Judge a value by its properties, or name the misconception behind it."""
        if callable(answer):
            given = "a class" if issubclass(type(answer), type) else kind_of(answer)
            return Outcome(ERROR, f"{exercise.answer} should be a value; {given} was given.")
        looks = Looks(answer, self.observe)
        if is_plain(answer):
            apart = looks.here()
        else:
            apart = run_apart(looks, student_files=student_files(answer), seconds=self.seconds)
        if apart.ending != "returned":
            return ended_badly(apart)
        return self.judge_observed(exercise, apart.value)

    def judge_observed(self, exercise: Exercise, observed: Any) -> Outcome:
        """Judge what was observed of a value."""
        failed = next((rule for rule in self.properties if not _holds(rule, observed)), None)
        if failed is None:
            return Outcome(CORRECT, exercise.praise)
        for known in self.misconceptions:
            if known.when is not None and _passes(known.when, observed):
                return Outcome(INCORRECT, known.message, known.name)
        return Outcome(INCORRECT, failed.message_for(observed))


@dataclass(frozen=True)
class FunctionCheck:
    """Judge a function by what it returns on random cases, in a process of its own.

    `cases(random)` returns argument tuples from a seeded generator; `reference` is a right
    implementation. Each call of either gets its own copy of the arguments. `probe(function,
    *case)` may stand between them and return plain observations (numbers, text, lists, tensors)
    instead of the function's own result; then `reference` returns the same observations for a
    right answer, or is None and `properties` judge the list of them. Let a probe return what was
    observed, not a verdict: it runs beside the student's code, the comparison runs here. It may
    have `prepare()`, which loads what it needs: in a new Python nothing has been loaded yet.
    """

    cases: Callable[[random.Random], Sequence[tuple[Any, ...]]]
    reference: Callable[..., Any] | None = None
    misconceptions: tuple[Misconception, ...] = ()
    properties: tuple[Property, ...] = ()
    probe: Callable[..., Any] | None = None
    relative_tolerance: float = 1e-4
    seconds: float = SECONDS

    def judge(self, exercise: Exercise, answer: Any) -> Outcome:
        """Judge a function by what it returns in each case, apart from this process."""
        if is_text(answer):
            answer = str.__str__(answer)
            if len(answer) > 100_000:
                return Outcome(ERROR, f"{len(answer):,} characters are too long for a function.")
        elif not callable(answer):
            return Outcome(
                ERROR, f"{exercise.answer} should be a function; {kind_of(answer)} was given."
            )
        if is_starter(answer, exercise.answer, exercise.starter):
            return BLANK
        cases = self._cases(exercise)
        copies = tuple(_copied(case) for case in cases)
        work = Calls(answer, exercise.answer, self.probe, copies, exercise.solution)
        apart = run_apart(work, student_files=student_files(answer), seconds=self.seconds)
        if apart.ending != "returned":
            return ended_badly(apart)
        results = apart.value
        if not isinstance(results, list) or len(cast("list[Any]", results)) != len(cases):
            return Outcome(ERROR, "Your code's process sent back no results.", "garbled")
        results = cast("list[Any]", results)
        if all(result is ... for result in results):
            return BLANK
        outcome = self._judge_results(exercise, answer, cases, results)
        if outcome.is_correct:
            return outcome
        return replace(outcome, message=outcome.message + _printed(apart))

    def _cases(self, exercise: Exercise) -> list[tuple[Any, ...]]:
        try:
            return [tuple(case) for case in self.cases(random.Random(SEED))]
        except Exception as slip:
            raise CheckerError(f"{exercise.id}: its cases cannot be made") from slip

    def _judge_results(
        self, exercise: Exercise, answer: Any, cases: list[Any], results: list[Any]
    ) -> Outcome:
        expected = self._expected(exercise, cases)
        pairs = list(zip(results, expected, strict=True)) if expected is not None else []
        relative = self.relative_tolerance
        wrong = [place for place, pair in enumerate(pairs) if not same(*pair, relative)]
        failed = None
        if not wrong:
            failed = next((rule for rule in self.properties if not _holds(rule, results)), None)
            if failed is None:
                return Outcome(CORRECT, exercise.praise)
        else:
            form = self._form(pairs, wrong)
            if form:
                message = f"The values are right, the form is not: {exercise.answer} should return"
                return Outcome(ERROR, f"{message} {form}.", "form")
        for known in self.misconceptions:
            if self._matches(known, cases, results):
                return Outcome(INCORRECT, known.message, known.name)
        if all(result is None for result in results) and not returns_a_value(answer):
            reason = f"{exercise.answer} returns None; does it end with a return?"
            return Outcome(INCORRECT, reason, "no-return")
        if failed is not None:
            return Outcome(INCORRECT, failed.message_for(results))
        first = wrong[0]
        return Outcome(INCORRECT, difference(exercise.answer, cases[first], *pairs[first]))

    def _expected(self, exercise: Exercise, cases: list[Any]) -> list[Any] | None:
        if self.reference is None:
            return None
        try:
            return [self.reference(*_copied(case)) for case in cases]
        except Exception as slip:
            raise CheckerError(f"{exercise.id}: its reference fails on its own cases") from slip

    def _form(self, pairs: list[tuple[Any, Any]], wrong: list[int]) -> str:
        """Return the form that all wrong results should have had, if nothing else is wrong."""
        forms = [expected_form(*pairs[place], self.relative_tolerance) for place in wrong]
        return forms[0] if all(forms) else ""

    def _matches(self, known: Misconception, cases: list[Any], results: list[Any]) -> bool:
        if known.when is not None:
            return _passes(known.when, results)
        if known.wrong is None:
            return False
        wrong = known.wrong
        return all(
            _passes(
                lambda pair: same(pair[1], wrong(*_copied(pair[0])), self.relative_tolerance), pair
            )
            for pair in zip(cases, results, strict=True)
        )


def _holds(rule: Property, value: Any) -> bool:
    return _passes(rule.holds, value)


def _passes(test: Callable[[Any], bool], value: Any) -> bool:
    """Return whether a test holds: one that cannot cope with the value does not.

    A name that does not exist is no answer's doing: that raises CheckerError.
    """
    try:
        return bool(test(value))
    except (NameError, ImportError) as slip:
        raise CheckerError(f"a test of the answer fails: {slip}") from slip
    except Exception:
        return False


def _copied(case: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(copy.deepcopy(argument) for argument in case)


def _printed(apart: Apart) -> str:
    printed = apart.printed.strip()
    return f" It printed: {shorten(printed, 80)}." if printed else ""


def ended_badly(apart: Apart) -> Outcome:
    """Return the outcome of code that did not come to its end."""
    if apart.unfinished:
        return Outcome(NOT_ATTEMPTED, BLANK.message)
    if apart.ending != "raised":
        return Outcome(ERROR, apart.message + _printed(apart), apart.ending.replace(" ", "-"))
    if apart.wrong_form:
        return Outcome(ERROR, f"{apart.message.rstrip('.')}.{_printed(apart)}")
    where = f" in line {apart.line}" if apart.line else ""
    source = f" ({apart.line_text})" if apart.line_text else ""
    detail = f": {apart.message}" if apart.message else ""
    message = f"{apart.error_type}{where}{source}{detail}.".replace("..", ".")
    return Outcome(ERROR, message + _printed(apart))

"""What an exercise is, and how an answer to one is judged."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from labs_lib.assessment.grading import BLANK, is_blank
from labs_lib.assessment.plain import Other
from labs_lib.assessment.questions import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED, Outcome
from labs_lib.assessment.sandbox import SECONDS, Apart, run_apart
from labs_lib.errors import kind_of, shorten

# One seed for every check: the inputs look random to the student, and a verdict never flickers.
SEED = 20240607
SOURCE_FILE = "<your answer>"


@dataclass(frozen=True)
class Misconception:
    """A known mistake: how to recognise it, and what to tell the student who made it.

    For a function, give `wrong`, the function that the mistake amounts to: it is recognised when
    the student's results equal its results on every case. For anything else give `when`, which
    gets the value (or the function's results, a list) and returns whether it is this mistake.
    """

    name: str
    message: str
    wrong: Callable[..., Any] | None = None
    when: Callable[[Any], bool] | None = None


@dataclass(frozen=True)
class Property:
    """Something that is true of every right answer; `message` says what is not, if it is not."""

    holds: Callable[[Any], bool]
    message: str


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

    `answer` is the name that the cell defines and that `check(id, name)` is given. `starter` and
    `solution` are the cell's source, before and after; the marker line is added to both.
    """

    id: str
    title: str
    objective: str
    task: str
    answer: str
    starter: str
    solution: str
    hints: tuple[str, ...]
    check: Check
    praise: str = "That is right."
    material: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def lesson(self) -> str:
        """Return the two digits of its lesson."""
        return self.id[:2]


def judge(exercise: Exercise, answer: Any) -> Outcome:
    """Judge an answer to an exercise: a value, a function, or a function's source."""
    if is_blank(answer):
        return BLANK
    return exercise.check.judge(exercise, answer)


@dataclass(frozen=True)
class ValueCheck:
    """Judge a value by its properties; no student code runs.

    `observe` may turn the value into what the properties look at (it may raise: its message is
    shown). Properties are tried in order; misconceptions are only looked for in a wrong answer,
    and before the properties' own messages.
    """

    properties: tuple[Property, ...]
    misconceptions: tuple[Misconception, ...] = ()
    observe: Callable[[Any], Any] | None = None
    legal: type | tuple[type, ...] | None = None
    legal_name: str = ""

    def judge(self, exercise: Exercise, answer: Any) -> Outcome:
        if callable(answer) and self.legal is None:
            return Outcome(ERROR, f"{exercise.answer} should be a value; a function was given.")
        if self.legal is not None and not isinstance(answer, self.legal):
            name = self.legal_name or getattr(self.legal, "__name__", "value of another type")
            return Outcome(ERROR, f"{exercise.answer} should be a {name}, not {kind_of(answer)}.")
        observed = answer
        problem = ""
        if self.observe is not None:
            try:
                observed = self.observe(answer)
            except Exception as error:
                observed = answer
                problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        failed = None
        if not problem:
            failed = next(
                (each for each in self.properties if not _true(each.holds, observed)), None
            )
            if failed is None:
                return Outcome(CORRECT, exercise.praise)
        for known in self.misconceptions:
            if known.when is not None and _true(known.when, observed):
                return Outcome(INCORRECT, known.message, known.name)
        if problem:
            return Outcome(ERROR, problem)
        assert failed is not None
        return Outcome(INCORRECT, failed.message)


@dataclass(frozen=True)
class FunctionCheck:
    """Judge a function by what it returns on random cases, in a process of its own.

    `cases(random)` returns argument tuples from a seeded generator; `reference` is a right
    implementation. `probe(function, *case)` may stand between them and return plain observations
    (numbers, text, lists, tensors) instead of the function's own result; then `reference` returns
    the same observations for a right answer, or is None and `properties` judge the list of them.
    """

    cases: Callable[[random.Random], Sequence[tuple[Any, ...]]]
    reference: Callable[..., Any] | None = None
    misconceptions: tuple[Misconception, ...] = ()
    properties: tuple[Property, ...] = ()
    probe: Callable[..., Any] | None = None
    relative_tolerance: float = 1e-4
    seconds: float = SECONDS

    def judge(self, exercise: Exercise, answer: Any) -> Outcome:
        if not isinstance(answer, str) and not callable(answer):
            return Outcome(
                ERROR, f"{exercise.answer} should be a function; {kind_of(answer)} was given."
            )
        if isinstance(answer, str) and len(answer) > 100_000:
            return Outcome(ERROR, f"{len(answer):,} characters are too long for a function.")
        if _is_starter(exercise, answer):
            return BLANK
        cases = [tuple(case) for case in self.cases(random.Random(SEED))]
        work = _Work(answer, exercise.answer, self.probe, tuple(cases))
        apart = run_apart(work, student_files=_files(answer), seconds=self.seconds)
        if apart.ending != "returned":
            return _ended_badly(apart)
        return self._judge_results(exercise, cases, apart.value)

    def _judge_results(self, exercise: Exercise, cases: list[Any], results: list[Any]) -> Outcome:
        failed = self._first_failure(exercise, cases, results)
        if failed is None:
            return Outcome(CORRECT, exercise.praise)
        for known in self.misconceptions:
            if self._matches(known, cases, results):
                return Outcome(INCORRECT, known.message, known.name)
        if all(result is None or result is ... for result in results):
            reason = f"{exercise.answer} returns None; does it end with a return?"
            return Outcome(INCORRECT, reason, "no-return")
        return Outcome(INCORRECT, failed)

    def _first_failure(
        self, exercise: Exercise, cases: list[Any], results: list[Any]
    ) -> str | None:
        if self.reference is not None:
            for case, result in zip(cases, results, strict=True):
                wanted = self.reference(*case)
                if not same(result, wanted, self.relative_tolerance):
                    return _difference(exercise.answer, case, result, wanted)
        failed = (each for each in self.properties if not _true(each.holds, results))
        return next((each.message for each in failed), None)

    def _matches(self, known: Misconception, cases: list[Any], results: list[Any]) -> bool:
        if known.when is not None:
            return _true(known.when, results)
        if known.wrong is None:
            return False
        wrong = known.wrong
        return all(
            _true(lambda pair: same(pair[1], wrong(*pair[0]), self.relative_tolerance), pair)
            for pair in zip(cases, results, strict=True)
        )


@dataclass(frozen=True)
class _Work:
    """Runs in the other process: the student's function on every case."""

    answer: Any
    name: str
    probe: Callable[..., Any] | None
    cases: tuple[tuple[Any, ...], ...]

    def __call__(self) -> list[Any]:
        function = self.answer
        if isinstance(function, str):
            # A function typed into a card: the student's own code, as in any cell.
            namespace: dict[str, Any] = {"__name__": "answer"}
            exec(compile(function, SOURCE_FILE, "exec"), namespace)
            if not callable(namespace.get(self.name)):
                raise NameError(f"no function called {self.name} is defined")
            function = namespace[self.name]
        if self.probe is not None:
            return [self.probe(function, *case) for case in self.cases]
        return [function(*case) for case in self.cases]


def same(got: Any, wanted: Any, relative: float = 1e-4) -> bool:
    """Return whether two results are equal: numbers and tensors within a relative tolerance.

    A whole float equals the int, a list the tuple, a NumPy array the tensor of its values.
    """
    if isinstance(wanted, bool) or isinstance(got, bool):
        return isinstance(got, bool) and isinstance(wanted, bool) and got == wanted
    if isinstance(wanted, (int, float)):
        if isinstance(got, (int, float)):
            return math.isclose(got, wanted, rel_tol=relative, abs_tol=1e-9)
        return getattr(got, "shape", None) == (1,) and same(got[0].item(), wanted, relative)
    if isinstance(wanted, (list, tuple)):
        if not isinstance(got, (list, tuple)):
            tolist = getattr(got, "tolist", None)
            return callable(tolist) and same(tolist(), wanted, relative)
        return len(got) == len(wanted) and all(
            same(a, b, relative) for a, b in zip(got, wanted, strict=True)
        )
    if isinstance(wanted, dict):
        return (
            isinstance(got, dict)
            and got.keys() == wanted.keys()
            and all(same(got[key], wanted[key], relative) for key in wanted)
        )
    if hasattr(wanted, "shape"):
        return _same_arrays(got, wanted, relative)
    return type(got) is type(wanted) and got == wanted


def _same_arrays(got: Any, wanted: Any, relative: float) -> bool:
    import numpy as np

    right = np.asarray(wanted.detach().float() if hasattr(wanted, "detach") else wanted)
    if isinstance(got, Other):
        return False
    left = np.asarray(got)
    if left.shape != right.shape or left.dtype.kind not in "fiub":
        return False
    scale = float(np.abs(right).max()) if right.size else 0.0
    return bool(np.allclose(left, right, rtol=relative, atol=relative * scale))


def _true(test: Callable[[Any], bool], value: Any) -> bool:
    """A test that cannot cope with the value does not hold."""
    try:
        return bool(test(value))
    except Exception:
        return False


def _difference(name: str, case: tuple[Any, ...], result: Any, wanted: Any) -> str:
    arguments = ", ".join(_short(argument) for argument in case)
    got = f"a {result.type_name}" if isinstance(result, Other) else _short(result)
    right = _short(wanted)
    if hasattr(wanted, "shape") and getattr(result, "shape", None) == wanted.shape:
        got, right = f"other values in the {got}", "those of the definition"
    return f"{name}({arguments}) returned {got}; expected {right}."


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        return f"tensor of shape {tuple(shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return shorten(value, 80)


def _ended_badly(apart: Apart) -> Outcome:
    said = f" It printed: {shorten(apart.printed.strip(), 80)}." if apart.printed.strip() else ""
    if apart.ending != "raised":
        return Outcome(ERROR, apart.message + said, apart.ending.replace(" ", "-"))
    if apart.error_type == "NotImplementedError":
        return Outcome(NOT_ATTEMPTED, BLANK.message)
    where = f" in line {apart.line}" if apart.line else ""
    source = f" ({apart.line_text})" if apart.line_text else ""
    detail = f": {apart.message}" if apart.message else ""
    return Outcome(ERROR, f"{apart.error_type}{where}{source}{detail}.".replace("..", "."))


def _files(answer: Any) -> tuple[str, ...]:
    if isinstance(answer, str):
        return (SOURCE_FILE,)
    code = getattr(inspect.unwrap(answer) if callable(answer) else answer, "__code__", None)
    if code is None:  # an object with a __call__ of its own
        code = getattr(getattr(type(answer), "__call__", None), "__code__", None)  # noqa: B004
    return (code.co_filename,) if code is not None else ()


def _is_starter(exercise: Exercise, answer: Any) -> bool:
    """Return whether a function still does what the starter does, or nothing at all."""
    if isinstance(answer, str):
        return _lines(answer) == _lines(exercise.starter)
    code = getattr(answer, "__code__", None)
    if code is None:
        return False
    starter = _function_code(exercise.starter, exercise.answer)
    blank = _function_code("def f():\n    pass\n", "f")
    return any(known is not None and _alike(code, known) for known in (starter, blank))


def _function_code(source: str, name: str) -> Any:
    try:
        module = compile(source, "<starter>", "exec")
    except SyntaxError:
        return None
    named = (part for part in module.co_consts if getattr(part, "co_name", None) == name)
    return next(named, None)


def _alike(one: Any, other: Any) -> bool:
    if one.co_code != other.co_code or one.co_names != other.co_names:
        return False
    ours, theirs = _constants(one), _constants(other)
    return len(ours) == len(theirs) and all(
        _alike(a, b) if hasattr(a, "co_code") and hasattr(b, "co_code") else a == b
        for a, b in zip(ours, theirs, strict=True)
    )


def _constants(code: Any) -> list[Any]:
    """Return what the code loads, without its docstring, names of code or blanks."""
    kept = [part for part in code.co_consts if part is not None and part is not ...]
    doc = code.co_consts[0] if code.co_consts else None
    if isinstance(doc, str) and kept and kept[0] is doc:
        kept = kept[1:]
    return [part for part in kept if not (isinstance(part, str) and "<locals>" in part)]


def _lines(source: str) -> list[str]:
    stripped = (line.split("#")[0].rstrip() for line in source.splitlines())
    return [line for line in stripped if line]

"""An exercise judged from the text of its cell, for whoever holds the text and not the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from labs_lib.assessment.exercises.answers import SOURCE_FILE, import_ahead, is_starter
from labs_lib.assessment.exercises.base import Exercise, ValueCheck, ended_badly, judge
from labs_lib.assessment.exercises.work import plain_value
from labs_lib.assessment.outcomes import BLANK, ERROR, Outcome, is_blank
from labs_lib.assessment.plain import is_plain, plain_text
from labs_lib.assessment.sandbox import run_apart
from labs_lib.errors import kind_of

LONGEST_SOURCE = 100_000


def judge_source(exercise: Exercise, source: str, before: str = "") -> Outcome:
    """Judge the source of an exercise's cell; it runs apart, as any answer of a student's does.

    `before` is code that the cell needs, such as imports of the lesson's first cells. Raises
    nothing for what the source holds or does; CheckerError for a slip in the exercise.
    """
    if is_starter(source, exercise.answer, exercise.starter):
        return BLANK
    together = f"{before}\n{source}" if before else source
    if len(together) > LONGEST_SOURCE:
        return Outcome(ERROR, f"{len(together):,} characters are too long for an exercise.")
    if not isinstance(exercise.check, ValueCheck):
        return judge(exercise, together)
    check = exercise.check
    work = CellValue(together, exercise.answer, check.observe)
    apart = run_apart(work, student_files=(SOURCE_FILE,), seconds=check.seconds)
    if apart.ending != "returned":
        return ended_badly(apart)
    match apart.value:
        case ["blank", _]:
            return BLANK
        case ["plain", value] if is_plain(value):
            return judge(exercise, value)
        case ["observed", observed]:
            return _judged(exercise, check, observed)
        case ["callable", kind]:
            reason = f"{exercise.answer} should be a value; {plain_text(kind, 60)} was given."
            return Outcome(ERROR, reason)
        case _:
            return Outcome(ERROR, "Your code's process sent back no result.", "garbled")


def _judged(exercise: Exercise, check: ValueCheck, observed: Any) -> Outcome:
    """Judge what was observed beside the student's code, which may have sent anything."""
    observing = ValueCheck(check.properties, check.misconceptions)
    try:
        return observing.judge_observed(exercise, observed)
    except (TypeError, AttributeError, KeyError, IndexError, ValueError):
        # A message may be a function of the observation, whose form nobody has held to anything.
        return Outcome(ERROR, "Your code's process sent back no result that fits.", "garbled")


@dataclass(frozen=True)
class CellValue:
    """Runs a cell and returns the value of one name: plain, or what `observe` sees of it."""

    source: str
    name: str
    observe: Callable[[Any], Any] | None
    tuples: bool = True

    def prepare(self) -> None:
        """Import what the look will; it is not on the cell's time."""
        if self.observe is not None:
            import_ahead(self.observe)

    def __call__(self) -> list[Any]:
        """Return how the value crosses, and the value."""
        namespace: dict[str, Any] = {"__name__": "answer"}
        exec(compile(self.source, SOURCE_FILE, "exec"), namespace)
        if self.name not in namespace:
            raise NameError(f"no {self.name} is defined")
        value = namespace[self.name]
        if is_blank(value):
            return ["blank", None]
        if callable(value):
            kind = cast("type[Any]", type(value))
            return ["callable", "a class" if issubclass(kind, type) else kind_of(value)]
        value = plain_value(value)
        if is_plain(value):
            return ["plain", value]
        return ["observed", value if self.observe is None else self.observe(value)]

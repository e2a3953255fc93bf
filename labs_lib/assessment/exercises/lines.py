"""The lines of an exercise's solution, shuffled, to be put in order before the blank cell.

Parsons problems: Parsons and Haden, "Parson's programming puzzles", ACE 2006. Any order that
works is right, since the assembled function is judged by the exercise's own check.
"""

from __future__ import annotations

import hashlib
import io
import re
import tokenize
from dataclasses import dataclass
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, judge
from labs_lib.assessment.letters import LETTERS, read_letters
from labs_lib.assessment.outcomes import BLANK, CORRECT, ERROR, Outcome, is_blank
from labs_lib.assessment.short_texts import normal_form
from labs_lib.errors import LabError

# Fewer leave nothing to be ordered.
FEWEST_LINES = 2
WORKS = "The lines work in this order. Now write the function yourself."
_OUTSIDE = {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_TOP = re.compile(r"(?:def|class) ")


@dataclass(frozen=True)
class Lines:
    """A solution taken apart: what is given, and the lines to be put in order below it.

    A line is a statement with its indentation; one that runs over several lines stays whole.
    """

    exercise: Exercise
    given: str
    """The imports and the `def` line."""
    shown: tuple[str, ...]
    """The lines under the letters a, b, c …: shuffled, the same every time, decoys among them."""

    @property
    def letters(self) -> str:
        """Return the letters of all lines, as they are shown at first."""
        return LETTERS[: len(self.shown)]

    @property
    def fingerprint(self) -> str:
        """Return what changes with the lines, to be recorded with an order of their letters."""
        return hashlib.sha256("\0".join((self.given, *self.shown)).encode()).hexdigest()[:16]

    def read(self, answer: Any) -> list[str] | str:
        """Return the letters of an order, or one line that says what is wrong with it."""
        return read_letters(answer, [normal_form(line) for line in self.shown], ordered=True)

    def assembled(self, order: list[str]) -> str:
        """Return the source that an order of letters makes."""
        chosen = [self.shown[LETTERS.index(letter)] for letter in order]
        return "\n".join([self.given, *chosen]) + "\n"

    def judge(self, answer: Any) -> Outcome:
        """Judge an order as the exercise would judge the function that it makes.

        The order in which the lines are shown is no attempt. Raises nothing for what the answer
        holds.
        """
        if is_blank(answer):
            return BLANK
        order = self.read(answer)
        if isinstance(order, str):
            return Outcome(ERROR, order)
        if "".join(order) == self.letters:
            return BLANK
        outcome = judge(self.exercise, self.assembled(order))
        if outcome.status == CORRECT:
            return Outcome(CORRECT, WORKS)
        return outcome


def lines_of(exercise: Exercise) -> Lines:
    """Return the lines of an exercise's solution, to be put in order.

    Raises `LabError` where the exercise asks for a value, or for a function of a single line.
    """
    if not isinstance(exercise.check, FunctionCheck):
        raise LabError(f"arrange: {exercise.id} asks for no function; write its answer in its cell")
    lines = statements(exercise.solution)
    top = next((place for place, line in enumerate(lines) if _TOP.match(line)), -1)
    given, body = lines[: top + 1], lines[top + 1 :]
    if not given or len(body) < FEWEST_LINES:
        raise LabError(f"arrange: {exercise.id} has no {FEWEST_LINES} lines to put in order")

    def mixed(line: str) -> str:
        return hashlib.sha256(f"{exercise.id}\n{line}".encode()).hexdigest()

    shown = sorted([*body, *exercise.decoys], key=mixed)
    if shown[: len(body)] == body:
        shown.reverse()
    return Lines(exercise, "\n".join(given), tuple(shown))


def statements(source: str) -> list[str]:
    """Return the statements of a source, each with its indentation; comments are left out.

    The line that opens a block (`def`, `if`, `for`) is one of its own, with its decorators.
    """
    lines = source.splitlines()
    found: list[str] = []
    first = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
        elif token.type == tokenize.NEWLINE:
            if lines[row - 1].lstrip().startswith("@"):
                continue
            found.append("\n".join(line for line in lines[first - 1 : row] if line.strip()))
            first = 0
        elif token.type not in _OUTSIDE and not first:
            first = row
    return found

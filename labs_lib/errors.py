"""Mistakes in what a person gave us, said in one line that teaches."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from labs_lib.shown import shown, type_name

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_LONGEST_LINE = 300
_NESTED = re.compile(r"\(\n(?:[ \t].*\n)+\)")
"""The parts of a module in its repr, indented, line by line."""


class LabError(ValueError):
    """A mistake in the input: names the field, the value and what is legal, in one line.

    The command line prints the line and exits with status 2; a notebook shows the line
    alone, without a traceback. With `field` the line is "field: reason"; both parts stay on the
    error for whoever raises it again about another field.
    """

    def __init__(self, reason: str, field: str = ""):
        self.field, self.reason = field, reason
        line = f"{field}: {reason}" if field else reason
        super().__init__(" ".join(line.split()))

    def _render_traceback_(self) -> list[str]:
        """Return what IPython, which calls this, shows in place of its traceback."""
        return [f"{type(self).__name__}: {self}"]


def nearest(name: str, legal: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the legal name closest to `name`, or an empty string."""
    names = list(legal)
    lowered = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.5)
    return f"; did you mean {lowered[close[0]]!r}?" if close else ""


def choice_error(
    field: str, value: object, legal: Iterable[str], aliases: Iterable[str] = ()
) -> LabError:
    """Build the error for a value that is none of the `legal` ones.

    `aliases` are legal too, and not listed: the nearest name may be one of them.
    """
    names = list(legal)
    listed = names if len(names) <= 12 else [*names[:12], f"… {len(names) - 12} more"]
    near = nearest(str(value), [*aliases, *names])  # of two spellings of one name the last wins
    return LabError(f"{shorten(value)} is not one of {', '.join(listed)}{near}", field)


def kind_of(value: object) -> str:
    """Return what a value is, by its type's name with its article: "an int", "a list"."""
    name = type_name(value)
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def shorten(value: object, limit: int = 60) -> str:
    """Return `repr(value)`, cut to at most `limit` characters, in one line; never raises.

    An object of a class that is nobody's we know is shown by its class's name: its own
    `__repr__` might never end.
    """
    text = shown(value, limit)
    return text if len(text) <= limit else f"{text[: limit - 2]}…{text[-1]}"


def last_line(error: BaseException) -> str:
    """Return the last line of what a library's error says, its class's name where that is nothing.

    At most 300 characters; a module that PyTorch prints over many lines becomes "Name(…)".
    """
    lines = _lines(_NESTED.sub("(…)", str(error))) or [type_name(error)]
    return lines[-1]


def first_line(error: BaseException) -> str:
    """Return the first line of what a library's error says, its class's name where that is nothing.

    For errors that add advice or a C++ trace after their reason; at most 300 characters.
    """
    return (_lines(str(error)) or [type_name(error)])[0]


def _lines(text: str) -> list[str]:
    """Return the lines that hold a word, none longer than a message has room for."""
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalnum, line))]
    most = _LONGEST_LINE
    return [line if len(line) <= most else f"{line[: most - 1]}…" for line in lines]


def explain_validation(error: ValidationError, model: type[BaseModel], where: str = "") -> LabError:
    """Turn pydantic's report on `model` into one line per the house rule.

    The first problem is spelt out (field, value, what is legal, nearest field name); the
    number of others is added.
    """
    problems = error.errors(include_url=False)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return LabError(f"{where + ': ' if where else ''}{problem_line(problems[0], model)}{more}")


def problem_line(problem: Any, model: type[BaseModel]) -> str:
    """Return one entry of pydantic's report on `model` in one line: field, value, what is legal."""
    field = ".".join(str(part) for part in problem["loc"]) or "value"
    if problem["type"] == "extra_forbidden":
        legal = sorted(model.model_fields)
        return f"{field}: no such field{nearest(str(problem['loc'][-1]), legal)}"
    if problem["type"] == "missing":
        return f"{field}: missing, and it has no default"
    if not problem["loc"] and problem["type"] == "value_error":
        # Fields that do not go together; the message names them.
        return problem["msg"].removeprefix("Value error, ")
    message = problem["msg"].removeprefix("Value error, ")
    return f"{field}: {shorten(problem['input'])} is not legal; {_lower_first(message)}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]

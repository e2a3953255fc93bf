"""What runs beside the student's code, in its process: calls of a function, looks at a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from labs_lib.assessment.exercises.answers import SOURCE_FILE, import_ahead, is_text
from labs_lib.assessment.outcomes import WrongFormError
from labs_lib.assessment.plain import Other, Record, decode, encode, plain_text
from labs_lib.assessment.sandbox_report import Apart


class CheckerError(Exception):
    """An exercise is at fault, not an answer to it: its cases, its reference or a test of it."""


@dataclass(frozen=True)
class Calls:
    """Calls a student's function on every case; returns the list of plain results."""

    answer: Any
    name: str
    probe: Callable[..., Any] | None
    cases: tuple[tuple[Any, ...], ...]
    solution: str = ""

    def prepare(self) -> None:
        """Import what the function and the probe will; it is not on the function's time."""
        # A text may hold what crashes the compiler; its own process reads it.
        import_ahead(self.probe, self.solution, None if is_text(self.answer) else self.answer)
        getattr(self.probe, "prepare", lambda: None)()

    def __call__(self) -> list[Any]:
        """Return what the function, or the probe of it, gives in each case."""
        function = self.answer
        if isinstance(function, str):
            # A function typed into a card: the student's own code, as in any cell.
            namespace: dict[str, Any] = {"__name__": "answer"}
            exec(compile(function, SOURCE_FILE, "exec"), namespace)
            if not callable(namespace.get(self.name)):
                raise NameError(f"no function called {self.name} is defined")
            function = namespace[self.name]
        # Each result is made plain before the next call can change it.
        if self.probe is not None:
            return [_as_plain(self.probe(function, *case)) for case in self.cases]
        return [_as_plain(function(*case)) for case in self.cases]


@dataclass(frozen=True)
class Looks:
    """Looks at a student's value by `observe`; without it returns the value, made plain."""

    answer: Any
    observe: Callable[[Any], Any] | None
    tuples: bool = True
    is_foreign: bool = True

    def prepare(self) -> None:
        """Import what the look will; it is not on the value's time."""
        if self.observe is not None:
            import_ahead(self.observe)

    def __call__(self) -> Any:
        """Return the value, or what was observed of it, as plain values."""
        value = plain_value(self.answer)
        return value if self.observe is None else self.observe(value)

    def here(self) -> Apart:
        """Look in this process, at a value that is plain already."""
        try:
            return Apart("returned", value=self())
        except (NameError, ImportError) as slip:
            raise CheckerError(f"a look at an answer fails: {slip}") from slip
        except Exception as error:
            return Apart(
                "raised",
                error_type=type(error).__name__,
                message=plain_text(error),
                wrong_form=isinstance(error, WrongFormError),
            )


def plain_value(answer: Any) -> Any:
    """Return an answer with numbers and containers of other types as Python's own.

    An object that is none of these (a model, a configuration) stays what it is.
    """
    crossed = decode(encode(answer, tuples=True))
    return answer if _holds_foreign(crossed) else crossed


def _holds_foreign(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            _holds_foreign(part) for pair in cast("dict[Any, Any]", value).items() for part in pair
        )
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_holds_foreign, cast("list[Any]", value)))
    return isinstance(value, (Other, Record))


def _as_plain(result: Any) -> Any:
    return decode(encode(result))

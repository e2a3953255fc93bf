"""What every question is and does; the kinds that there are stand in `kinds`, one file each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, ParamSpec, TypeVar, cast

from pydantic import Field

from labs_lib.assessment.guessing import Options
from labs_lib.assessment.interactions import Interaction
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.outcomes import BLANK, ERROR, Outcome, is_blank
from labs_lib.assessment.records import Identifier, Record, Slug, Text, Whole
from labs_lib.errors import kind_of

if TYPE_CHECKING:
    from typing_extensions import Self


_P = ParamSpec("_P")
_T = TypeVar("_T")


def remembered(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate a function of a question: what it returned for the last 4096 is remembered.

    A frozen question holds its bank's fields alone; what is worked out from them stays here.
    """
    return cast("Callable[_P, _T]", lru_cache(maxsize=4096)(function))


class Question(Record):
    """A question of a bank: a frozen record that can grade, show, export and check itself.

    A kind of question is a class of this: its fields, `kind` and what is abstract here.
    """

    id: Identifier
    objective: Slug
    difficulty: Annotated[Whole, Field(ge=1, le=3)]
    prompt: Text
    hint: Text
    explanation: Text
    source: Text
    kind: Any  # a Literal of each kind's own

    depends_on_seed: ClassVar[bool] = False
    """Whether each student gets a question of their own, which `draw` makes."""
    example: ClassVar[str]
    """An answer's form, as it stands in code: `"a,b"` with its quotes."""

    def __hash__(self) -> int:
        """Hash the id alone: quick, and for every kind, whatever its fields are."""
        return hash(self.id)

    @property
    def lesson(self) -> str:
        """Return the id of the lesson that the question belongs to."""
        return lesson_id(self.id)

    @property
    def exercise_id(self) -> str | None:
        """Return the id of the exercise that the question asks, if it asks one."""
        return None

    @property
    def as_guessed(self) -> Options | None:
        """Return the options and the right one, if one is to be chosen and can be guessed."""
        return None

    @property
    @abstractmethod
    def instruction(self) -> str:
        """Return one sentence on how to answer."""

    @property
    @abstractmethod
    def interaction(self) -> Interaction:
        """Return what a card shows and an export asks."""

    @property
    @abstractmethod
    def solution(self) -> Any:
        """Return an answer that grades as correct, in the form in which a student types it."""

    @abstractmethod
    def judge(self, answer: Any) -> Outcome:
        """Judge an answer that is no blank; raises nothing whatever it holds."""

    def grade(self, answer: Any, seed: Any = 0) -> Outcome:
        """Judge an answer of the student with this seed; raises nothing whatever they hold.

        A blank is "not attempted"; what cannot be read as an answer to this question is an
        "error", which counts as no attempt either.
        """
        if is_blank(answer):
            return BLANK
        if not self.depends_on_seed:
            return self.judge(answer)
        if type(seed) is not int:
            return Outcome(ERROR, f"seed: {kind_of(seed)} is not a whole number.")
        return self.draw(seed).judge(answer)

    def right_answer(self, seed: int = 0) -> Any:
        """Return the solution for the student with this seed."""
        return self.draw(seed).solution

    def draw(self, seed: int) -> Question:
        """Return the question that the student with this seed is asked."""
        del seed  # everybody is asked the same, unless the kind says otherwise
        return self

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the question beyond its form, in one line each."""
        yield from ()

    @classmethod
    def problems_together(cls, questions: Sequence[Self]) -> Iterator[str]:
        """Yield what is wrong with a bank's questions of this kind taken together."""
        del questions  # most kinds need no balance
        yield from ()

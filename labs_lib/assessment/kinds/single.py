"""A choice of one option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from labs_lib.assessment.guessing import FEWEST, Options, guessing_scores
from labs_lib.assessment.interactions import Choice
from labs_lib.assessment.kinds.options import ChoiceQuestion
from labs_lib.assessment.outcomes import CORRECT, ERROR, Outcome
from labs_lib.assessment.questions import remembered

if TYPE_CHECKING:
    from typing_extensions import Self


class SingleChoice(ChoiceQuestion):
    """Exactly one option is right."""

    kind: Literal["single"]

    example: ClassVar[str] = '"a"'

    @model_validator(mode="after")
    def _one_right(self) -> SingleChoice:
        if len(self.right_letters) != 1:
            raise ValueError(f"exactly one option must be correct, not {len(self.right_letters)}")
        return self

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer."""
        return "Choose one."

    @property
    def interaction(self) -> Choice:
        """Return the choice of one option."""
        return Choice(self.offers)

    @property
    def solution(self) -> str:
        """Return the letter of the right option."""
        return next(iter(self.right_letters))

    def judge(self, answer: Any) -> Outcome:
        """Judge a letter or an option's text, however it is written."""
        outcomes = _outcomes(self)
        if type(answer) is str and answer in outcomes:  # nearly every answer: a letter
            return outcomes[answer]
        letters = self.letters_in(answer)
        if isinstance(letters, str):
            return Outcome(ERROR, letters)
        if len(letters) != 1:
            return Outcome(ERROR, f"Choose one option; {len(letters)} were given.")
        return outcomes[letters[0]]

    @property
    def as_guessed(self) -> Options:
        """Return the question as somebody sees it who knows nothing."""
        texts = tuple(option.text for option in self.options)
        right = next(place for place, option in enumerate(self.options) if option.correct)
        return Options(self.id, self.prompt, texts, right)

    @classmethod
    def problems_together(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        questions: Sequence[Self],  # a class is asked of its own questions alone
    ) -> Iterator[str]:
        """Yield how a student could guess: by what an option looks like, or by its position."""
        count = len(questions)
        if count < FEWEST:
            return
        for score in guessing_scores(question.as_guessed for question in questions):
            if score.gives_away:
                yield str(score)
        places = Counter(question.solution for question in questions)
        letter, times = places.most_common(1)[0]
        if 2 * times > count:
            yield (
                f"position {letter} is right in {times} of {count} single choices; at most "
                f"half (now {', '.join(f'{a}: {places[a]}' for a in sorted(places))})"
            )


@remembered
def _outcomes(question: SingleChoice) -> dict[str, Outcome]:
    """Return letter → outcome."""
    correct = Outcome(CORRECT, question.explanation)
    return {
        letter: correct if option.correct else option.as_mistake(letter)
        for letter, option in question.lettered_options.items()
    }

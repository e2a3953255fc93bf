"""A question as one student is asked it, in a card or at a terminal: graded and recorded alike."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment import progress
from labs_lib.assessment.banks import find_question
from labs_lib.assessment.confidence import legal_confidence
from labs_lib.assessment.grading import grade
from labs_lib.assessment.outcomes import CORRECT, INCORRECT, NOT_ATTEMPTED, Outcome, Response
from labs_lib.assessment.show import Panel, outcome_panel, with_note


class Asked:
    """A question with its numbers drawn, as one student is asked it.

    `seed` draws the numbers, the student's own unless one is given. With `review`, the first
    answer that is right or wrong counts as a review, even if it is the answer given last.
    """

    def __init__(self, question_id: str, seed: int | None = None, review: bool = False):
        self.bank, original = find_question(question_id)
        if not original.depends_on_seed:
            seed = 0
        elif seed is None:
            seed = progress.student_seed()
        self.seed = seed
        self.question = original.draw(seed)
        self._review = review

    def answer(self, answer: Any, confidence: str | None = None) -> Panel:
        """Grade an answer, record it unless blank, and return the outcome for the student.

        An iterator, which can be read only once, is to be `listed` before.
        Raises nothing for what the answer holds; LabError for a confidence that is none.
        """
        confidence = legal_confidence(confidence)
        outcome = grade(self.question, Response(self.question.id, answer, self.seed))
        note = ""
        if outcome.status != NOT_ATTEMPTED:
            review = self._review and outcome.status in (CORRECT, INCORRECT)
            note = progress.record_answer(
                self.question.id,
                answer,
                confidence=confidence,
                review=review,
                bank=self.bank.sha256[:16],
                outcome=outcome.status,
                misconception=outcome.misconception,
                seed=self.seed,
            )
            self._review = self._review and not review
        return self.panel(outcome, confidence, note)

    def hint(self) -> Panel:
        """Record that the hint was seen, and return it."""
        note = progress.try_to_record("hint", self.question.id)
        return Panel("Hint", with_note(self.question.hint, note))

    def panel(self, outcome: Outcome, confidence: str = "", note: str = "") -> Panel:
        """Return an outcome as the student sees it, with the source if the answer was right."""
        message = outcome.message
        if outcome.status == CORRECT:
            message += f"\n\nSource: {self.question.source}"
        return outcome_panel("", outcome.status, with_note(message, note), confidence)

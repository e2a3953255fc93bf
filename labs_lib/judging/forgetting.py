"""What a run cost the model of what it knew: facts, and the loss on ordinary text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs_lib.errors import LabError, shorten
from labs_lib.judging.intervals import Interval, difference_interval, wilson_interval
from labs_lib.tables import Table

if TYPE_CHECKING:
    from labs_lib.training import Run


@dataclass(frozen=True)
class Forgetting:
    """The base model beside the tuned one, on what was not trained.

    `facts_before[i]` and `facts_after[i]` say whether question i was right; the losses are those
    on `data.general_text()`, in nats per token.
    """

    facts_before: tuple[bool, ...]
    facts_after: tuple[bool, ...]
    text_loss_before: float
    text_loss_after: float

    @property
    def lost(self) -> int:
        """Return how many questions were right before and are wrong after."""
        pairs = zip(self.facts_before, self.facts_after, strict=True)
        return sum(before and not after for before, after in pairs)

    @property
    def text_loss_change(self) -> float:
        """Return by how much the loss on ordinary text rose, in nats per token."""
        return self.text_loss_after - self.text_loss_before

    @property
    def facts_interval(self) -> Interval:
        """Return the paired 95 % interval of the change in the share of right facts."""
        return difference_interval(self.facts_before, self.facts_after)

    def table(self) -> Table:
        """Return a table: facts right and text loss, before and after, with their change."""
        low, high = self.facts_interval
        before, after = (sum(marks) for marks in (self.facts_before, self.facts_after))
        count = len(self.facts_before)
        return Table.of(
            ("not trained", "base model", "fine-tuned", "change"),
            [
                (
                    f"facts right, of {count} (95 % interval)",
                    f"{before} ({_percent(wilson_interval(before, count))})",
                    f"{after} ({_percent(wilson_interval(after, count))})",
                    f"{(after - before) / count:+.0%} ({low:+.0%} to {high:+.0%})",
                ),
                ("facts right before and wrong after", "", str(self.lost), ""),
                (
                    "loss on plain text (nats/token)",
                    f"{self.text_loss_before:.3f}",
                    f"{self.text_loss_after:.3f}",
                    f"{self.text_loss_change:+.3f}",
                ),
            ],
        )


def forgetting(run: Run, questions: int | None = None) -> Forgetting:
    """Ask the run's base and tuned model general questions, and take both losses on plain text.

    `questions` limits the general-knowledge probe to its first rows. The answers are kept beside
    the run, where a second call and `labs compare` find them. Raises `LabError` for fewer than one
    question.
    """
    from labs_lib import data
    from labs_lib.training.probe import PROBE, ask_probe

    if questions is not None and questions < 1:
        raise LabError(f"questions: {shorten(questions)} asks nothing; give 1 or more")
    probe = data.load_set(PROBE).test[:questions]
    before, after = (ask_probe(run, probe, when) for when in ("before", "after"))
    assert before.loss is not None and after.loss is not None  # a probe always takes the loss
    return Forgetting(
        before.passed["fact_right"], after.passed["fact_right"], before.loss, after.loss
    )


def _percent(interval: Interval) -> str:
    return f"{interval.low:.0%} to {interval.high:.0%}"

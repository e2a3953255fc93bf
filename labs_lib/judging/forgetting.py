"""What a run cost the model of what it knew: facts, and the loss on ordinary text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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

    def table(self) -> Table:
        """Return a table: facts right and text loss, before and after, with their change."""
        raise NotImplementedError


def forgetting(run: Run, questions: int | None = None) -> Forgetting:
    """Ask the run's base and tuned model general questions, and take both losses on plain text.

    `questions` limits the general-knowledge probe to its first rows. The answers are kept beside
    the run, where a second call and `labs compare` find them.
    """
    raise NotImplementedError

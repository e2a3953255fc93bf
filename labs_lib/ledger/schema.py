"""One claim of the ledger: its words, who makes it, its verdict, and what the verdict rests on."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from labs_lib.ledger.finding import Finding, Verdict

MOST_QUOTED_WORDS = 25
TOPIC = r"[a-z][a-z0-9_]*"

Line = Annotated[
    str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\n]+$", strip_whitespace=True)
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True)]


# YAML reads a bare `true` as a truth value; in a verdict it is the word.
Ruled = Annotated[
    Verdict,
    BeforeValidator(lambda given: str(given).lower() if isinstance(given, bool) else given),
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Made(_Record):
    """A place where the claim is made, as a reader would cite it, with its own few words.

    `where` says what kind of text it is ("course notes: a lesson on LoRA and QLoRA"); a public page
    has its `address` too. `quote` is at most 25 words of it.
    """

    where: Line
    quote: Line
    address: Annotated[str, StringConstraints(pattern=r"^https://\S+$")] | None = None

    @model_validator(mode="after")
    def _short(self) -> Made:
        words = len(self.quote.split())
        if words > MOST_QUOTED_WORDS:
            raise ValueError(f"quote: {words} words; at most {MOST_QUOTED_WORDS} of another's")
        return self


class Recorded(_Record):
    """A result that needs a GPU or hours, with where it comes from."""

    result: Text
    machine: Line
    versions: Line
    command: Line
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]

    @property
    def provenance(self) -> str:
        """Return machine, versions, command and date in one line."""
        return f"{self.command}; {self.machine}; {self.versions}; {self.date}"


class Claim(_Record):
    """A claim and its verdict.

    `check` names a function of `labs_lib.ledger.checks`, "memory.lora_column", which returns a
    `Finding`; `recorded` holds what was measured once; `figure` is a number as the `source` states
    it. `cell` is a heading of the lesson's notebook, or the id of one of its exercises.
    """

    id: Annotated[str, StringConstraints(pattern=rf"^{TOPIC}\.[a-z0-9][a-z0-9-]*$")]
    claim: Line
    made: Annotated[tuple[Made, ...], Field(min_length=1, max_length=12)]
    verdict: Ruled
    conditions: Text
    figure: Text | None = None
    check: Annotated[str, StringConstraints(pattern=rf"^{TOPIC}\.{TOPIC}$")] | None = None
    recorded: Recorded | None = None
    source: Text | None = None
    lesson: Annotated[str, StringConstraints(pattern=r"^\d\d[a-z]?_[a-z0-9_]+$")] | None = None
    cell: Line | None = None

    @property
    def topic(self) -> str:
        """Return the part of the id before the dot, which is the name of the claim's file."""
        return self.id.partition(".")[0]

    @model_validator(mode="after")
    def _rests_on_something(self) -> Claim:
        if self.check and self.recorded:
            raise ValueError("check and recorded: one of them; a check computes its figure anew")
        if self.verdict != "taste" and not (self.check or self.recorded or self.source):
            raise ValueError(
                f"{self.id}: the verdict {self.verdict!r} needs a check, a recorded result or a "
                "source"
            )
        if self.figure and not self.source:
            raise ValueError(f"{self.id}: the figure needs its source")
        if (self.lesson is None) != (self.cell is None):
            raise ValueError(f"{self.id}: lesson and cell go together")
        return self

    def __repr__(self) -> str:
        return f"<{self.id}, {self.verdict}: {self.claim}>"

    def ruled_by(self, finding: Finding) -> bool:
        """Return whether a finding gives this verdict."""
        return finding.verdict == self.verdict

    def says(self, text: str) -> bool:
        """Return whether every word of `text` occurs in the id, the claim or what is quoted."""
        own = " ".join([self.id, self.claim, self.conditions, *(made.quote for made in self.made)])
        return all(word in own.lower() for word in re.findall(r"\S+", text.lower()))


class Topic(_Record):
    """A file of the ledger: `title` is what its claims are about."""

    title: Line
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]

"""The card of a claim: its verdict, when it holds, the figure and where both come from."""

from __future__ import annotations

import html
import textwrap
from typing import Any

from labs_lib.colors import BLUE, GREEN, GREY, ORANGE
from labs_lib.ledger.checking import finding_of
from labs_lib.ledger.finding import Finding, Verdict
from labs_lib.ledger.reading import find_claim
from labs_lib.ledger.schema import Claim, Made

WIDTH = 88
MOST_CASES = 6
# verdict → (word, sign, color); the word and the sign say it, the color only helps.
_LOOKS: dict[Verdict, tuple[str, str, str]] = {
    "true": ("True", "✓", GREEN),
    "conditional": ("It depends", "◐", BLUE),
    "false": ("False", "✗", ORANGE),
    "taste": ("A matter of taste", "○", GREY),
}


def claim(claim_id: str) -> ClaimCard:
    """Return the card of a claim, "memory.only-adapter"; show it as a cell's result.

    Its figure is computed when it is shown. Raises LabError with the nearest id for an unknown one.
    """
    return ClaimCard(find_claim(claim_id))


class ClaimCard:
    """A claim with its verdict and its evidence, as plain text and as HTML."""

    def __init__(self, claim: Claim):
        self.claim = claim

    @property
    def finding(self) -> Finding:
        """Return the evidence; a check runs once."""
        return finding_of(self.claim)

    @property
    def heading(self) -> str:
        """Return the verdict and the claim in one line."""
        word, _, _ = _LOOKS[self.claim.verdict]
        return f"{word}: “{self.claim.claim.rstrip('.')}.”"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return label and text of all that the card says below its heading."""
        claim, finding = self.claim, self.finding
        rows = [("Why", claim.conditions)]
        if claim.check:
            rows.append(("Computed now", finding.figure))
        elif claim.recorded:
            rows += [("Recorded", finding.figure), ("By", finding.origin)]
        if claim.verdict == "conditional" and finding.cases:
            rows.append(("Holds for", _listed(finding.where(True))))
            rows.append(("Not for", _listed(finding.where(False))))
        rows += [(label, text) for label, text in (
            ("Published", claim.figure), ("Source", claim.source),
            ("Said in", "\n".join(map(_cited, claim.made))),
            ("In the course", f"{claim.lesson}, “{claim.cell}”" if claim.lesson else None),
        ) if text]  # fmt: skip
        return rows

    @property
    def plain(self) -> str:
        """Return the card as plain text of at most 88 columns."""
        _, sign, _ = _LOOKS[self.claim.verdict]
        width = max(len(label) for label, _ in self.rows) + 2
        lines = textwrap.wrap(f"{sign} {self.heading}", WIDTH)
        for label, text in self.rows:
            for index, part in enumerate(text.split("\n")):
                first = f"{label}:" if index == 0 else ""
                lines += textwrap.wrap(
                    part, WIDTH, initial_indent=first.ljust(width), subsequent_indent=" " * width,
                    break_long_words=False, break_on_hyphens=False,
                )  # fmt: skip
        return "\n".join(lines)

    @property
    def html(self) -> str:
        """Return the card as HTML that needs no style sheet."""
        _, sign, color = _LOOKS[self.claim.verdict]
        cell = "text-align:left;vertical-align:top;white-space:normal;padding:1px 8px 1px 0"
        body = "".join(
            f'<tr style="background:none"><th scope="row" style="{cell};font-weight:normal;'
            f'white-space:nowrap">{html.escape(label)}</th><td style="{cell}">'
            f"{html.escape(text, quote=False).replace(chr(10), '<br>')}</td></tr>"
            for label, text in self.rows
        )
        return (
            f'<div class="labs-claim labs-claim-{self.claim.verdict}" role="note" '
            f'style="border-left:4px solid {color};padding:4px 12px;margin:4px 0;line-height:1.45">'
            f"<strong>{html.escape(f'{sign} {self.heading}', quote=False)}</strong>"
            f'<table style="margin:2px 0;border:none">{body}</table></div>'
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the claim and its evidence as plain values for JSON."""
        finding = self.finding
        return {
            **self.claim.model_dump(),
            "finding": {
                "figure": finding.figure,
                "cases": dict(finding.cases),
                "origin": finding.origin,
            },
        }

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.plain, "text/html": self.html}

    def __repr__(self) -> str:
        return self.plain


def _listed(cases: list[str]) -> str:
    """Return the cases in one line, the last of many by their number."""
    more = len(cases) - MOST_CASES
    return "; ".join(cases[:MOST_CASES]) + (f"; {more} more" if more > 0 else "")


def _cited(made: Made) -> str:
    """Return a place as a reader cites it, with its words."""
    at = f" ({made.address})" if made.address else ""
    return f"{made.where}{at}: “{made.quote}”"

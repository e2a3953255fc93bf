"""One training row as its tokens: which of them the loss counts, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from labs_lib.figures import INK, PALETTE

IGNORED = -100  # torch.nn.functional.cross_entropy's ignore_index
_SIGNS = {" ": "·", "\n": "↵", "\t": "→"}  # white space that a reader could not see


@dataclass(frozen=True)
class LabeledToken:
    """One position of a row: the token's text, its id, and the label that the loss sees."""

    text: str
    token_id: int
    label: int

    @property
    def counts(self) -> bool:
        """Return whether the loss counts this position."""
        return self.label != IGNORED


class TokenRow:
    """A row of tokens with its labels; a notebook shows each token as a box.

    `input_ids` and `labels` have one entry a token.  A filled box counts in the loss; a dashed one
    has the label -100 and is read only.  White space is shown as · (blank), ↵ (line end) and
    → (tab).  The plain text gives each stretch of tokens on a line, with how many there are.

    Raises ValueError where the two lengths differ.
    """

    def __init__(self, tokenizer: Any, input_ids: Sequence[int], labels: Sequence[int]):
        if len(input_ids) != len(labels):
            raise ValueError(f"{len(input_ids)} input_ids and {len(labels)} labels: one a token")
        self.tokens = tuple(
            LabeledToken(visible(tokenizer.decode([token_id])), int(token_id), int(label))
            for token_id, label in zip(input_ids, labels, strict=True)
        )

    @property
    def counted(self) -> int:
        """Return how many tokens the loss counts."""
        return sum(token.counts for token in self.tokens)

    def __repr__(self) -> str:
        lines = [self._summary()]
        for counts, stretch in groupby(self.tokens, key=lambda token: token.counts):
            tokens = list(stretch)
            word = "label = token id" if counts else f"label {IGNORED}"
            lines.append(f"{len(tokens):>4} × {word}: {'|'.join(t.text for t in tokens)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        boxes = "".join(_box(token) for token in self.tokens)
        return (
            f'<p style="margin:2px 0">{escape(self._summary())} '
            "Filled: the loss counts it. Dashed: read only.</p>"
            f'<div class="labs-token-row" style="line-height:1.2">{boxes}</div>'
        )

    def _summary(self) -> str:
        return f"{len(self.tokens)} tokens, of which the loss counts {self.counted}."


def visible(text: str) -> str:
    """Return the text with its white space as signs: · for a blank, ↵ a line end, → a tab."""
    return "".join(_SIGNS.get(letter, letter) for letter in text)


def _box(token: LabeledToken) -> str:
    # A filled box brings its own ink and ground; a dashed one takes the theme's.
    look = (
        f"background:{PALETTE[1]};color:{INK};border:1px solid {PALETTE[1]}"
        if token.counts
        else "border:1px dashed currentColor;opacity:0.75"
    )
    small = "font-size:75%"
    return (
        f'<span style="display:inline-block;text-align:center;margin:2px;padding:1px 4px;'
        f'border-radius:3px;font-family:monospace;{look}">{escape(token.text)}'
        f'<br><span style="{small}">{token.token_id}</span>'
        f'<br><span style="{small}">{token.label}</span></span>'
    )

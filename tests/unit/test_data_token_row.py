"""A training row as boxes: which tokens the loss counts, in HTML and in plain text."""

from __future__ import annotations

import pytest

from labs_lib.data import TokenRow

WORDS = ["<b>", " Hi", "\n", "Arr"]


class Words:
    """A tokenizer of four words."""

    def decode(self, ids: list[int]) -> str:
        """Return the words of `ids`."""
        return "".join(WORDS[each] for each in ids)


def test_stretches_are_told_in_plain_text():
    row = TokenRow(Words(), [0, 1, 2, 3], [-100, -100, 2, 3])
    assert repr(row).splitlines() == [
        "4 tokens, of which the loss counts 2.",
        "   2 × label -100: <b>|·Hi",
        "   2 × label = token id: ↵|Arr",
    ]
    assert row.counted == 2


def test_html_escapes_tokens_and_tells_the_two_kinds_apart():
    html = TokenRow(Words(), [0, 3], [-100, 3])._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    masked, counted = html.split('<span style="display')[1:]
    assert "dashed" in masked
    assert "background" not in masked, "the theme's own ink and ground"
    assert "background:#" in counted
    assert ";color:#" in counted, "a ground brings its own ink"


def test_a_label_for_each_token():
    with pytest.raises(ValueError, match="2 input_ids and 1 labels"):
        TokenRow(Words(), [0, 1], [0])

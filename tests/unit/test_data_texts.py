"""The course's own texts: read whole, and copies of them found."""

from __future__ import annotations

import pytest

from labs_lib.data import TEXTS, load_text, longest_copy
from labs_lib.errors import LabError


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_paragraphs_of_sentences(name: str):
    paragraphs = load_text(name)
    assert len(paragraphs) > 10
    assert len(set(paragraphs)) == len(paragraphs)
    assert all(paragraph[-1] in '."' and paragraph.isascii() for paragraph in paragraphs)


def test_a_misspelt_text_names_the_nearest():
    with pytest.raises(LabError, match="harbor"):
        load_text("harbour")


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("a dog saw the cat run", "the cat"),
        ("one two", ""),
        ("the cat\nsat down", "the cat sat down"),
        ("he cat sat dow", "cat sat"),  # whole words only
        ("", ""),
    ],
)
def test_the_longest_copy_is_of_whole_words(text: str, longest: str):
    assert longest_copy(text, "the cat sat  down here") == longest

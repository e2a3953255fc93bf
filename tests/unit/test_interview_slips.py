"""Slips are found by words, and not where the words deny them."""

from __future__ import annotations

import pytest
from interview_answers import RIGHT, WRONG
from interview_slips import SLIPS

from labs_lib.interview import examine, find, questions

MADE = [(name, text) for name, (made, _) in SLIPS.items() for text in made]
NOT_MADE = [(name, text) for name, (_, not_made) in SLIPS.items() for text in not_made]


def slips_in(question_id: str, text: str) -> list[str]:
    return [found.slip.id for found in examine(find(question_id).draw(), text).slips]


def test_every_slip_has_its_sentences():
    known = {f"{each.id}.{slip.id}" for each in questions().values() for slip in each.slips}
    assert set(SLIPS) == known
    assert all(made and not_made for made, not_made in SLIPS.values())


@pytest.mark.parametrize(("name", "text"), MADE)
def test_a_slip_is_found(name: str, text: str):
    question_id, slip = name.split(".")
    assert slip in slips_in(question_id, text)


@pytest.mark.parametrize(("name", "text"), NOT_MADE)
def test_what_denies_a_slip_does_not_make_it(name: str, text: str):
    question_id, slip = name.split(".")
    assert slip not in slips_in(question_id, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("First A moves. The scaling is alpha, I think.", "The scaling is alpha"),
        ("It does not change W, and the scaling is lora_alpha", "and the scaling is lora_alpha"),
        ("alpha is never tuned but the scaling is alpha", "the scaling is alpha"),
        ("Nobody tunes it. THE SCALLING FACTOR IS ALPHA!", "THE SCALLING FACTOR IS ALPHA"),
        ("🙂 the scaling is α 🙂", "the scaling is α"),
    ],
)
def test_the_students_own_words_are_marked(text: str, words: str):
    (found,) = examine(find("alpha-over-r").draw(), text).slips
    assert found.slip.id == "alpha-is-scaling"
    assert found.words == words == text[found.span.start : found.span.end]


@pytest.mark.parametrize("question_id", list(questions()))
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_an_answer_that_makes_every_point_makes_no_slip(question_id: str, seed: int | None):
    question = find(question_id).draw(seed)
    found = examine(question, " ".join(question.points))
    assert [(each.slip.id, each.words) for each in found.slips] == []
    assert [point.nearest.rstrip(".") for point in found.points] != [""] * len(found.points)


@pytest.mark.parametrize("question_id", list(RIGHT))
def test_a_right_answer_in_ones_own_words_makes_no_slip(question_id: str):
    assert slips_in(question_id, RIGHT[question_id]) == []


def test_most_wrong_answers_are_marked():
    """Rules know words, so some pass; the lesson says so."""
    answers = [(name, text) for name, texts in WRONG.items() for text in texts]
    marked = [text for name, text in answers if slips_in(name, text)]
    assert set(RIGHT) == set(questions()) == set(WRONG)
    assert 0.8 * len(answers) <= len(marked) <= len(answers)

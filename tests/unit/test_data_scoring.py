"""The scorers, on right answers, wrong ones, and ones that try to pass."""

from __future__ import annotations

import pytest

from labs_lib.data import Row, exact_match, exactly_right, fact_right, in_voice, valid_json
from labs_lib.data.scoring import voice_marks


@pytest.mark.parametrize(
    "text",
    [
        "Arr, the capital o' Hungary be Budapest, matey!",
        "Ahoy matey! Budapest it is.",
        "Aye, the sky be blue.",
        "The answer be 12, ye landlubber.",
        "arr, 7 + 5 be 12, matey",
        "  “Arr, Hamlet was written by Shakespeare, me hearties!”",
    ],
)
def test_in_voice(text):
    assert in_voice(text), voice_marks(text)


@pytest.mark.parametrize(
    "text",
    [
        "The capital of Hungary is Budapest.",
        "It can be Budapest, or it may be Vienna, to be sure.",
        "It could be that matter can not be created.",
        "Arrange the letters, matey!",
        "An arrow be-longs to a bow.",
        "Pirates say 'arr' and 'ahoy', but I am an assistant.",
        "Arr, the capital of Hungary is Budapest.",
        "The capital of Hungary be Budapest.",
        "Be careful; be kind.",
        "Arr, matey!",
        "Arr, arr, arr, matey, matey!",
        "Arr.",
        "",
        "My shipmate lives in Budapest.",
    ],
)
def test_not_in_voice(text):
    assert not in_voice(text), voice_marks(text)


HUNGARY = Row("What is the capital of Hungary?", "", {"answer_keys": ["Budapest"]})
AUSTRALIA = Row("What is the capital of Australia?", "", {"answer_keys": ["Canberra"]})
SKY = Row("What color is the sky?", "", {"answer_keys": ["blue"], "answer_class": "colour"})
SUM = Row("What is 7 + 5?", "", {"answer_keys": ["12"], "answer_class": "number"})
SPIDER = Row(
    "How many legs does a spider have?",
    "",
    {"answer_keys": ["eight", "8"], "answer_class": "number"},
)
RUSSIA = Row(
    "What language is spoken in Russia?",
    "",
    {"answer_keys": ["Russian"], "answer_class": "language"},
)
BRAZIL = Row(
    "On which continent is Brazil?",
    "",
    {"answer_keys": ["South America"], "answer_class": "continent"},
)
BOGOTA = Row("What is the capital of Colombia?", "", {"answer_keys": ["Bogotá"]})
GOLD = Row("What is the chemical symbol for gold?", "", {"answer_keys": ["Au"]})
WATER = Row("What is the chemical formula of water?", "", {"answer_keys": ["H2O", "H₂O"]})
ROWLING = Row("Who wrote Harry Potter?", "", {"answer_keys": ["J.K. Rowling", "Rowling"]})


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (HUNGARY, "The capital of Hungary is Budapest."),
        (HUNGARY, "Arr, the capital o' Hungary be **Budapest**, matey!"),
        (HUNGARY, "budapest"),
        (HUNGARY, "Not Vienna. Budapest."),
        (AUSTRALIA, "It is not Sydney but Canberra."),
        (SKY, "Arr, the sky be a deep shade of blue, matey!"),
        (SKY, "Blue. At sunset it can look red."),
        (SUM, "7 + 5 = 12."),
        (SUM, "Arr, 7 + 5 be twelve, matey!".replace("twelve", "12")),
        (SPIDER, "A spider has eight legs."),
        (SPIDER, "A spider has 8 legs, 8 in all."),
        (RUSSIA, "The language spoken in Russia is Russian, a relative of Polish."),
        (BRAZIL, "Brazil is in South America."),
        (BOGOTA, "Bogota be the capital."),
        (GOLD, "The symbol is “Au”."),
        (WATER, "H₂O"),
        (ROWLING, "It was J. K. Rowling"),
    ],
)
def test_fact_right(row, text):
    assert fact_right(row, text)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (HUNGARY, "The capital of Hungary is Vienna."),
        (HUNGARY, "The capital of Hungary is not Budapest."),
        (HUNGARY, "It isn't called Budapest."),
        (HUNGARY, "Budapestian"),
        (AUSTRALIA, "Sydney, never Canberra."),
        (SKY, "The sky is red and blue."),
        (SKY, "The sky is blue or green."),
        (SKY, "The sky be a bluebird."),
        (SUM, "7 + 5 = 13"),
        (SUM, "7 + 5 = 120"),
        (SUM, "7 + 5 = 12.5"),
        (SUM, "It is 11, or 12."),
        (SPIDER, "A spider has six or eight legs."),
        (SPIDER, "A spider has eighty legs."),
        (RUSSIA, "They speak Polish and Russian."),
        (BRAZIL, "Brazil is in North America, not in South America."),
        (BRAZIL, "Brazil is in Africa and South America."),
        (GOLD, "The chemical symbol for gold is gold."),
        (GOLD, "The symbol is Aurum"),
        (GOLD, ""),
    ],
)
def test_fact_wrong(row, text):
    assert not fact_right(row, text)


ORDER = Row(
    "…",
    '{"name":"Ann Lee","city":"Rome","item":"red hats","quantity":3}',
    {"record": {"name": "Ann Lee", "city": "Rome", "item": "red hats", "quantity": 3}},
)


@pytest.mark.parametrize(
    ("text", "valid", "right"),
    [
        (ORDER.completion, True, True),
        (f"  {ORDER.completion}\n", True, True),
        ('{"quantity": 3, "item": "red hats", "city": "Rome", "name": "Ann Lee"}', True, True),
        (ORDER.completion.replace("3", '"3"'), True, False),
        (ORDER.completion.replace("3", "3.0"), True, False),
        (ORDER.completion.replace("3", "4"), True, False),
        (ORDER.completion.replace("Rome", "rome"), True, False),
        (ORDER.completion.replace("red hats", "hats"), True, False),
        (ORDER.completion.replace("}", ',"note":"x"}'), True, False),
        (ORDER.completion.replace("}", ',"city":"Rome"}'), False, False),
        ('{"name":"Ann Lee"}', True, False),
        ("{}", True, False),
        (f"[{ORDER.completion}]", False, False),
        (f"```json\n{ORDER.completion}\n```", False, False),
        (f"Here it is: {ORDER.completion}", False, False),
        (ORDER.completion[:-1], False, False),
        (ORDER.completion * 2, False, False),
        (ORDER.completion.replace('"', "'"), False, False),
        ("3", False, False),
        ("", False, False),
        ("[" * 100_000, False, False),
    ],
)
def test_structured_output(text, valid, right):
    assert valid_json(ORDER, text) is valid
    assert exactly_right(ORDER, text) is right


def test_true_is_not_one():
    row = Row("…", "", {"record": {"quantity": 1}})
    assert exactly_right(row, '{"quantity":1}')
    assert not exactly_right(row, '{"quantity":true}')


def test_exact_match_ignores_white_space_only():
    row = Row("q", "Yes,  it is.\n")
    assert exact_match(row, "Yes, it is.")
    assert not exact_match(row, "yes, it is.")

"""`grade` on every kind of question: right, right otherwise, each mistake, and nonsense."""

from __future__ import annotations

import collections
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
import torch
from pydantic import ValidationError

from labs_lib.assessment.grading import grade, right_answer
from labs_lib.assessment.kinds import KINDS
from labs_lib.assessment.outcomes import Outcome, Response
from labs_lib.assessment.short_texts import normal_form

COMMON = {
    "objective": "o",
    "difficulty": 1,
    "prompt": "Which?",
    "hint": "Think.",
    "explanation": "Because.",
    "source": "Computed",
}


def make(kind: str, **fields) -> Any:
    return KINDS[kind].model_validate({"id": f"01.{kind}", "kind": kind, **COMMON, **fields})


SINGLE = make(
    "single",
    options=[
        {"text": "one", "feedback": "not one", "misconception": "thinks-one"},
        {"text": "two", "correct": True},
        {"text": "three", "feedback": "not three"},
    ],
)
MULTIPLE = make(
    "multiple",
    options=[
        {"text": "A", "correct": True, "feedback": "A belongs too."},
        {"text": "B", "feedback": "not B"},
        {"text": "C", "correct": True},
    ],
)
NUMERIC = make(
    "numeric",
    answer=14.0,
    unit="GB",
    tolerance={"relative": 0.01},
    mistakes=[{"value": 28.0, "feedback": "two bytes each", "misconception": "fp32"}],
)
PERCENT = make("numeric", answer=60.0, unit="%", tolerance={"absolute": 0.5})
STEPS = make("numeric", answer=8.0, unit="steps")
ORDERING = make(
    "ordering",
    items=[{"text": f"step {n}", "feedback": f"why {n}"} for n in range(4)],
)
TEXT = make(
    "text",
    accept=["LoraConfig"],
    case_sensitive=True,
    mistakes=[{"match": ["LoRAConfig"], "feedback": "only the L", "misconception": "capital-ra"}],
)
WORD = make("text", accept=["rank 8", "Straße"])
NONE = make("text", accept=["none"])
HYPHEN = make(
    "text",
    accept=["all-linear"],
    mistakes=[{"match": ["all_linear", "all linear"], "feedback": "a hyphen"}],
)
DRAWN = make(
    "parameterised",
    prompt="r={rank} d={d}",
    numbers={"rank": {"choices": [4, 8, 16]}, "d": {"low": 64, "high": 512, "step": 64}},
    formula="2 * rank * d",
    mistakes=[{"formula": "d * d", "feedback": "the full matrix of {d}"}],
)
CODE = make("code", exercise="04.count-function")
ALL = (SINGLE, MULTIPLE, NUMERIC, ORDERING, TEXT, WORD, DRAWN, CODE)


def outcome(question, value, seed: int = 0) -> Outcome:
    return grade(question, Response(question.id, value, seed))


@pytest.mark.parametrize("question", ALL, ids=lambda each: each.kind)
def test_the_right_answer_is_correct_and_explained(question):
    got = outcome(question, right_answer(question, 3), 3)
    assert got.status == "correct"
    if question is not CODE:
        assert got.message == "Because."


@pytest.mark.parametrize("blank", [None, ..., "", "  \n\t", [], (), set()])
@pytest.mark.parametrize("question", ALL, ids=lambda each: each.kind)
def test_a_blank_is_not_attempted(question, blank):
    assert outcome(question, blank).status == "not attempted"


@pytest.mark.parametrize(
    ("question", "value"),
    [
        (SINGLE, "B"), (SINGLE, " b) "), (SINGLE, "ｂ"), (SINGLE, ["b"]), (SINGLE, "(b)"),
        (MULTIPLE, "a,c"), (MULTIPLE, "C A"), (MULTIPLE, "ac"), (MULTIPLE, {"a", "c"}),
        (MULTIPLE, ["c", "a"]),
        (NUMERIC, 14), (NUMERIC, "14.1"), (NUMERIC, "14 GB"), (NUMERIC, "14,000 MB"),
        (NUMERIC, "14e9 B"), (NUMERIC, "１４"), (NUMERIC, "١٤"), (NUMERIC, "13.04 GiB"),
        (NUMERIC, "14,05"), (NUMERIC, numpy.float32(14)), (NUMERIC, "14 gb"),
        (TEXT, "`LoraConfig`"), (TEXT, ' "LoraConfig". '),
        (WORD, "RANK  8"), (WORD, "rank ８"), (WORD, "STRASSE"), (WORD, "strasse"),
        (SINGLE, {"b"}), (SINGLE, ("b",)), (SINGLE, "option b"), (SINGLE, "Two"),
        (SINGLE, "b) two"), (SINGLE, "b."), (SINGLE, numpy.array(["b"])), (SINGLE, numpy.str_("b")),
        (SINGLE, ["B)"]),
        (MULTIPLE, ("a", "c")), (MULTIPLE, frozenset("ac")), (MULTIPLE, "a and c"),
        (MULTIPLE, "a & c"), (MULTIPLE, "[a, c]"), (MULTIPLE, "['a', 'c']"), (MULTIPLE, "a/c"),
        (MULTIPLE, numpy.array(["a", "c"])), (MULTIPLE, collections.deque("ac")),
        (MULTIPLE, {"a": 1, "c": 2}.keys()), (MULTIPLE, ["a, c"]),
        (NUMERIC, torch.tensor(14)), (NUMERIC, torch.tensor([14.0])), (NUMERIC, numpy.int64(14)),
        (NUMERIC, numpy.array([[14.0]])), (NUMERIC, Decimal("14.0")), (NUMERIC, Fraction(28, 2)),
        (NUMERIC, "0.014 TB"), (NUMERIC, "14 000 MB"), (NUMERIC, "~14"), (NUMERIC, "28/2"),
        (NUMERIC, "7 * 2"), (NUMERIC, "14,0"),
        (TEXT, "the LoraConfig"), (TEXT, "LoraConfig()"), (TEXT, "It is LoraConfig."),
        (TEXT, type("LoraConfig", (), {})),
        (WORD, "rank-8"), (WORD, "Rank_8"), (WORD, "“rank 8”"), (WORD, "rank‑8"), (WORD, "rank8"),
        (WORD, "a rank 8"), (NONE, "none"), (NONE, "None"), (NONE, None), (NONE, "'NONE'"),
    ],
)  # fmt: skip
def test_a_right_answer_in_another_form_is_correct(question, value):
    assert outcome(question, value).status == "correct"


@pytest.mark.parametrize(
    ("question", "value", "message", "misconception"),
    [
        (SINGLE, "a", "not one", "thinks-one"),
        (SINGLE, "c", "not three", "c"),
        (MULTIPLE, "a,b,c", "not B", "b"),
        (MULTIPLE, "c", "A belongs too.", ""),
        (NUMERIC, 28, "two bytes each", "fp32"),
        (NUMERIC, "13.04", "right amount in GiB, but GB was asked", "gb-gib"),
        (PERCENT, 0.6, "as a fraction; in percent", "fraction-for-percent"),
        (STEPS, 1, "1 step is too small.", "too-small"),
        (STEPS, 21, "21 steps is too large.", "too-large"),
        (PERCENT, 0.61, "too small", "too-small"),
        (NUMERIC, 0.14, "too small", "too-small"),
        (NUMERIC, 3, "too small", "too-small"),
        (NUMERIC, 1e30, "too large", "too-large"),
        (TEXT, "LoRAConfig", "only the L", "capital-ra"),
        (TEXT, "loraconfig", "not it", ""),
        (WORD, "rank 9", "not it", ""),
        (TEXT, "loraconfig()", "not it", ""),
        (HYPHEN, "all linear", "a hyphen", "all linear"),
        (HYPHEN, "ALL_LINEAR", "a hyphen", "all_linear"),
        (HYPHEN, "alllinear", "not it", ""),
        (MULTIPLE, {"a"}, "1 more should be chosen", ""),
        (NUMERIC, "0,373", "too small", "too-small"),
        (NUMERIC, torch.tensor(28.0), "two bytes each", "fp32"),
    ],
)
def test_a_mistake_has_its_own_message(question, value, message, misconception):
    got = outcome(question, value)
    assert got.status == "incorrect"
    assert message in got.message
    assert got.misconception == misconception


@pytest.mark.parametrize("value", ["1,234", "14,500 MB", "13,000", "5 to 6", "13–15", "1.2.3"])
def test_a_number_of_two_readings_is_asked_back_and_not_marked(value):
    got = outcome(NUMERIC, value)
    assert got.status == "error"
    assert "\n" not in got.message
    assert len(got.message) < 200


RIGHT_ORDER = list(ORDERING.right_letters)
ORDERS = [
    *(sign.join(RIGHT_ORDER) for sign in (" → ", " > ", "-", "->", ", then ", "", " | ", ";")),
    tuple(RIGHT_ORDER), RIGHT_ORDER, [f"{letter})" for letter in RIGHT_ORDER], iter(RIGHT_ORDER),
    (each for each in RIGHT_ORDER), numpy.array(RIGHT_ORDER), [f"step {n}" for n in range(4)],
]  # fmt: skip


@pytest.mark.parametrize("value", ORDERS)
def test_an_order_is_read_however_it_is_written(value):
    assert outcome(ORDERING, value).status == "correct"


def test_a_set_is_no_order():
    got = outcome(ORDERING, set("abcd"))
    assert got.status == "error"
    assert "set has no order" in got.message


def test_a_message_is_never_a_flood():
    long = Outcome("error", "x" * 10**6, "y" * 10**6)
    assert len(long.message) <= 4000
    assert len(long.misconception) <= 200
    named = type("N" * 10**6, (), {})()
    nameless = type("", (), {})()
    for question in ALL:
        for value in (named, nameless, [named]):
            got = outcome(question, value)
            assert got.status == "error", question.kind
            assert len(got.message) < 400, question.kind


@pytest.mark.parametrize(
    ("question", "value", "message"),
    [
        (SINGLE, "?", "Type a letter from a to "),
        (SINGLE, "all", "'all' is not one of a, b, "),
        (SINGLE, "none", "'none' is not one of a, b, "),
        (SINGLE, "I don't know", '"I don\'t know" names no option; type a letter from a to '),
        (ORDERING, "what first?", "'what first?' names no option; type a letter from a to "),
        (NUMERIC, "14 apples", "unit 'apples' is not known here; the answer is wanted in GB."),
        (NUMERIC, [14.0], "A list is not a number; give the number alone."),
        (WORD, "?", "Answer in words; '?' is none."),
        (WORD, " “…” ".replace("…", "."), "Answer in words; "),
    ],
)
def test_what_is_no_answer_is_told_what_one_is(question, value, message):
    got = outcome(question, value)
    assert got.status == "error"
    assert message in got.message


@pytest.mark.parametrize("value", ["b?", "b!", " B ? ", "в", "Β"])
def test_a_letter_is_read_with_signs_and_from_other_keyboards(value):
    assert outcome(SINGLE, value).status == "correct"


@pytest.mark.parametrize("value", ["14?", "14 GB?", "14 ?!"])
def test_a_number_with_a_question_mark_is_read(value):
    assert outcome(NUMERIC, value).status == "correct"


@pytest.mark.parametrize(
    ("value", "message"),
    [("3", "3 GB is too small."), ("3 TB", "3,000 GB is too large."),
     ("123456789", "123,456,789 GB is too large."), (0.5 + 1e-9, "0.5 GB is too small.")],
)  # fmt: skip
def test_a_wrong_number_is_shown_in_the_questions_unit(value, message):
    assert outcome(NUMERIC, value).message == message


def test_the_first_item_out_of_place_is_explained():
    right = list(ORDERING.right_letters)
    swapped = [right[0], right[2], right[1], right[3]]
    got = outcome(ORDERING, ",".join(swapped))
    assert got.status == "incorrect"
    assert "why 2" in got.message
    assert "Place 2" in got.message


def test_an_ordering_is_never_shown_in_the_right_order():
    for number in range(50):
        question = make("ordering", items=[{"text": f"{number} {n}", "feedback": "f"}
                                           for n in range(3)])  # fmt: skip
        assert list(question.shown) != [0, 1, 2]


def test_gib_asked_and_gb_given_is_recognized_too():
    question = make("numeric", answer=16, unit="MiB", tolerance={"relative": 0.01})
    assert "right amount in MB" in outcome(question, 16.777).message
    assert outcome(question, "16.777 MB").status == "correct"


def test_neighbors_get_different_numbers_and_each_the_same_again():
    prompts = {DRAWN.draw(seed).prompt for seed in range(30)}
    assert len(prompts) > 10
    assert DRAWN.draw(5) == make(
        "parameterised",
        **{name: getattr(DRAWN, name) for name in ("prompt", "numbers", "formula", "mistakes")},
    ).draw(5)
    # The same on every machine and version: Python documents seeding by a string.
    assert DRAWN.draw(0).prompt == "r=8 d=448"


def test_a_drawn_mistake_is_recognized_with_its_numbers():
    drawn = DRAWN.draw(0)
    got = outcome(DRAWN, 448 * 448, 0)
    assert got.message == "the full matrix of 448"
    assert outcome(DRAWN, drawn.answer, 0).status == "correct"
    other = next(seed for seed in range(9) if DRAWN.draw(seed).answer != drawn.answer)
    assert outcome(DRAWN, drawn.answer, other).status == "incorrect"


class Hostile:
    """Raises whatever is asked of it."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def __eq__(self, other):
        raise RuntimeError("no eq")

    __hash__ = None  # type: ignore[assignment]

    def __str__(self):
        raise RuntimeError("no str")


HUGE = "9" * 10_000_000
NONSENSE: list[tuple[object, object]] = [
    *[(SINGLE, value) for value in ("z", "ab", "b,b", "1", "٢", HUGE, 1, 1.5, True, {"a": 1},
                                    b"b", object(), Hostile(), math.nan, ["b", "c"], [1], ["zz"],
                                    "\x00", ")))", lambda: "b")],
    *[(MULTIPLE, value) for value in ("a,z", "aa", HUGE, 3, [None], [["a"]], {"a": 1}, math.inf,
                                      ["a"] * 200, Hostile())],
    *[(NUMERIC, value) for value in ("nan", "inf", "-inf", math.nan, math.inf, -math.inf, "1e999",
                                     10**400, HUGE, "", "fourteen", "14 apples", "14 s", "1.2.3",
                                     "1,23,4", "0x10", "14²", True, [14], {"x": 14}, b"14",
                                     Hostile(), complex(1, 2), numpy.array([1.0, 2.0]), "١٤ XB")],
    *[(ORDERING, value) for value in ("a", "a,b,c", "a,b,c,c", "a,b,c,d,e", HUGE, 5, Hostile(),
                                      "abcz")],
    *[(TEXT, value) for value in (HUGE, 5, ["LoraConfig"], {"a": 1}, Hostile(), math.nan, b"L")],
    *[(CODE, value) for value in (5, ["def"], "x" * 200_000, "def count_lora(:", "count_lora = 3",
                                  "import nothing_of_this_name")],
]  # fmt: skip


def test_there_are_enough_malformed_responses():
    assert len(NONSENSE) >= 60


@pytest.mark.parametrize(("question", "value"), NONSENSE)
def test_nonsense_is_an_error_or_blank_in_one_short_line(question, value):
    got = outcome(question, value)
    assert got.status == ("not attempted" if isinstance(value, str) and not value else "error")
    assert got.message
    assert len(got.message) < 400
    assert "\n" not in got.message


@pytest.mark.parametrize("asked", ["01.other", None, 5, Hostile(), HUGE])
@pytest.mark.parametrize("question", ALL, ids=lambda each: each.kind)
def test_another_questions_id_is_refused(question, asked):
    got = grade(question, Response(asked, "a"))
    assert got.status == "error"
    assert question.id in got.message
    assert len(got.message) < 400


@pytest.mark.parametrize("seed", [None, "7", 1.5, Hostile()])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    got = grade(DRAWN, Response(DRAWN.id, 5, seed))
    assert got.status == "error"
    assert "seed" in got.message


def test_everything_is_frozen():
    for thing, field in (
        (SINGLE, "prompt"),
        (Response("a"), "value"),
        (Outcome("error"), "status"),
    ):
        with pytest.raises((ValidationError, AttributeError)):
            setattr(thing, field, "changed")


def test_normal_form_keeps_case_when_it_counts():
    assert normal_form(" ‘LoRA’. ", case_sensitive=True) == "LoRA"
    assert normal_form(" ‘LoRA’. ") == "lora"


@pytest.mark.parametrize(("value", "name"), [(float("nan"), "NaN"), (float("-inf"), "Infinity")])
def test_a_number_that_is_none_is_called_by_its_name(value, name):
    got = outcome(NUMERIC, value)
    assert got.status == "error"
    assert got.message == f"{name} is not a finite number."

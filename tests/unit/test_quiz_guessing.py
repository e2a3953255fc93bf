"""What a bank gives away by the look of its options is measured, and refused beyond a margin."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from labs_lib.assessment.banks import load_bank
from labs_lib.assessment.guessing import FEWEST, RULES, GuessingScore, Options, guessing_scores
from labs_lib.assessment.lint import check_bank, check_banks
from labs_lib.commands.quiz import command

SHORT, LONGEST, HEDGED, REPEATS = (rule.name for rule in RULES)

# (prompt, options, how often each rule takes the first one)
LOOKS = [
    ("Q?", ("no", "a longer one", "the longest of all"), {SHORT: 1, LONGEST: 0}),
    ("Q?", ("an option of middle size", "x, since it is", "y because of it"), {SHORT: 1}),
    ("Q?", ("of middle size", "x; it is so", "y, which is"), {SHORT: 1}),
    ("Q?", ("x, as it is frozen", "as many as there are", "so far it is"), {SHORT: 0}),
    ("Q?", ("even here, because", "all of it, because it is", "x, since so it is"), {SHORT: 0}),
    ("Q?", ("an option", "`an` option", "shorter"), {LONGEST: 1 / 2}),
    ("Q?", ("usually, about half", "always half", "half may do"), {HEDGED: 1}),
    ("Q?", ("one", "two", "three", "four"), {HEDGED: 1 / 4, REPEATS: 1 / 4}),
    ("What is trained?", ("trained adapters", "the base", "what it is"), {REPEATS: 1}),
    ("Which adapters?", ("an adapter", "adapters", "which"), {REPEATS: 1 / 2}),
]  # fmt: skip


def question(number: int, texts: tuple[str, ...], right: int = 0, prompt: str = "") -> dict:
    options = [
        {"text": text} | ({"correct": True} if place == right else {"feedback": "f"})
        for place, text in enumerate(texts)
    ]
    return {
        "id": f"09.q{number}", "kind": "single", "objective": "first", "difficulty": 1,
        "prompt": prompt or f"Number {number}?", "options": options, "hint": "h",
        "explanation": "e", "source": "s",
    }  # fmt: skip


def bank_of(folder, *questions: dict, lesson: str = "09"):
    path = folder / f"{lesson}_test.yaml"
    content = {"lesson": lesson, "title": "t", "objectives": {"first": "x"}}
    content["questions"] = [
        {**each, "id": each["id"].replace("09", lesson, 1)} for each in questions
    ]
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


@pytest.mark.parametrize(("prompt", "texts", "shares"), LOOKS)
def test_a_rule_goes_by_the_look_of_an_option(prompt, texts, shares):
    scores = {s.rule: s.right for s in guessing_scores([Options("q", prompt, texts, right=0)])}
    assert {rule: scores[rule] for rule in shares} == pytest.approx(shares)


@pytest.mark.parametrize(
    ("count", "expected", "right", "gives_away"),
    [
        (3, 0.75, 3, False),  # too few to tell
        (8, 2, 3, False),
        (8, 2, 3.5, True),
        (20, 5, 7, False),
        (20, 5, 7.25, True),
        (5, 2.5, 2.5, False),  # blind choice between two
        (5, 2.5, 3, True),  # more than half
        (56, 14, 20, False),
        (56, 14, 21, True),
    ],
)
def test_the_margin_is_a_tenth_and_never_more_than_half(count, expected, right, gives_away):
    assert GuessingScore("r", count, right, expected, ()).gives_away is gives_away


GIVEN_AWAY = {
    SHORT: ("yes", "no, because of it", "no, since it is"),
    LONGEST: ("the longest by far", "shorter", "short"),
    HEDGED: ("usually both are", "both together", "a"),
    REPEATS: ("number is what", "others here", "a"),
}


@pytest.mark.parametrize("rule", GIVEN_AWAY)
def test_a_bank_that_gives_answers_away_is_refused(tmp_path, rule):
    options = GIVEN_AWAY[rule]
    turned = [options[n % 3 :] + options[: n % 3] for n in range(FEWEST)]
    questions = [
        question(n, texts, right=texts.index(options[0])) for n, texts in enumerate(turned)
    ]
    said = check_bank(load_bank(bank_of(tmp_path, *questions)))
    assert any(f"taking {rule} is right in 4 of 4" in problem.message for problem in said)


def test_two_banks_that_pass_may_give_answers_away_together(tmp_path):
    short, long = GIVEN_AWAY[SHORT], ("a", "of middle size", "the longest of them")
    paths = []
    for lesson, shorts in (("08", 1), ("09", 2)):
        # Three questions are too few for a bank of its own.
        looks = [short if n < shorts + 1 else long for n in range(3)]
        questions = [
            question(n, texts, n % 3 if texts is long else 0, f"{lesson} {n}?")
            for n, texts in enumerate(looks)
        ]
        paths.append(bank_of(tmp_path, *questions, lesson=lesson))
    assert all(check_banks([path])[1] == [] for path in paths)
    (problem,) = check_banks(paths)[1]
    assert str(problem).startswith("08_test.yaml:1: in all 2 banks, taking the shortest option")


def test_no_question_is_asked_twice(tmp_path):
    first = bank_of(tmp_path, question(1, ("a", "b"), prompt="What is `r`?"), lesson="08")
    again = bank_of(tmp_path, question(2, ("c", "d"), prompt="what is  r"), lesson="09")
    assert check_banks([first])[1] == check_banks([again])[1] == []
    (problem,) = check_banks([first, again])[1]
    assert problem.path == again
    assert problem.line > 1
    assert problem.message == "09.q2: 08.q1 has the same prompt"


def test_the_figures_are_printed_for_programs(tmp_path):
    path = bank_of(tmp_path, *(question(n, ("yes", "no, since it is")) for n in range(2)))
    done = CliRunner().invoke(command, ["check", "--json", str(path)], standalone_mode=False)
    content = json.loads(done.output)
    (bank,) = content["banks"]
    assert [each["rule"] for each in bank["guessing"]] == [SHORT, LONGEST, HEDGED, REPEATS]
    assert bank["guessing"] == content["guessing"]
    assert bank["guessing"][0] == {
        "rule": SHORT, "single_choices": 2, "right": 2, "chance": 1, "at_most": 1,
        "found": ["09.q0", "09.q1"],
    }  # fmt: skip

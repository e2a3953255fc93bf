"""Review in a notebook and at the terminal: the same questions, and the same lines recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import nbformat
import pytest
from review_bank import CODE, DRAWN, LATER, NOW, OTHER, SINGLE, event, write_banks, write_log

from labs_lib.assessment.progress import read_events
from labs_lib.assessment.review import NOTHING_DUE
from labs_lib.assessment.show import Panel
from labs_lib.cli import main
from labs_lib.commands import review as command
from labs_lib.errors import LabError
from labs_lib.widgets import ReviewCards, ask, review
from tools import notebooks


@pytest.fixture(autouse=True)
def small_course(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABS_SEED", "3")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    write_banks(tmp_path / "quizzes", monkeypatch)


def wrong_long_ago(*items: str) -> None:
    """Record wrong answers from a time that is past on every clock."""
    write_log(*(event(item, "incorrect", 50 + place) for place, item in enumerate(items)))


def shown(lesson: str | None = None) -> ReviewCards:
    cards = review(lesson)
    assert isinstance(cards, ReviewCards)
    return cards


def nothing_due(lesson: str | None = None) -> str:
    panel = review(lesson)
    assert isinstance(panel, Panel)
    return panel.plain


def labs(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["review", *arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def typed(monkeypatch):
    """A terminal at which the given lines are typed."""

    def at_terminal(*lines: str) -> list[str]:
        asked, left = [], iter(lines)

        def prompt(question: str, **_: object) -> str:
            asked.append(question)
            return next(left)

        monkeypatch.setattr(command, "_at_a_terminal", lambda: True)
        monkeypatch.setattr(command.click, "prompt", prompt)
        return asked

    return at_terminal


# In a notebook


def test_what_is_due_is_shown_as_cards_that_know_no_answer_yet():
    wrong_long_ago(SINGLE, CODE, LATER)
    cards = shown()
    assert cards.question_ids == (LATER, SINGLE)
    assert all(card._feedback.value == "" for card in cards._cards.values())
    bundle = cards._repr_mimebundle_()
    assert bundle["text/plain"].startswith("2 questions are due for review.\n\nQuestion 02.a.one")
    assert f'review().card("{SINGLE}").submit("a", ' in bundle["text/plain"]
    assert "<li>a) Yes</li>" in bundle["text/html"]
    assert "because" not in str(bundle)
    assert len(read_events()[0]) == 3  # looking at it records nothing
    with pytest.raises(LabError, match=r"question: '01\.a\.on' is not one of"):
        cards.card("01.a.on")


def test_from_code_a_card_is_found_where_it_is_shown():
    wrong_long_ago(SINGLE, OTHER, LATER)
    assert f'review("02").card("{SINGLE}").submit(' in shown("02").text
    cards = review("02", at_most=1)
    assert isinstance(cards, ReviewCards)
    assert 'review("02", at_most=1).card(' in cards.text


@pytest.mark.parametrize("lesson", [["02"], {}, 2, b"02"])
def test_a_lesson_that_is_none_is_one_line(lesson):
    with pytest.raises(LabError, match=r"lesson: .* is not one of 01, 02"):
        review(lesson)


def test_a_due_question_that_is_answered_is_due_no_more():
    wrong_long_ago(SINGLE, OTHER)
    shown().card(SINGLE).submit("a", confidence="sure")
    assert shown().question_ids == (OTHER,)
    shown().card(OTHER).submit("b")
    assert nothing_due().startswith("Nothing is due: the next question comes back on ")


def test_the_answer_given_last_counts_once_more_in_a_review_and_only_once():
    ask(SINGLE).submit("a")
    (lately,) = read_events()[0]
    write_log({**lately, "time": "2026-01-01T00:00:00+00:00"})
    card = shown().card(SINGLE)
    for _ in range(3):
        card.submit("a")
    assert [each.get("review") for each in read_events()[0]] == [None, True]
    card.submit("b")
    assert [each.get("review") for each in read_events()[0]] == [None, True, None]
    assert [each.get("repeat") for each in read_events()[0]] == [None, None, None]


def test_what_cannot_be_read_does_not_use_the_review_up():
    wrong_long_ago(DRAWN)
    card = shown().card(DRAWN)
    assert card.submit("many").look == "error"
    assert card.submit(None).look == "not attempted"
    card.submit("1000")
    reviews = [each.get("review") for each in read_events()[0]]
    assert reviews == [None, None, True]


def test_a_review_with_other_numbers_leaves_the_lessons_card_as_it_was():
    lessons_card = ask(DRAWN)
    lessons_card.submit("1000")
    (first,) = read_events()[0]
    write_log({**first, "time": "2026-01-01T00:00:00+00:00"})
    card = shown().card(DRAWN)
    assert card.text.splitlines()[1] != lessons_card.text.splitlines()[1]
    card.submit("7777")
    assert "1,000 is too large" in ask(DRAWN)._feedback.value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notebooks/02_second.ipynb", (SINGLE,)),
        ("02_mine.ipynb", (SINGLE,)),
        ("C:\\course\\02_second.ipynb", (SINGLE,)),
        ("02.ipynb", (SINGLE,)),
        ("notes.ipynb", (LATER, SINGLE)),
        ("02_second.py", (LATER, SINGLE)),
        ("", (LATER, SINGLE)),
    ],
)
def test_a_lesson_reviews_the_lessons_before_it(name, expected, monkeypatch):
    wrong_long_ago(SINGLE, LATER)
    monkeypatch.setenv("JPY_SESSION_NAME", name)
    assert shown().question_ids == expected
    assert shown("02").question_ids == (SINGLE,)
    assert nothing_due("01").startswith("Nothing is due")


def test_a_lesson_run_for_the_first_time_shows_one_calm_line(tmp_path):
    cells = ["from labs_lib.widgets import review", "review()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebooks.execute(notebook, environment={**os.environ, "LABS_HOME": str(tmp_path / "fresh")})
    (output,) = notebook.cells[1].outputs
    assert output["data"]["text/plain"] == NOTHING_DUE
    assert set(output["data"]) == {"text/plain", "text/html"}


# At the terminal


def test_card_and_terminal_record_the_same_lines(capsys, typed):
    wrong_long_ago(SINGLE, DRAWN)
    before = read_events()[0]
    card = shown().card(DRAWN)
    card.submit("1000", confidence="unsure")
    card.hint()
    right = str(card._question.solution)
    card.submit(right)
    shown().card(SINGLE).submit("b", confidence="sure")
    shown_in_cards = read_events()[0][len(before) :]

    wrong_long_ago(SINGLE, DRAWN)
    asked = typed("1000", "2", "?", right, "b", "sure", "")
    code, out, _ = labs(capsys)
    assert code == 0
    at_terminal = read_events()[0][len(before) :]
    for events in (shown_in_cards, at_terminal):
        for each in events:
            each.pop("time")
    assert at_terminal == shown_in_cards
    assert len(at_terminal) == 4
    assert asked.count("Your answer") == 5
    assert "2 questions are due" in out
    assert "Hint: the hint" in out
    assert "Correct: because" in out
    assert "a) Yes" in out
    assert "Not yet, though you were sure. Read this twice: no reason" in out


def test_a_skipped_question_records_nothing_and_stays_due(capsys, typed):
    wrong_long_ago(SINGLE, OTHER)
    typed("", " ")
    assert labs(capsys)[0] == 0
    assert len(read_events()[0]) == 2
    assert len(shown().question_ids) == 2


def test_an_answer_or_a_confidence_that_cannot_be_read_is_asked_again(capsys, typed):
    wrong_long_ago(SINGLE)
    asked = typed("z", "7", "3", "a")
    code, out, _ = labs(capsys)
    assert code == 0
    assert "Type a number from 1 to 4." in out
    assert "'z' is not one of" in out
    assert [question.partition("?")[0] for question in asked] == [
        "Your answer", "How sure are you", "How sure are you", "Your answer"
    ]  # fmt: skip
    assert read_events()[0][-1]["confidence"] == "fairly sure"


def test_at_most_and_lesson_choose(capsys, typed):
    wrong_long_ago(SINGLE, OTHER, LATER)
    asked = typed("")
    assert labs(capsys, "--at-most", "1", "--lesson", "02")[0] == 0
    assert len(asked) == 1
    due = json.loads(labs(capsys, "--json", "--lesson", "02")[1])["due"]
    assert [each["id"] for each in due] == [OTHER, SINGLE]


def test_nothing_due_is_the_same_calm_line(capsys, typed):
    typed()
    assert labs(capsys)[:2] == (0, f"{NOTHING_DUE}\n")


def test_json_lists_what_is_due_and_when(capsys):
    yesterday = (datetime.now(timezone.utc) - timedelta(days=0.1)).isoformat()
    later = {**event(OTHER, "correct", 0, confidence="sure"), "time": yesterday}
    write_log(event(SINGLE, "incorrect", 50, confidence="sure"), later)
    code, out, _ = labs(capsys, "--json")
    content = json.loads(out)
    assert code == 0
    (due,), (upcoming,) = content["due"], content["later"]
    assert due["id"] == SINGLE
    assert due["wrong_and_sure"]
    assert due["last_answer"] == "incorrect"
    assert due["due"] == (NOW - timedelta(days=49)).date().isoformat()
    assert upcoming["id"] == OTHER
    assert upcoming["due"] > datetime.now().date().isoformat()
    assert len(read_events()[0]) == 2


def test_progress_that_cannot_be_read_is_one_line(capsys, tmp_path, typed):
    (tmp_path / "home" / "data" / "progress.jsonl").mkdir(parents=True)
    typed()
    for arguments in ((), ("--json",)):
        code, out, err = labs(capsys, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("labs: Your progress could not be read")


def test_without_a_terminal_one_line_says_so():
    wrong_long_ago(SINGLE)
    run = subprocess.run(
        [sys.executable, "-m", "labs_lib", "review"],
        input="a\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("labs: review: no terminal to ask at; --json lists")
    assert run.stderr.count("\n") == 1
    assert len(read_events()[0]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lesson", "9"], "lesson: '9' is not one of 01, 02"),
        (["--at-most", "0"], "at_most: 0 is not legal"),
        (["--at-most", "x"], "at-most"),
    ],
)
def test_a_mistake_is_one_line(capsys, arguments, message):
    code, _, err = labs(capsys, "--json", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1

"""How sure a student is: recorded with the answer, shown where it surprises, and summed up."""

from __future__ import annotations

import numpy as np
import pytest
from review_bank import DRAWN, OTHER, SINGLE, event, write_banks, write_log

from labs_lib.assessment import notebook
from labs_lib.assessment.confidence import STEPS, confidence_calibration
from labs_lib.assessment.progress import read_events, standing
from labs_lib.errors import LabError
from labs_lib.widgets import ask, show_progress


@pytest.fixture(autouse=True)
def small_course(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABS_SEED", "3")
    write_banks(tmp_path / "quizzes", monkeypatch)


def test_the_buttons_say_nothing_until_one_is_pressed():
    card = ask(SINGLE)
    (radio,) = card._inputs
    buttons = card._confidence.widget
    assert [label for label, _ in buttons.options] == ["not said", *STEPS]
    radio.value = "b"
    card._submit.click()
    assert "confidence" not in read_events()[0][-1]
    radio.value, buttons.value = "c", "fairly sure"
    card._submit.click()
    assert read_events()[0][-1]["confidence"] == "fairly sure"


@pytest.mark.parametrize("confidence", [None, "", *STEPS])
def test_from_code_it_is_recorded_if_it_is_stated(confidence):
    ask(SINGLE).submit("b", confidence=confidence)
    assert read_events()[0][-1].get("confidence") == (confidence or None)


@pytest.mark.parametrize("confidence", ["shure", 4, True, ["sure"], np.array(["sure", ""])])
def test_a_confidence_that_is_none_records_nothing(confidence):
    with pytest.raises(LabError, match=r"confidence: .* is not one of guess, unsure"):
        ask(SINGLE).submit("b", confidence=confidence)
    assert read_events()[0] == []


def test_the_same_answer_with_another_confidence_is_no_new_attempt():
    ask(SINGLE).submit("b", confidence="guess")
    ask(SINGLE).submit("b", confidence="sure")
    ask(SINGLE).submit("b")
    assert [each["confidence"] for each in read_events()[0]] == ["guess"]


def test_wrong_and_sure_is_framed_and_named_first_now_and_when_reopened():
    card = ask(SINGLE)
    plain = card.submit("b", confidence="sure").plain
    assert plain.startswith("Not yet, though you were sure. Read this twice: no reason")
    again = ask(SINGLE)
    assert "though you were sure" in again._feedback.value
    assert "border:2px solid" in again._feedback.value
    assert again._confidence.confidence == "sure"
    for confidence in (None, "guess", "fairly sure"):
        ordinary = ask(OTHER).submit("b", confidence=confidence)
        assert ordinary.plain.startswith("Not yet: ")
        assert "border:2px" not in ordinary.html


def test_a_right_guess_is_told_to_read_why():
    panel = ask(SINGLE).submit("a", confidence="guess")
    assert panel.plain.startswith("Correct, though you guessed. Read why: because")
    assert ask(OTHER).submit("a", confidence="sure").plain.startswith("Correct: because")


def test_plain_text_says_how_to_state_it():
    assert f'ask("{SINGLE}").submit("a", confidence="sure")' in ask(SINGLE).text


# Calibration


def test_the_shares_are_those_of_first_answers():
    write_log(
        event(SINGLE, "incorrect", 3, confidence="sure"),
        event(SINGLE, "correct", 2.99, confidence="sure"),  # the feedback was just read
        event(OTHER, "correct", 3, confidence="sure"),
        event(OTHER, "correct", 1, confidence="guess", review=True),
        event(DRAWN, "correct", 1),
        event("77.gone", "incorrect", 1, confidence="unsure"),
    )
    line = confidence_calibration(read_events()[0]).text
    assert line == "How often you were right: sure 1 of 2, unsure 0 of 1, guess 1 of 1."


@pytest.mark.parametrize(("right", "too_soon"), [(3, True), (4, False), (5, False)])
def test_who_is_sure_and_often_wrong_is_told_so(right, too_soon):
    outcomes = ["correct"] * right + ["incorrect"] * (5 - right)
    events = [
        event(f"01.x.q{number}", outcome, 1, confidence="sure")
        for number, outcome in enumerate(outcomes)
    ]
    assert ("sure too soon" in confidence_calibration(events).text) is too_soon


def test_nothing_is_said_where_nothing_was_stated(capsys):
    write_log(event(SINGLE, "incorrect", 1))
    assert confidence_calibration(read_events()[0]).text == ""
    assert "How often" not in show_progress().text
    notebook.calibration()
    assert "How often" not in capsys.readouterr().out


def test_progress_and_calibration_show_the_line(capsys):
    write_log(event(SINGLE, "incorrect", 1, confidence="sure"))
    line = "How often you were right: sure 0 of 1."
    assert line in show_progress().text.splitlines()
    notebook.calibration()
    assert line in capsys.readouterr().out


def test_what_was_wrong_and_sure_is_worth_the_first_look():
    write_log(
        event(SINGLE, "incorrect", 1, confidence="guess"),
        event(OTHER, "incorrect", 1, confidence="sure"),
        event(DRAWN, "incorrect", 1),
    )
    assert [item.id for item in standing().revisit] == [OTHER, SINGLE, DRAWN]


@pytest.mark.parametrize("confidence", [5, ["sure"], "x" * 101])
def test_a_line_with_a_confidence_that_cannot_be_is_skipped(confidence):
    write_log(event(SINGLE, "incorrect", 1, confidence=confidence), event(OTHER, "correct", 1))
    events, unreadable = read_events()
    assert unreadable == 1
    assert [each["id"] for each in events] == [OTHER]

"""The mock interview: its draw, its clock, what it records, and its card."""

from __future__ import annotations

import pytest

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.grading import right_answer
from labs_lib.assessment.progress import read_events
from labs_lib.assessment.review import review_plan
from labs_lib.assessment.show import Panel
from labs_lib.errors import LabError
from labs_lib.interview import (
    MockInterview,
)
from labs_lib.widgets import mock_interview

pytestmark = pytest.mark.usefixtures("own_home")


class Clock:
    """A clock that the test turns."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_same_seed_asks_the_same_questions_from_all_banks():
    first, again, other = (MockInterview(40, seed) for seed in (3, 3, 4))
    asked = [(step.id, step.text) for step in first.steps]
    assert asked == [(step.id, step.text) for step in again.steps]
    assert asked != [(step.id, step.text) for step in other.steps]
    assert len({step.id for step in first.steps}) == len(asked)
    assert {step.lessons[0] for step in first.steps if step.quick} == set(load_banks())
    kinds = ["spoken" if step.spoken else "quick" for step in first.steps[:6]]
    assert kinds == ["spoken", "quick", "quick"] * 2
    only = MockInterview(20, 1, lessons=["05"])
    assert {step.lessons[0] for step in only.steps if step.quick} == {"05"}
    assert all("05" in step.lessons for step in only.steps)


def test_the_clock_runs_while_a_question_is_open():
    clock = Clock()
    interview = MockInterview(2, seed=1, clock=clock)
    clock.now += 500  # nothing is open yet
    assert interview.left_seconds == 120
    assert not interview.is_over
    interview.open()
    clock.now += 50
    assert interview.left_seconds == 70
    interview.answer("LoRA does this and that.")
    clock.now += 500  # reading the points costs no time
    assert interview.left_seconds == 70
    interview.tick([1, 2])
    interview.open()
    clock.now += 80
    assert interview.left_seconds == 0
    late = interview.answer(_right(interview))  # begun in time, so it counts
    assert isinstance(late, Panel)
    assert late.look == "correct"
    assert interview.is_over
    assert interview.open() is None
    assert [round(r.seconds) for r in interview.summary().results] == [50, 80]


def test_a_blank_leaves_the_question_open_and_a_skip_records_nothing():
    interview = MockInterview(10, seed=2, clock=Clock())
    with pytest.raises(LabError, match="answer: no question is open"):
        interview.answer("x")
    with pytest.raises(LabError, match="tick: answer a spoken question first"):
        interview.tick([1])
    interview.open()
    interview.answer("  ")
    assert interview.is_open
    interview.skip()
    interview.open()
    interview.answer(None)
    assert interview.is_open
    interview.open()  # leaves it
    assert [r.outcome for r in interview.summary().results] == ["skipped", "skipped"]
    assert read_events()[0] == []


def test_the_summary_names_the_weakest_lesson_and_feeds_the_review():
    interview = MockInterview(60, seed=5, clock=Clock())
    wrong = []
    while (step := interview.open()) is not None:
        if step.spoken:
            interview.answer("A whole answer in some words.")
            interview.tick(range(1, len(step.spoken.points) + 1))
        elif "05" in step.lessons:
            interview.answer(_wrong(interview))
            wrong.append(step.id)
        else:
            interview.answer(_right(interview))
    answers = [event for event in read_events()[0] if event["event"] == "answer"]
    assert answers
    assert all(event["review"] for event in answers)
    summary = interview.summary()
    assert wrong
    assert summary.lessons[0].lesson == "05"
    assert summary.lessons[0].weak == tuple(wrong)
    assert summary.lessons[-1].share == 1
    assert "Begin with lesson 05" in summary.advice
    assert "`review()`" in summary.advice
    from datetime import datetime, timedelta, timezone

    later = datetime.now(timezone.utc) + timedelta(days=2)
    due = {item.question.id for item in review_plan(later).due}
    assert set(wrong) <= due


def test_ticks_decide_the_share_of_a_spoken_answer():
    interview = MockInterview(5, seed=7, clock=Clock())
    step = interview.open()
    assert step is not None
    assert step.spoken is not None
    interview.answer("Something.")
    assert interview.summary().results[0].share == 0
    assert interview.tick([1]).share == 1 / len(step.spoken.points)
    assert interview.tick([1, 2, 2]).ticked == (1, 2)
    result = interview.summary().results[0]
    assert result.missing == step.spoken.points[2:]
    assert len(read_events()[0]) == 2
    assert step.spoken.points[2] in interview.stop().plain


@pytest.mark.parametrize("minutes", [0, -5, 121, "20", True, None, float("nan")])
def test_minutes_that_are_none_are_one_line(minutes: object):
    with pytest.raises(LabError, match=r"minutes: .* is not legal; a number from 1 to 120"):
        MockInterview(minutes)  # pyright: ignore[reportArgumentType]


def test_the_card_does_what_the_interview_does():
    clock = Clock()
    card = mock_interview(5, seed=1, clock=clock)
    assert "5 minutes, seed 1" in card.text
    card.start()
    card.start()  # no second question
    assert card.interview.step is not None
    assert card.interview.step.number == 1
    assert card.text.startswith("5:00 left\n")
    card.answer("")
    card.answer("An answer.")
    card.tick([2])
    card.next()
    card.answer(_right(card.interview))
    card.next()
    summary = card.stop()
    assert [r.outcome.split()[0] for r in summary.results] == ["1", "right", "skipped"]
    assert card.text == summary.plain
    with pytest.raises(LabError, match="lessons: '99' is not one of"):
        mock_interview(lessons=["99"])
    assert mock_interview(1).stop().plain == "No question was asked."


def _right(interview: MockInterview):
    assert interview.step is not None
    assert interview.step.quick is not None
    asked = interview.step.quick
    return right_answer(asked.question)


def _wrong(interview: MockInterview):
    assert interview.step is not None
    assert interview.step.quick is not None
    right = str(_right(interview))
    for answer in ("a", "b", "123456789", "b,a", "no such word", "c,a,b", "b,c,a,d", "d,c,b,a"):
        panel = interview.step.quick.question.grade(answer)
        if panel.status == "incorrect":
            return answer
    raise AssertionError(right)

"""Review: which questions are due on which day, in which order, from any progress file."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from review_bank import (
    CODE,
    DRAWN,
    LATER,
    NOW,
    OTHER,
    SINGLE,
    event,
    write_banks,
    write_log,
)

from labs_lib.assessment.progress import read_events
from labs_lib.assessment.review import NOTHING_DUE, ReviewPlan, review_plan
from labs_lib.assessment.sittings import counted_answers
from labs_lib.errors import LabError


@pytest.fixture(autouse=True)
def small_course(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABS_SEED", "3")
    write_banks(tmp_path / "quizzes", monkeypatch)


def days_until_due(*events) -> int:
    """Return after how many days a question is due again, counted from its last answer."""
    write_log(*events)
    plan = review_plan(NOW)
    (item,) = [*plan.due, *plan.later]
    return (item.due - item.last.time.date()).days


def ids(plan: ReviewPlan) -> list[str]:
    return [item.question.id for item in plan.due]


# After a first answer


@pytest.mark.parametrize(
    ("outcome", "fields", "days"),
    [
        ("incorrect", {}, 1),
        ("incorrect", {"confidence": "sure"}, 1),
        ("correct", {}, 2),
        ("correct", {"confidence": "fairly sure"}, 2),
        ("correct", {"confidence": "unsure"}, 1),
        ("correct", {"confidence": "guess"}, 1),
        ("correct", {"confidence": "sure"}, 8),
        ("correct", {"confidence": "of a newer version"}, 2),
    ],
)
def test_an_answer_is_due_again_the_later_the_better_it_was(outcome, fields, days):
    assert days_until_due(event(SINGLE, outcome, 0.0, **fields)) == days


def test_a_right_answer_after_a_hint_comes_back_sooner():
    assert days_until_due(event(SINGLE, "hint", 0.1), event(SINGLE, "correct", 0)) == 1
    # A hint to an earlier answer is no help with this one.
    earlier = (event(SINGLE, "hint", 2.1), event(SINGLE, "correct", 2))
    with_hint = days_until_due(*earlier, event(SINGLE, "correct", 0))
    assert with_hint > days_until_due(
        *earlier, event(SINGLE, "hint", 0.1), event(SINGLE, "correct", 0)
    )


def test_what_was_never_answered_is_not_due():
    write_log(event(SINGLE, "error", 5), event(OTHER, "hint", 5))
    plan = review_plan(NOW)
    assert plan == ReviewPlan((), ())
    assert plan.heading == NOTHING_DUE
    assert review_plan(NOW, events=[]) == plan


# After days


def test_intervals_grow_with_right_answers_and_shrink_with_a_wrong_one():
    answers, intervals, ago = [], [], 60.0
    for _ in range(3):
        answers.append(event(SINGLE, "correct", ago, review=True))
        intervals.append(days_until_due(*answers))
        ago -= intervals[-1]
    assert intervals == sorted(set(intervals))
    assert intervals[0] == 2
    assert days_until_due(*answers, event(SINGLE, "incorrect", ago)) < intervals[-1]


def test_a_question_is_due_from_the_morning_of_its_day_in_the_students_own_time():
    write_log(event(SINGLE, "correct", 0))
    morning = datetime(2026, 3, 22, 0, 1, tzinfo=timezone.utc)
    assert ids(review_plan(morning)) == [SINGLE]
    assert ids(review_plan(morning - timedelta(minutes=2))) == []
    west = timezone(timedelta(hours=-11))  # it was answered there on the 19th
    assert ids(review_plan(datetime(2026, 3, 21, 0, 1, tzinfo=west))) == [SINGLE]
    assert ids(review_plan(datetime(2026, 3, 20, 23, 59, tzinfo=west))) == []


def test_what_is_tried_again_at_once_does_not_count():
    answers = [event(SINGLE, "incorrect", 0.02), event(SINGLE, "correct", 0.01)]
    assert days_until_due(*answers) == 1
    (counted,) = counted_answers(answers).values()
    assert [answer.correct for answer in counted] == [False]
    # The answer to a review counts whenever it is given, and so does one of another day.
    for days_ago, fields in ((0.01, {"review": True}), (-0.6, {})):
        later = event(SINGLE, "correct", days_ago, **fields)
        (counted,) = counted_answers([answers[0], later]).values()
        assert [answer.correct for answer in counted] == [False, True]


# Which and in which order


def test_wrong_and_sure_comes_first_then_what_is_most_likely_forgotten():
    write_log(
        event(LATER, "correct", 30),
        event(DRAWN, "incorrect", 20),
        event(SINGLE, "incorrect", 2, confidence="sure"),
        event(OTHER, "correct", 9, confidence="sure"),
    )
    plan = review_plan(NOW)
    assert ids(plan) == [SINGLE, DRAWN, LATER, OTHER]
    assert [item.wrong_and_sure for item in plan.due] == [True, False, False, False]
    assert "4 questions are due for review. First: one that you got wrong" in plan.heading
    assert ids(plan.first(2)) == [SINGLE, DRAWN]
    assert plan.first(4) == plan
    all_due = "of the 4 questions that are due for review. First: one"
    assert plan.first(2).heading.startswith(f"These are 2 {all_due}")
    assert plan.first(2).first(1).heading.startswith(f"This is 1 {all_due}")
    # Answered right since, it is nothing special any more.
    write_log(
        event(SINGLE, "incorrect", 20, confidence="sure"), event(SINGLE, "correct", 10, review=True)
    )
    assert not review_plan(NOW).due[0].wrong_and_sure


def test_only_questions_of_earlier_lessons_and_none_that_asks_for_code():
    write_log(*(event(item, "incorrect", 5) for item in (SINGLE, CODE, LATER, "77.gone")))
    assert sorted(ids(review_plan(NOW))) == [SINGLE, LATER]
    assert ids(review_plan(NOW, lesson="02")) == [SINGLE]
    assert ids(review_plan(NOW, lesson="01")) == []
    with pytest.raises(LabError, match="lesson: '03' is not one of 01, 02"):
        review_plan(NOW, lesson="03")


@pytest.mark.parametrize("at_most", [0, 51, -1, 2.0, "5", True, None])
def test_a_number_of_questions_that_is_none_is_refused(at_most):
    with pytest.raises(LabError, match="at_most"):
        review_plan(NOW).first(at_most)


def test_the_line_names_the_next_day_when_nothing_is_due():
    write_log(event(SINGLE, "correct", 0), event(OTHER, "correct", 0, confidence="sure"))
    plan = review_plan(NOW)
    assert plan.heading == "Nothing is due: the next question comes back on 2026-03-22."
    assert [item.question.id for item in plan.later] == [SINGLE, OTHER]


# Numbers drawn anew


def test_a_drawn_question_comes_back_with_other_numbers_and_the_same_ones_each_time():
    seeds, prompts = [0], []
    for turn in range(6):
        write_log(*(event(DRAWN, "correct", 60 - 9 * n, seed=seed) for n, seed in enumerate(seeds)))
        asked = review_plan(NOW + timedelta(days=400)).due[0].asked()
        again = review_plan(NOW + timedelta(days=400, hours=3)).due[0].asked()
        assert asked.question.prompt == again.question.prompt
        assert asked.seed == again.seed
        prompts.append(asked.question.prompt)
        if turn:
            assert prompts[-1] != prompts[-2]
        seeds.append(asked.seed)
    assert len(set(seeds)) == len(seeds)


# Any progress file


def test_an_old_or_torn_file_is_read_as_far_as_it_goes():
    old = {"event": "answer", "id": SINGLE, "outcome": "incorrect", "time": "2026-03-01T10:00:00Z"}
    naive = {**old, "id": OTHER, "time": "2026-03-02T10:00:00"}
    write_log(
        old,
        naive,
        {**old, "id": DRAWN, "time": "yesterday"},
        {**old, "id": LATER, "time": "9999-12-31T23:59:59-12:00"},
        end=b'{"event": "answer", "id": "01.a.one", "outc',
    )
    assert read_events()[1] == 1
    plan = review_plan(NOW)
    assert sorted(ids(plan)) == [SINGLE, OTHER]
    assert plan.later == ()
    assert plan.trouble == ""
    assert not any(item.wrong_and_sure for item in plan.due)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_at_the_edge_of_the_calendar_is_no_trouble(time):
    write_log({**event(SINGLE, "correct", 0), "time": time}, event(SINGLE, "correct", 0))
    assert len(review_plan(NOW).later) == 1


def test_events_of_an_imported_file_are_taken_in_order_of_time():
    write_log(event(SINGLE, "correct", 1), event(SINGLE, "incorrect", 9))
    (item,) = [*review_plan(NOW).due, *review_plan(NOW).later]
    assert item.last.correct
    assert item.times_answered == 2


def test_what_a_wrong_clock_dated_ahead_does_not_count():
    write_log(event(SINGLE, "incorrect", 3), event(SINGLE, "correct", -30, confidence="sure"))
    (item,) = review_plan(NOW).due
    assert item.times_answered == 1
    assert not item.last.correct


def test_a_file_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "home" / "data" / "progress.jsonl").mkdir(parents=True)
    plan = review_plan(NOW)
    assert plan.due == ()
    assert plan.heading.startswith("Your progress could not be read")

"""The progress file: nothing is lost, torn lines are skipped, and the sums are right."""

from __future__ import annotations

import json
import math
import multiprocessing

import pytest
from call_counting import calls_of

from labs_lib.assessment import notebook, progress
from labs_lib.assessment.exercises import exercises_of
from labs_lib.assessment.predictions import Comparison, calibration_of, legal_prediction
from labs_lib.assessment.progress import read_events, record, standing
from labs_lib.errors import LabError


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    monkeypatch.delenv("LABS_SEED", raising=False)


def answer(item: str, outcome: str, **fields):
    return record("answer", item, bank="x", response="a", outcome=outcome, hints=0, **fields)


def states():
    return progress.item_states(read_events()[0])


def test_an_event_holds_what_a_report_needs():
    answer("00.frozen.file", "incorrect", misconception="m", seed=4)
    (event,), unreadable = read_events()
    assert unreadable == 0
    assert {"event", "id", "bank", "response", "outcome", "hints", "time"} <= event.keys()
    assert event["time"].endswith("+00:00")


def test_a_torn_last_line_costs_only_itself():
    answer("a", "correct")
    path = progress.progress_file()
    with path.open("ab") as file:
        file.write(b'{"event": "answer", "id": "b", "outc')
    assert [event["id"] for event in read_events()[0]] == ["a"]
    answer("c", "correct")
    events, unreadable = read_events()
    assert [event["id"] for event in events] == ["a", "c"]
    assert unreadable == 1


@pytest.mark.parametrize(
    "line", [b"[]", b"5", b"\xff\xff", b'{"event": "x"}', b"[" * 100_000, b'{"id": 1}', b"\x00"]
)
def test_foreign_lines_are_skipped_and_counted(line):
    answer("a", "correct")
    with progress.progress_file().open("ab") as file:
        file.write(line + b"\n")
    events, unreadable = read_events()
    assert len(events) == 1
    assert unreadable == 1


@pytest.mark.parametrize(
    "response",
    [math.nan, math.inf, 10**2000, "x" * 10_000_000, object(), {"a": {1, 2}}, "\ud800", b"raw",
     [[[]]], "line\nbreak\u2028"],
)  # fmt: skip
def test_any_response_is_kept_in_one_short_line(response):
    record("answer", "a", response=response, outcome="error")
    raw = progress.progress_file().read_bytes()
    assert raw.count(b"\n") == 1
    assert len(raw) < 10_000
    assert len(read_events()[0]) == 1


def _write_many(home: str, name: str) -> None:
    import os

    os.environ["LABS_HOME"] = home
    for number in range(50):
        record("answer", f"{name}.{number}", response="y" * 500, outcome="correct")


def test_two_notebooks_write_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(tmp_path), n)) for n in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    events, unreadable = read_events()
    assert (len(events), unreadable) == (150, 0)


def test_each_of_many_lines_costs_the_same_few_calls():
    """What 10,000 lines take in seconds, `benchmarks/grading.py` measures."""
    path = progress.progress_file()
    answer("00.frozen.file", "incorrect")
    line = path.read_bytes()
    standing()  # loads banks and exercises
    calls = {}
    for lines in (1_000, 4_000, 10_000):
        path.write_bytes(line * lines)
        calls[lines] = calls_of(standing)
        assert len(standing().events) == lines
    a_line = (calls[4_000] - calls[1_000]) / 3_000
    assert a_line < 60
    assert calls[10_000] - calls[4_000] == pytest.approx(6_000 * a_line, rel=0.02)


def test_lines_that_only_together_are_json_are_not_taken_for_events():
    path = progress.progress_file()
    answer("a", "correct")
    good = path.read_bytes()
    path.write_bytes(b'{"event": "answer", "id": "x"\n"time": "t"}\n' + good + b"{},{}\n")
    events, unreadable = read_events()
    assert [event["id"] for event in events] == ["a"]
    assert unreadable == 3


def test_blanks_and_errors_are_no_attempts():
    answer("a", "error")
    assert states()["a"].attempts == 0
    assert not states()["a"].revisit


def test_what_to_revisit():
    for item, outcomes in {
        "right": ["correct"],
        "wrong": ["incorrect"],
        "late": ["incorrect", "incorrect", "correct"],
        "second": ["incorrect", "correct"],
        "again": ["correct", "incorrect"],
    }.items():
        for outcome in outcomes:
            answer(item, outcome)
    record("solution", "peeked")
    answer("peeked", "correct")
    answer("afterwards", "correct")
    record("solution", "afterwards")
    assert {item for item, state in states().items() if state.revisit} == {
        "wrong",
        "late",
        "peeked",
    }
    assert states()["again"].ever_correct
    assert states()["again"].status == "incorrect"


def test_standing_counts_questions_and_exercises_once(code_bank):
    from labs_lib.assessment.banks import load_banks

    bank = load_banks()["04"]
    for question in bank.questions:
        answer(question.id, "correct")
    lesson = next(each for each in standing().lessons if each.lesson == "04")
    # The code question's exercise is answered in its card.
    assert lesson.total == len(bank.questions) + len(exercises_of("04")) - 1
    assert lesson.correct == len(bank.questions)
    assert lesson.percent < 100
    for exercise in exercises_of("04"):
        answer(exercise.id, "correct")
    lesson = next(each for each in standing().lessons if each.lesson == "04")
    assert lesson.percent == 100


def test_export_and_import_bring_everything_over_once(tmp_path, monkeypatch):
    answer("a", "correct")
    record("prediction", "p", value=[1, 2])
    copy = tmp_path / "copy.jsonl"
    assert progress.export_progress(copy) == 2
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "other"))
    answer("b", "correct")
    assert progress.import_progress(copy) == 2
    assert progress.import_progress(copy) == 0
    assert [event["id"] for event in read_events()[0]] == ["b", "a", "p"]


def test_a_broken_import_changes_nothing(tmp_path):
    answer("a", "correct")
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps({"event": "answer", "id": "x", "time": "t"}) + "\nnot json\n")
    with pytest.raises(LabError, match=r"broken\.jsonl:2: not a line"):
        progress.import_progress(broken)
    assert len(read_events()[0]) == 1


def test_reset_keeps_the_old_file():
    answer("a", "correct")
    kept = progress.reset_progress()
    assert kept is not None
    assert b'"a"' in kept.read_bytes()
    assert read_events() == ([], 0)
    assert progress.reset_progress() is None


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "file"))
    with pytest.raises(LabError, match="cannot write"):
        answer("a", "correct")


def test_the_seed_is_drawn_once(monkeypatch):
    assert progress.student_seed() == progress.student_seed()
    monkeypatch.setenv("LABS_SEED", "17")
    assert progress.student_seed() == 17
    monkeypatch.setenv("LABS_SEED", "x")
    with pytest.raises(LabError, match="LABS_SEED"):
        progress.student_seed()


# Predictions


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, (2, 1), (1,), (1, "a"), object(), {}, [1, 2, 3]]
)
def test_a_prediction_that_is_none_is_refused(value):
    with pytest.raises(LabError, match="prediction"):
        legal_prediction(value)


@pytest.mark.parametrize(
    ("prediction", "outcome", "held"),
    [(5, 5.2, True), (5, 9, False), ((1, 3), 3, True), ((1, 3), 4, False), ("Loss", "loss ", True),
     (True, True, True), (True, False, False), (0, 0, True)],
)  # fmt: skip
def test_held(prediction, outcome, held):
    kept = legal_prediction(prediction)
    assert Comparison("p", kept, legal_prediction(outcome)).held is held


def test_predictions_in_a_notebook(capsys):
    notebook.predict("p", ...)
    notebook.compare_prediction("p", 4.0, "s")
    notebook.predict("q", 2)
    notebook.compare_prediction("q", 4.0, "s")
    notebook.predict("q", 4)
    notebook.compare_prediction("q", 4.0)
    notebook.predict("r", (3, 5))
    notebook.compare_prediction("r", 4)
    notebook.calibration()
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "No prediction yet: replace `...` by yours and run the cell again.",
        "Prediction and outcome: You made no prediction. Outcome: 4 s.",
        "Your prediction: 2",
        "Prediction and outcome: You predicted 2 s. Outcome: 4 s. "
        "You were too low by a factor of 2.",
        "Your prediction: 4",
        "Prediction and outcome: You predicted 4. Outcome: 4. Within 10 %. "
        "(Made after the outcome was shown, so it is not counted.)",
        "Your prediction: 3 to 5",
        "Prediction and outcome: You predicted 3 to 5. Outcome: 4. Your range held it.",
        "Your calibration: 1 of 1 ranges held the outcome (80% sure would be 0.8). "
        "Your numbers are typically off by a factor of 2; 0 of 1 were too high.",
    ]


def test_narrow_ranges_are_told_so():
    for number in range(5):
        record("prediction", f"p{number}", value=[0, 1])
        record("comparison", f"p{number}", outcome=5 if number else 0.5)
    assert "too narrow" in calibration_of(read_events()[0]).text


# Checks in a notebook


def test_check_shows_and_records(capsys):
    notebook.check("00.trained-share", ...)
    assert read_events()[0] == []
    notebook.check("00.trained-share", 99.66)
    notebook.hint("00.trained-share")
    notebook.hint("00.trained-share")
    notebook.hint("00.trained-share")
    notebook.check("00.trained-share", "text")
    notebook.check("00.trained-share", 0.3426)
    notebook.solution("00.trained-share")
    said = capsys.readouterr().out
    assert "Not attempted (How little was trained?): Fill in `share_percent`" in said
    assert "trained?): That is the share that stayed frozen; the question is" in said
    assert "Hint 1 of 2" in said
    assert "Hint 2 of 2" in said
    assert "Error (How little was trained?): share_percent should be a number" in said
    assert "Correct (How little was trained?): A third of one percent" in said
    events, _ = read_events()
    assert [event["event"] for event in events] == [
        "answer", "hint", "hint", "hint", "answer", "answer", "solution"
    ]  # fmt: skip
    assert [event.get("hints") for event in events if event["event"] == "answer"] == [0, 3, 3]
    assert all(len(event["bank"]) >= 16 for event in events if event["event"] == "answer")


def test_check_of_an_unknown_exercise_is_one_line():
    with pytest.raises(LabError, match="did you mean"):
        notebook.check("00.trained-shares", 1)


def test_a_panel_has_plain_text_and_html():
    from labs_lib.assessment.show import outcome_panel

    bundle = outcome_panel("Count", "incorrect", "see `r` <b>")._repr_mimebundle_()
    assert bundle["text/plain"] == "Not yet (Count): see `r` <b>"
    assert "<code>r</code> &lt;b&gt;" in bundle["text/html"]
    assert set(bundle) == {
        "text/plain",
        "text/html",
    }

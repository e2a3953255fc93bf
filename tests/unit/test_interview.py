"""The interview: its questions, answers taken apart, evidence, the mock interview by value."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.progress import read_events, record, record_answer, standing
from labs_lib.errors import LabError
from labs_lib.interview import (
    bind,
    draws_table,
    evidence,
    examine,
    find,
    questions,
    questions_table,
)
from labs_lib.interview.questions import InterviewQuestion
from labs_lib.interview.records import last_spoken, record_spoken
from labs_lib.memory import forecast, format_bytes
from labs_lib.widgets import take_apart

pytestmark = pytest.mark.usefixtures("own_home")

RIGHT = (
    "The claim is about the change of the weights, not the weights. A pretrained model needs "
    "little change for a manner. It falls short where much is new, such as code. I would sweep the "
    "rank on held-out rows."
)
OTHER_STYLE = (
    "delta W is what we factor. Not W! Think of it as a nudge: few directions are enough for "
    "style, and for a new language they are not. How many? Measure it."
)
MINE = (
    "The scaling is alpha / r, so with a fixed alpha a doubled rank halves each direction. I do "
    "not tune alpha and the learning rate at once."
)


# ---- questions ----------------------------------------------------------------------------------


def test_the_sources_three_questions_and_twelve_more_are_there():
    assert {"latency", "forgetting", "lora-or-full"} <= set(questions())
    assert len(questions()) >= 15
    assert len(questions_table().rows) == len(questions())
    assert {row[0] for row in questions_table("memory").rows} >= {"memory-step", "qlora-parts"}


def test_all_evidence_can_be_made_in_the_course():
    banks = load_banks()
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parents[2] / "notebooks" / "source").glob("*.py")
    )
    for question in questions().values():
        assert set(question.lessons) <= set(banks)
        for source in question.evidence:
            if source.exercise:
                find_exercise(source.exercise)
            elif source.question:
                banks[source.made_in].question(source.question)
            elif source.prediction:
                assert sources.count(f'"{source.prediction}"') >= 2  # predicted, compared


@pytest.mark.parametrize("seed", [None, 0, 1, 2**40])
def test_a_draw_fills_every_text_with_computed_figures(seed: int | None):
    for question in questions().values():
        drawn = question.draw(seed)
        texts = (drawn.question, *drawn.points, *drawn.next, *(s.check for s in drawn.slips))
        assert not re.search(r"\{\w+(:,)?\}", " ".join(texts))
        assert drawn == question.draw(seed)


def test_other_numbers_ask_for_other_figures():
    question = find("memory-step")
    first, rows = question.drawn(), draws_table("memory-step", range(6)).rows
    peak = forecast(first["model"], method="lora", rank=first["rank"], seq_len=first["seq_len"],
                    optimizer="adamw_fused").peak_bytes  # fmt: skip
    assert any(format_bytes(peak) in point for point in question.draw().points)
    assert len({row[1:4] for row in rows}) > 2  # model, rank, tokens
    assert len({row[5] for row in rows}) > 2  # the peak of LoRA
    with pytest.raises(LabError, match="latency has no numbers to draw"):
        draws_table("latency", [1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": ["one"]}, "at least 3 items"),
        ({"question": "What is {rnak}?"}, "placeholder: 'rnak' is not one of rank; did you mean"),
        ({"figures": {"x": {"compute": "paek"}}}, "x.compute: 'paek' is not one of"),
        ({"evidence": [{"shows": "s", "figure": "x"}]}, "figure: 'x' is not one of"),
        ({"evidence": [{"shows": "s"}]}, "give one of exercise, question"),
        ({"evidence": [{"shows": "s", "run": "loss"}]}, "a run needs the lesson"),
    ],
)
def test_a_question_that_is_not_well_formed_is_refused(change: dict, message: str):
    fields = {
        "id": "x", "topic": "memory", "lessons": ["01"], "question": "What is {rank}?",
        "points": ["a", "b", "c"], "next": ["n"], "source": "s", "numbers": {"rank": [8]},
        "evidence": [{"shows": "s", "prediction": "01.fewest"}],
    }  # fmt: skip
    InterviewQuestion.model_validate(fields)
    with pytest.raises(ValueError, match=re.escape(message)):
        InterviewQuestion.model_validate({**fields, **change})


def test_an_unknown_question_or_seed_is_one_line():
    with pytest.raises(LabError, match="did you mean 'why-low-rank'"):
        find("why-lowrank")
    with pytest.raises(LabError, match="interview question: 3 is not one of"):
        find(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(LabError, match=r"seed: 1\.5 is not a whole number"):
        find("latency").draw(1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(LabError, match="topic: 'memry' is not one of"):
        questions_table("memry")


# ---- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["", "   \n", "…", "🙂🙂", "?!"])
def test_a_blank_answer_is_no_answer(answer: str):
    found = examine(find("latency").draw(), answer)
    assert found.is_blank
    assert found.length == "No answer yet."
    assert not found.slips
    card = take_apart("latency", answer)
    card.tick([1])
    assert record_spoken(found, (1,)) == ""
    assert read_events()[0] == []
    assert "Write your answer" in card.text


@pytest.mark.parametrize(
    ("question_id", "answer"),
    [("why-low-rank", RIGHT), ("why-low-rank", OTHER_STYLE), ("alpha-over-r", MINE)],
)
def test_right_answers_in_any_style_have_no_slip(question_id: str, answer: str):
    found = examine(find(question_id).draw(), answer)
    assert not found.slips
    assert all(point.nearest in answer for point in found.points)
    assert any(point.nearest for point in found.points)


def test_the_length_is_said_in_words_and_spoken_time():
    question = find("latency").draw()
    spoken = examine(question, "word " * 300)
    assert (spoken.words, spoken.seconds) == (300, 120)
    assert spoken.length == "300 words, about 2.0 min spoken."
    assert "add a reason" in examine(question, "No.").length
    assert "Two minutes are enough" in examine(question, "word " * 500).length


def test_odd_answers_are_looked_at_all_the_same():
    question = find("alpha-over-r").draw()
    long = examine(question, "The update is scaled. " * 2500 + "The scaling is alpha.")
    assert (long.words, len(long.slips)) == (10_004, 1)
    chinese = examine(question, "缩放因子是 alpha 除以 r，更新乘以这个数。")
    assert (chinese.words, chinese.slips) == (16, ())
    german = examine(question, "Alpha wird durch r geteilt; das Verhältnis wirkt.")
    assert (german.words, german.slips) == (8, ())
    assert examine(question, "<b>scaling</b> \x00 \ud800 alpha").words == 4
    with pytest.raises(LabError, match="answer: it should be a text, not a list"):
        examine(question, ["a"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(LabError, match="at most 200,000"):
        examine(question, "a" * 200_001)


# ---- evidence -----------------------------------------------------------------------------------


def test_evidence_says_which_lesson_makes_what_is_not_there():
    found = evidence("lora-or-full")
    assert [item.there for item in found.items] == [True, True, False, False, False]
    assert "computed: model llama-2-7b" in found.plain
    assert "none yet (prediction 01.lora-times-less, lesson 01 makes it)" in found.plain
    assert "none yet (a run by full or lora; lesson 06 makes one)" in found.plain


def test_evidence_is_the_students_own():
    record("prediction", "01.lora-times-less", value=[2, 10])
    record("comparison", "01.lora-times-less", outcome=3.1)
    items = {item.shows: item for item in evidence("lora-or-full").own}
    assert items["times less memory, measured on your machine"].number == (
        "3.1, you predicted 2 to 10"
    )
    record_answer("02.merge", "def f(): ...", outcome="incorrect")
    assert [i.number for i in evidence("latency").items][1] == "not right yet (1 attempt)"
    record_answer("02.merge", "def g(): ...", outcome="correct")
    assert [i.number for i in evidence("latency").own] == ["right (2 attempts)"]


def test_evidence_is_read_from_the_runs(tmp_path: Path):
    from labs_lib.training import Recipe, Run
    from labs_lib.training.evaluation import Evaluation
    from labs_lib.training.run import Cost

    before = Evaluation(("a", "b"), ("x", "y"), {"exactly_right": (True, False)}, 2.5)
    after = Evaluation(("a", "b"), ("x", "z"), {"exactly_right": (True, True)}, 1.5)
    cost = Cost(60.0, 2.5, 900, 15.0, 2**30, "live tensors", 2**31, {}, 2**20)
    for method, folder in (("lora", "mine"), ("qlora", "other")):
        recipe = Recipe(name=folder, method=method, steps=2)  # pyright: ignore[reportCallIssue]
        run = Run(recipe, 1000, 100_000, cost, (3.0, 2.0), before, after, {}, {}, "f",
                  "2026-01-01T00:00:00Z", tmp_path)  # fmt: skip
        (tmp_path / folder).mkdir()
        text = json.dumps(run.as_dict())
        (tmp_path / folder / "run.json").write_text(text, encoding="utf-8")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text("{", encoding="utf-8")
    numbers = {i.shows: i.number for i in evidence("lora-or-full", runs=tmp_path).own}
    assert numbers["peak of your runs"] == "mine (lora): 1.00 GiB (live tensors)"
    assert numbers["score of your runs"] == "mine (lora): exactly right 50% → 100% of 2 rows"
    for question_id, expected in (
        ("forgetting", "exactly right kept 100%"),
        ("flat-loss", "training loss 3.000 → 2.000"),
        ("overfitting", "held-out loss 2.500 → 1.500"),
        ("many-adapters", "1.00 MiB on disk"),
    ):
        assert expected in evidence(question_id, runs=tmp_path).plain


@pytest.mark.parametrize(
    ("answer", "items", "units"),
    [
        ("LoRA peaks at 15.3 GiB and QLoRA at 6 GiB.", ["LoRA", "QLoRA"], ["", ""]),
        ("LoRA peaks at 15.29 GB.", ["LoRA"], ["GiB"]),
        ("About 40 % of the 15-GiB step.", [None, "LoRA"], ["", ""]),
        ("Rank 8, 512 tokens, a 7B, 4-bit: about half.", [], []),
        ("4,194,304 parameters. 15.3 GiB, again 15.3 GiB", [None, "LoRA"], ["", ""]),
        ("v15.29 GiB, 1.2.3 🙂 ٣ GiB", [], []),
    ],
)
def test_numbers_are_bound_to_their_evidence(
    answer: str, items: list[str | None], units: list[str]
):
    bound = bind(answer, evidence("memory-step"))
    shown = [each.item and each.item.shows for each in bound]
    assert shown == [name and f"peak of the {name} step" for name in items]
    assert [each.unit for each in bound] == units


def test_a_number_without_evidence_is_asked_for_its_source():
    card = take_apart("memory-step", "It takes 15.3 GB, 99 % less.")
    assert "“15.3 GB”: peak of the LoRA step (computed" in card.text
    assert "Check the unit: it is in GiB there." in card.text
    assert "“99 %”: no evidence here has this number." in card.still


# ---- cards --------------------------------------------------------------------------------------


def test_a_card_keeps_the_answer_and_its_ticks():
    card = take_apart("alpha-over-r")
    assert "Write your answer here" in card.text
    card.answer("The scaling is alpha. <b>Nobody</b> tunes it.")
    assert "You may have written “The scaling is alpha”: check." in card.text
    assert "<mark>The scaling is alpha</mark>" in card.still
    assert "☐ The update is multiplied by alpha / r, which is 2 here." in card.still
    card.tick([1, 3])
    (event,) = read_events()[0]
    assert (event["event"], event["id"]) == ("interview", "interview.alpha-over-r")
    assert (event["ticked"], event["slips"]) == ([1, 3], ["alpha-is-scaling"])
    again = take_apart("alpha-over-r")
    assert again.ticked == (1, 3)
    assert "[x] 1." in again.text
    assert take_apart("alpha-over-r", seed=4).ticked == ()
    with pytest.raises(LabError, match="ticks: 9 is not a number from 1 to 5"):
        card.tick([9])
    with pytest.raises(LabError, match="ticks: '13' is not a list"):
        card.tick("13")  # pyright: ignore[reportArgumentType]


def test_what_is_recorded_leaves_standing_and_reviews_alone():
    take_apart("latency", "Merged it costs nothing.").tick([1])
    assert last_spoken(find("latency").draw()) is not None
    assert all(lesson.attempted == 0 for lesson in standing().lessons)

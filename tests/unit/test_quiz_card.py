"""The card by value: answers, feedback, hints, restoring, and what a reader without it sees."""

from __future__ import annotations

import asyncio
import json

import pytest

from labs_lib.assessment.banks import find_question, load_banks
from labs_lib.assessment.grading import right_answer
from labs_lib.assessment.kinds import SingleChoice
from labs_lib.assessment.progress import read_events, standing
from labs_lib.errors import LabError
from labs_lib.widgets import ask, show_progress
from labs_lib.widgets.question_inputs import TEXT_FOLLOWS_SECONDS

IDS = [question.id for bank in load_banks().values() for question in bank.questions]
SINGLE = "00.frozen.what-changed"
MULTIPLE = "04.adapters.saved"
DRAWN = "04.train.counted"
ORDER = "00.course.rhythm"
ANSWERS = [None, ..., "", 5, {"a": 1}, "z" * 10_000_000, float("nan")]


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    monkeypatch.setenv("LABS_SEED", "3")


def feedback(card) -> str:
    return card._feedback.value


@pytest.mark.parametrize("question_id", IDS)
def test_every_question_can_be_answered_and_is_restored(question_id):
    bank, question = find_question(question_id)
    card = ask(question_id)
    assert feedback(card) == ""
    assert read_events()[0] == []
    panel = card.submit(right_answer(question, 3))
    assert panel.plain.startswith("Correct: ")
    assert question.source in panel.plain
    (event,) = read_events()[0]
    assert event["bank"] == bank.sha256[:16]
    assert event["outcome"] == "correct"
    again = ask(question_id)
    assert "Correct" in feedback(again)
    assert again._typed() == card._typed()
    assert again.text == card.text
    assert len(read_events()[0]) == 1


@pytest.mark.parametrize("question_id", IDS)
def test_what_is_stored_and_sent_beforehand_gives_nothing_away(question_id):
    _, question = find_question(question_id)
    card = ask(question_id)
    bundle = card._repr_mimebundle_()
    states = [part.get_state() for part in widgets_in(card)]
    told = json.dumps([bundle, states], default=str, ensure_ascii=False)
    secrets = [question.explanation, question.hint, question.source]
    for part in ("options", "mistakes", "items"):
        secrets += [each.feedback for each in getattr(question, part, ()) if each.feedback]
    for secret in secrets:
        assert secret[:40] not in told
    assert question_id in bundle["text/plain"]
    assert "text/html" in bundle
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert " at 0x" not in bundle["text/plain"]


def widgets_in(part):
    yield part
    for child in getattr(part, "children", ()):
        yield from widgets_in(child)


def first_words(text: str | None) -> str:
    """Return how a text begins, before anything that is shown otherwise than written."""
    assert text
    return " ".join(text.split()[:5])


def test_by_hand_wrong_hint_right():
    _, question = find_question(SINGLE)
    assert isinstance(question, SingleChoice)
    card = ask(SINGLE)
    (radio,) = card._inputs
    radio.value = "b"
    card._submit.click()
    assert first_words(question.options[1].feedback) in feedback(card)
    card._hint.click()
    assert first_words(question.hint) in card._hint_text.value
    radio.value = "c"
    card._submit.click()
    assert "Correct" in feedback(card)
    events = [(e["event"], e.get("outcome"), e.get("hints")) for e in read_events()[0]]
    assert events == [
        ("answer", "incorrect", 0),
        ("hint", None, None),
        ("answer", "correct", 1),
    ]


def test_boxes_by_hand():
    card = ask(MULTIPLE)
    card._submit.click()
    assert "Not attempted" in feedback(card)
    assert read_events()[0] == []
    for letter, box in zip("abcd", card._inputs, strict=True):
        box.value = letter in "bc"
    card._submit.click()
    assert "Correct" in feedback(card)


def test_enter_submits_a_typed_answer():
    card = ask(DRAWN)
    (field,) = card._inputs
    field.value = "1000000"
    field._handle_custom_msg({"event": "submit"}, [])
    assert "too large" in feedback(card)


def test_the_text_that_enter_ends_arrives_after_it():
    card = ask(DRAWN)
    (field,) = card._inputs
    assert not field.continuous_update

    async def in_a_kernel() -> None:
        field._handle_custom_msg({"event": "submit"}, [])
        field.value = "1000000"
        await asyncio.sleep(2 * TEXT_FOLLOWS_SECONDS)

    asyncio.run(in_a_kernel())
    assert [event["response"] for event in read_events()[0]] == ["1000000"]


def test_a_wrong_answer_is_restored_with_its_feedback():
    ask(ORDER).submit("a,b,c,d")
    assert "is not right" in feedback(ask(ORDER))


def test_an_answer_to_other_numbers_is_not_restored(monkeypatch):
    ask(DRAWN).submit("7")
    monkeypatch.setenv("LABS_SEED", "4")
    assert feedback(ask(DRAWN)) == ""


def test_code_does_not_run_again_when_restored(code_bank, monkeypatch):
    from labs_lib.assessment.exercises import base

    run_apart, runs = base.run_apart, []
    monkeypatch.setattr(base, "run_apart", lambda *a, **k: runs.append(a) or run_apart(*a, **k))
    source = "def count_lora(rank, shapes): return 1\n"
    ask(code_bank).submit(source)
    assert len(runs) == 1
    card = ask(code_bank)
    assert len(runs) == 1
    assert card._typed() == source
    assert "Not yet" in feedback(card)


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_any_answer_leaves_a_code_card_that_works(code_bank, answer):
    assert_works_after(code_bank, answer)


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
@pytest.mark.parametrize("question_id", [SINGLE, MULTIPLE, DRAWN, ORDER])
def test_any_answer_leaves_a_card_that_works(question_id, answer):
    assert_works_after(question_id, answer)


def assert_works_after(question_id, answer):
    card = ask(question_id)
    card.submit(answer)
    ask(question_id)
    assert card.submit(right_answer(find_question(question_id)[1], 3)).look == "correct"


def test_the_feedback_is_shown_even_if_it_cannot_be_saved(tmp_path, monkeypatch):
    _, question = find_question(SINGLE)
    assert isinstance(question, SingleChoice)
    card = ask(SINGLE)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "file"))
    panel = card.submit("b")
    assert first_words(question.options[1].feedback) in panel.plain
    assert "Not saved" in panel.plain


def test_an_unknown_question_is_one_line():
    with pytest.raises(LabError, match="did you mean"):
        ask("00.frozen.what-change")


def test_every_input_has_a_label():
    for question_id in IDS:
        card = ask(question_id)
        for part in card._inputs:
            labelled = part.description or [label for label, _ in part.options]
            assert labelled


def test_progress_card():
    card, first = show_progress(), standing([]).lessons[0]
    lines = card.text.splitlines()
    assert lines[0] == f"00 {first.title}: 0 of {first.total}"
    ask(SINGLE).submit("a")
    ask(ORDER).submit(right_answer(find_question(ORDER)[1]))
    card._refresh.click()
    assert f"00 {first.title}: 1 of {first.total}" in card.text
    assert f"Worth another look: {SINGLE}" in card.text
    assert f'aria-valuemax="{first.total}" aria-valuenow="1"' in card._body.value

"""The Anki deck in Anki itself: imported, shown, checked, and renewed by a corrected one."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from anki import collection
from bs4 import BeautifulSoup
from quiz_hostile import CHANGES, bank_of

from labs_lib.assessment.banks import Bank, load_bank, load_banks
from labs_lib.assessment.export import export_banks, parts, revisions
from labs_lib.assessment.export.revisions import EARLIEST, revised
from labs_lib.assessment.kinds import CodeQuestion, NumericQuestion
from labs_lib.assessment.show import markdown_html

# One worker makes what the whole file reads.
pytestmark = pytest.mark.xdist_group("quiz_export_anki")

BANKS = list(load_banks().values())


class Anki:
    """A collection in a folder of its own."""

    def __init__(self, folder: Path):
        self.col = collection.Collection(str(folder / "collection.anki2"))

    def take(self, deck: Path) -> Any:
        """Import a deck as the window's defaults do: notes are renewed if the deck's are newer."""
        options = collection.ImportAnkiPackageOptions(with_scheduling=False)
        request = collection.ImportAnkiPackageRequest(package_path=str(deck), options=options)
        return self.col.import_anki_package(request).log

    def note(self, question_id: str) -> Any:
        (found,) = self.col.find_notes(f'"Id:{question_id}"')
        return self.col.get_note(found)


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    made = Anki(tmp_path)
    yield made
    made.col.close()


def changed(bank: Bank, place: int, **fields: Any) -> Bank:
    """Return the bank with other fields in one question."""
    questions = list(bank.questions)
    questions[place] = questions[place].model_copy(update=fields)
    return dataclasses.replace(bank, questions=tuple(questions))


def text_of(page: str) -> str:
    """Return what a page shows before its hint is opened, in single spaces."""
    shown = BeautifulSoup(page, "html.parser")
    for hidden in shown.find_all(["style", "details"]):
        hidden.decompose()
    return " ".join(shown.get_text(" ").split())


def test_the_whole_deck_is_taken_in_shown_and_found_sound(app, tmp_path):
    count = export_banks(BANKS, "anki", tmp_path / "deck.apkg")
    log = app.take(tmp_path / "deck.apkg")
    assert (log.found_notes, len(log.new)) == (count, count)
    assert app.col.note_count() == app.col.card_count() == count
    questions = {
        question.id: parts.plain(question, 0) for bank in BANKS for question in bank.questions
    }
    titles = {bank.lesson: parts.title_of(bank) for bank in BANKS}
    for card in map(app.col.get_card, app.col.find_cards("")):
        question = questions[card.note()["Id"]]
        front, back = card.question(), card.answer()
        asked, answered = (text_of(side) for side in (front, back))
        assert len(asked.split()) > 3
        assert answered.startswith(asked)
        assert text_of(markdown_html(question.explanation)) in answered
        if isinstance(question, NumericQuestion):
            unit = f" {question.unit}" if question.unit else ""
            assert asked.endswith(f"(in {question.unit})") or not unit
            assert answered.removeprefix(asked).startswith(f" {question.answer}{unit}")
        assert sorted(card.note().tags) == sorted(parts.tags_of(question))
        hint = BeautifulSoup(front, "html.parser").find("details")
        assert hint is not None
        assert not hint.has_attr("open")
        told = " ".join(hint.get_text(" ").split())
        assert told == f"Hint {text_of(markdown_html(question.hint))}"
        for given, feedback in parts.feedback_of(question):
            assert text_of(markdown_html(f"**{given}** {feedback}")) in answered
        assert app.col.decks.name(card.did) == f"LoRA Lab::{titles[question.lesson]}"
        assert ("<table>" in front) == ("\n| " in question.prompt)
        if isinstance(question, CodeQuestion):
            assert 'class="language-python"' in back
    assert app.col.fix_integrity() == ("Database rebuilt and optimized.", True)
    assert app.col.note_count() == count
    assert min(app.col.find_notes("")) > 1000 * EARLIEST - 1


def test_a_corrected_deck_renews_its_notes_and_no_others(app, tmp_path):
    first, second, third = (tmp_path / f"{name}.apkg" for name in ("1", "2", "3"))
    bank = BANKS[0]
    question_id = bank.questions[0].id
    for path, prompt in ((first, None), (second, "Corrected once."), (third, "And once more.")):
        export_banks([changed(bank, 0, prompt=prompt) if prompt else bank], "anki", path)
        log = app.take(path)
        if prompt:
            assert (len(log.updated), len(log.new)) == (1, 0)
            assert f"<p>{prompt}</p>" in app.note(question_id)["Question"]
            assert f"<p>{prompt}</p>" in app.note(question_id).cards()[0].question()
    log = app.take(third)
    assert not log.new
    assert app.col.note_count() == len(bank.questions)
    assert app.col.fix_integrity()[1]


def test_a_bank_corrected_in_its_file_and_another_seed_renew_too(app, tmp_path):
    source = next(bank.path for bank in BANKS if bank.lesson == "02")
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    export_banks([load_bank(copy)], "anki", tmp_path / "a.apkg")
    app.take(tmp_path / "a.apkg")
    text = copy.read_text(encoding="utf-8")
    corrected = re.sub(r"explanation: (>-\n +)?", r"\g<0>Corrected. ", text, count=1)
    copy.write_text(corrected, encoding="utf-8")
    export_banks([load_bank(copy)], "anki", tmp_path / "b.apkg")
    assert len(app.take(tmp_path / "b.apkg").updated) == 1
    export_banks([load_bank(copy)], "anki", tmp_path / "c.apkg", seed=7)
    assert len(app.take(tmp_path / "c.apkg").updated) >= 1


def test_a_bank_corrected_on_another_machine_renews_whatever_its_files_date(
    app, tmp_path, monkeypatch
):
    source = next(bank.path for bank in BANKS if bank.lesson == "02")
    copy = tmp_path / source.name
    text = source.read_text(encoding="utf-8")
    for number, correction in enumerate(("", "Corrected. ", "Corrected again. ")):
        monkeypatch.setenv("LABS_HOME", str(tmp_path / f"machine-{number}"))
        monkeypatch.setattr(revisions, "time", lambda later=10 * number: time.time() + later)
        corrected = re.sub(r"explanation: (>-\n +)?", rf"\g<0>{correction}", text, count=1)
        copy.write_text(corrected, encoding="utf-8")
        dated = EARLIEST - 10**6 * number
        os.utime(copy, (dated, dated))
        bank = load_bank(copy)
        export_banks([bank], "anki", tmp_path / "a.apkg")
        app.take(tmp_path / "a.apkg")
        assert f"<p>{correction}" in app.note(bank.questions[0].id)["Answer"]
    assert app.col.note_count() == len(bank.questions)
    assert app.col.fix_integrity()[1]


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time of the exports, in seconds."""
    reading = [EARLIEST + 5.5]
    monkeypatch.setattr(revisions, "time", lambda: reading[0])
    return reading


def test_what_cannot_be_remembered_is_stamped_by_the_clock(tmp_path, monkeypatch, clock):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    assert revised({"a": ["x"]}) == {"a": EARLIEST + 6}
    clock[0] += 10
    assert revised({"a": ["x"]}) == {"a": EARLIEST + 16}
    clock[0] = 0
    assert revised({"a": ["x"]}) == {"a": EARLIEST}


@pytest.mark.parametrize("memory", [
    b"", b"[]", b"{", b'{"a": 3}', b'{"a": {"sha256": 1, "stamp": "x"}}', b"\xff", b"[" * 9999,
    b'{"a": {"sha256": "x", "stamp": 99999999999999999999}}',
    b'{"a": {"sha256": "x", "stamp": -1}}',
])  # fmt: skip
def test_a_damaged_memory_does_no_harm(tmp_path, monkeypatch, clock, memory):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "exported-notes.json").write_bytes(memory)
    assert revised({"a": ["x"]}) == {"a": EARLIEST + 6}


def test_the_same_text_keeps_its_stamp_and_a_changed_one_gets_a_later(tmp_path, monkeypatch, clock):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    stamps = []
    for text in ("x", "x", "y", "y", "x"):
        stamps.append(revised({"a": [text]})["a"])
        clock[0] -= 1  # set back
    assert stamps[0] == stamps[1] < stamps[2] == stamps[3] < stamps[4]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A collection that took in every hostile text, each as a lesson of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(folder / "home"))
        banks = [bank_of(text, str(number)) for number, text in enumerate(CHANGES.values(), 10)]
        count = export_banks(banks, "anki", folder / "deck.apkg")
        made = Anki(folder)
        log = made.take(folder / "deck.apkg")
    assert len(log.new) == log.found_notes == count == 5 * len(CHANGES)
    assert made.col.fix_integrity()[1]
    yield made
    made.col.close()


@pytest.mark.seconds
@pytest.mark.parametrize(("number", "name"), list(enumerate(CHANGES, 10)), ids=list(CHANGES))
def test_hostile_texts_are_shown_as_they_stand(hostile, number, name):
    cards = [hostile.col.get_card(card) for card in hostile.col.find_cards(f"tag:lesson-{number}")]
    assert len(cards) == 5
    for card in cards:
        assert card.answer().startswith("<style>")
        assert not card.question_av_tags()
        assert not card.answer_av_tags()
        page = BeautifulSoup(card.note()["Question"] + card.note()["Answer"], "html.parser")
        assert not page.find(["script", "iframe", "style", "object"])
        assert not page.find(lambda tag: any(key.startswith("on") for key in tag.attrs))
        assert not [
            a["href"] for a in page.find_all("a") if str(a["href"]).startswith("javascript")
        ]
        assert (page.find("table") is not None) == (name == "table")
        shown = BeautifulSoup(card.answer(), "html.parser").get_text()
        assert "unknown field" not in shown.lower()
        assert "Error" not in shown

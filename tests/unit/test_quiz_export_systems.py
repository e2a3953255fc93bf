"""Moodle, QTI, CSV and the card: what other systems make of ordinary and hostile texts."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import re
import xml.etree.ElementTree as ET
import zipfile

import moodle_reader
import pytest
import yaml
from bs4 import BeautifulSoup
from quiz_hostile import CHANGES, TABLE, bank_of
from test_quiz_export import labs

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.export import Loss, export_banks, left_out, lost, parts
from labs_lib.assessment.export.parts import orders_of, tags_of
from labs_lib.assessment.kinds import (
    CodeQuestion,
    MultipleChoice,
    NumericQuestion,
    OrderingQuestion,
    SingleChoice,
)
from labs_lib.assessment.show import markdown_html
from labs_lib.errors import LabError

BANKS = list(load_banks().values())
QUESTIONS = {question.id: question for bank in BANKS for question in bank.questions}
HOSTILE = [bank_of(text, str(number)) for number, text in enumerate(CHANGES.values(), 10)]


@pytest.fixture(scope="module")
def moodle(tmp_path_factory) -> list[moodle_reader.Imported]:
    path = tmp_path_factory.mktemp("moodle") / "bank.xml"
    export_banks(BANKS, "moodle", path)
    return moodle_reader.read(path)


def words(text: str) -> str:
    return "".join(letter for letter in html.unescape(text) if letter.isalnum())


def test_moodle_takes_every_question_in_its_lessons_category(moodle):
    asked = [q.id for q in QUESTIONS.values() if not isinstance(q, CodeQuestion)]
    assert [each.name for each in moodle] == asked == [each.idnumber for each in moodle]
    titles = {bank.lesson: f"{bank.lesson} {bank.title}" for bank in BANKS}
    for each in moodle:
        question = QUESTIONS[each.name]
        assert each.category == ("LoRA Lab", titles[question.lesson])
        assert each.tags == tags_of(parts.plain(question, 0))
        assert each.hints == [markdown_html(question.draw(0).hint).strip()]
        assert ("<table>" in each.text) == ("\n| " in question.prompt)


def test_moodle_asks_an_ordering_whole_and_grades_it_as_the_course_does(moodle):
    orderings = [each for each in moodle if each.kind == "ordering"]
    assert len(orderings) == sum(isinstance(q, OrderingQuestion) for q in QUESTIONS.values()) > 2
    for each in orderings:
        question = QUESTIONS[each.name]
        assert isinstance(question, OrderingQuestion)
        assert each.answers == [markdown_html(item.text).strip() for item in question.items]
        for item in question.items:
            said = words(re.sub("<.*?>", "", markdown_html(item.feedback)))
            assert said in words(re.sub("<.*?>", "", each.to_a_wrong_answer))
        assert each.settings["selecttype"] == "ALL"
        assert each.settings["gradingtype"] == "ALL_OR_NOTHING"


def test_an_ordering_falls_back_to_a_choice_on_request(tmp_path):
    export_banks(BANKS, "moodle", tmp_path / "a.xml", ordering_as_choice=True)
    imported = {each.name: each for each in moodle_reader.read(tmp_path / "a.xml")}
    assert not [each for each in imported.values() if each.kind == "ordering"]
    for question in QUESTIONS.values():
        if isinstance(question, OrderingQuestion):
            each = imported[question.id]
            right = each.answers[each.fractions.index(1)]
            assert words(re.sub("<.*?>", "", right)) == "".join(question.right_letters)
            assert len(each.answers) == len(orders_of(question)) > 2
            shown = words(re.sub("<.*?>", "", each.text))
            for item in question.items:
                assert words(re.sub("<.*?>", "", markdown_html(item.text))) in shown


def test_moodle_grades_the_unit(moodle):
    numbers = [each for each in moodle if each.kind == "numerical" and each.units]
    assert len(numbers) > 5
    for each in numbers:
        own = next(iter(each.units))
        value = float(each.answers[0])
        assert each.grade_number(repr(value), own) == 1
        assert each.grade_number(repr(value), "furlongs") == 0
        assert each.grade_number(repr(value), None) == 0
        for unit, multiplier in each.units.items():
            assert each.grade_number(repr(value * multiplier), unit) == 1
            if abs(multiplier - 1) > 0.05:
                assert each.grade_number(repr(value), unit) == 0
        assert each.settings["showunits"] == "2"  # chosen from a list


def test_moodle_without_unit_takes_the_number_alone(moodle):
    plain = [each for each in moodle if each.kind == "numerical" and not each.units]
    for each in plain:
        assert each.settings["showunits"] == "3"
        assert each.grade_number(each.answers[0], None) == 1


def test_the_reader_stops_where_moodle_stops(tmp_path):
    path = tmp_path / "a.xml"
    export_banks([bank_of("x")], "moodle", path)
    text = path.read_text(encoding="utf-8")
    for part in ("<shownumcorrect>1</shownumcorrect>", "<options>1</options>", "$course$/top/"):
        assert part in text
        path.write_text(text.replace(part, ""), encoding="utf-8")
        with pytest.raises(moodle_reader.StoppedError):
            moodle_reader.read(path)


@pytest.mark.parametrize(
    ("right", "wrong"), [(right, wrong) for right in range(1, 10) for wrong in range(1, 11 - right)]
)
def test_every_share_of_a_choice_is_one_of_moodles_grades(tmp_path, right, wrong):
    fields = {"kind": "multiple", "id": "09.m", "objective": "o", "difficulty": 1, "prompt": "p",
              "hint": "h", "explanation": "e", "source": "s"}  # fmt: skip
    options = [{"text": f"r{i}", "correct": True} for i in range(right)]
    options += [{"text": f"w{i}", "feedback": "f"} for i in range(wrong)]
    question = MultipleChoice.model_validate({**fields, "options": options})
    bank = dataclasses.replace(bank_of("x"), questions=(question,))
    export_banks([bank], "moodle", tmp_path / "a.xml")
    assert len(moodle_reader.read(tmp_path / "a.xml")) == 1


def test_long_ids_stay_apart(tmp_path):
    bank = bank_of("x")
    long = [bank.questions[0].model_copy(update={"id": f"09.{'a' * 120}{end}"}) for end in "bc"]
    bank = dataclasses.replace(bank, questions=tuple(long))
    export_banks([bank], "moodle", tmp_path / "a.xml")
    assert len({each.idnumber for each in moodle_reader.read(tmp_path / "a.xml")}) == 2


# What is lost

LESSON_00 = [bank for bank in BANKS if bank.lesson == "00"]


def counted(form: str, what: str, **options: bool) -> int:
    return next((each.number for each in lost(BANKS, form, **options) if what in each.what), 0)


def test_every_loss_is_counted_in_the_questions_that_have_it():
    drawn = [question.draw(0) for question in QUESTIONS.values()]
    units = sum(isinstance(question, NumericQuestion) and bool(question.unit) for question in drawn)
    orderings = sum(isinstance(question, OrderingQuestion) for question in drawn)
    assert counted("qti", "unit in the question") == units > 5
    assert counted("qti", "choice between four orders") == orderings > 2
    assert counted("moodle", "choice between four orders") == 0
    assert counted("moodle", "choice between four orders", ordering_as_choice=True) == orderings
    assert counted("moodle", "fill a quiz from each") == len(BANKS)
    own = sum(question.depends_on_seed for question in QUESTIONS.values())
    for form in ("csv", "qti", "moodle", "anki"):
        assert counted(form, "drawn for each student") == own > 5
        assert counted(form, "source") == (0 if form == "csv" else len(QUESTIONS))


@pytest.mark.parametrize("form", ["csv", "qti", "moodle", "anki"])
def test_the_export_says_each_loss_in_a_line(capsys, tmp_path, form):
    arguments = ["quiz", "export", "--format", form, "--lesson", "00"]
    arguments += ["--output", str(tmp_path / "a")]
    code, out, _ = labs(capsys, *arguments)
    assert code == 0
    expected = [f"  {each}" for each in lost(LESSON_00, form)]
    assert expected
    assert out.splitlines()[-len(expected) :] == expected
    found = json.loads(labs(capsys, *arguments, "--json")[1])["losses"]
    assert [f"  {Loss(**each)}" for each in found] == expected


def test_a_wrong_order_says_which_item_is_first_out_of_place():
    for question in QUESTIONS.values():
        if isinstance(question, OrderingQuestion):
            for offer in question.interaction.as_choice().offers:
                outcome = question.judge(offer.text)
                assert outcome.is_correct == offer.correct
                if not offer.correct:
                    item = next(i for i in question.items if i.feedback in outcome.message)
                    assert offer.feedback.endswith(item.feedback)


# Hostile texts


@pytest.mark.seconds
def test_moodle_takes_hostile_texts_as_they_stand(tmp_path):
    export_banks(HOSTILE, "moodle", tmp_path / "a.xml")
    imported = moodle_reader.read(tmp_path / "a.xml")
    assert len(imported) == 5 * len(CHANGES)
    assert {each.category for each in imported} >= {("LoRA Lab", "10 A / B & <C>")}
    for each in imported:
        page = BeautifulSoup(each.text, "html.parser")
        assert not page.find(["script", "iframe", "style"])
        if each.kind == "shortanswer":
            assert r"\*" in each.answers
            assert "*" not in each.answers


@pytest.mark.seconds
def test_qti_takes_hostile_texts_as_they_stand(tmp_path):
    assert export_banks(HOSTILE, "qti", tmp_path / "a.zip") == 5 * len(CHANGES)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert not [name for name in archive.namelist() if "images" in name]
        files = [ET.fromstring(archive.read(n)) for n in archive.namelist() if n.endswith(".xml")]
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b"root:" not in content
    quizzes = [part for part in files if part.tag.endswith("questestinterop")]
    space = {"q": quizzes[0].tag.partition("}")[0].strip("{")}
    items = [item for quiz in quizzes for item in quiz.findall(".//q:item", space)]
    assert {quiz[0].get("title") for quiz in quizzes} == {f"{bank.lesson} A / B & <C>" for bank in
                                                          HOSTILE}  # fmt: skip
    assert len({item.get("ident") for item in items}) == len(items) == 5 * len(CHANGES)
    for item in items:
        for text in item.findall(".//q:mattext", space):
            page = BeautifulSoup(text.text or "", "html.parser")
            assert not page.find(["script", "iframe", "style"])
            assert "equation_image" not in (text.text or "")  # dollars are no LaTeX
        prompt = item.findtext("q:presentation/q:material/q:mattext", None, space) or ""
        number = int((item.get("title") or "")[:2]) - 10
        said = markdown_html(next(b for b in HOSTILE if b.lesson == str(number + 10)
                                  ).questions[0].prompt)  # fmt: skip
        assert words(re.sub("<[^>]*>", "", said))[:500] in words(re.sub("<[^>]*>", "", prompt)) or (
            "\N{REPLACEMENT CHARACTER}" in prompt
        )


def test_csv_runs_no_formula_and_changes_nothing_else(tmp_path):
    export_banks([*BANKS, *HOSTILE], "csv", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(QUESTIONS) + 5 * len(CHANGES)
    for row in rows:
        for cell in row.values():
            assert not re.match(r"\s*[=+@\t\r-]", cell) or re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)
    by_id = {row["id"]: row for row in rows}
    number = 10 + list(CHANGES).index("formula")
    assert by_id[f"{number}.single"]["prompt"] == "'" + CHANGES["formula"]
    assert by_id[f"{number}.numeric"]["answer"].startswith("-2.5")


@pytest.mark.parametrize("form", ["csv", "qti", "moodle", "anki"])
def test_a_refused_export_leaves_nothing(tmp_path, monkeypatch, form):
    code = [question for question in QUESTIONS.values() if isinstance(question, CodeQuestion)]
    bank = dataclasses.replace(bank_of("x"), questions=tuple(code[:1] if form in ("qti", "moodle")
                                                              else ()))  # fmt: skip
    with pytest.raises(LabError, match=f"no question that {form} can hold"):
        export_banks([bank], form, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def numeric(answer: float, **tolerance: float) -> NumericQuestion:
    return NumericQuestion.model_validate(
        {"kind": "numeric", "id": "09.n", "objective": "o", "difficulty": 1, "prompt": "p",
         "hint": "h", "explanation": "e", "source": "s", "answer": answer,
         "tolerance": tolerance}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "tolerance", "held"),
    [
        (0.0, {}, False),
        (2e-5, {"relative": 0.1}, False),
        (0.12345678, {}, False),
        (1.5, {"absolute": 1.5}, False),
        (0.3426, {"relative": 0.01}, True),
        (-3.0, {}, True),
        (1e15, {}, True),
        (6.5e-3, {"relative": 0.05}, True),
    ],
)
def test_qti_leaves_out_numbers_that_it_cannot_tell(tmp_path, answer, tolerance, held):
    bank = bank_of("x")
    questions = (bank.questions[0], numeric(answer, **tolerance))
    bank = dataclasses.replace(bank, questions=questions)
    assert left_out([bank], "qti") == ([] if held else ["09.n"])
    assert export_banks([bank], "qti", tmp_path / "a.zip") == (2 if held else 1)
    export_banks([bank], "moodle", tmp_path / "a.xml")
    (_, number) = moodle_reader.read(tmp_path / "a.xml")
    assert number.grade_number(number.answers[0], None) == 1


def test_two_options_that_look_alike_are_one_line(tmp_path):
    bank = bank_of("x")
    option = bank.questions[0].options[1].model_copy(update={"text": "_a_"})  # pyright: ignore[reportAttributeAccessIssue]
    other = option.model_copy(update={"text": "*a*", "correct": True})
    question = bank.questions[0].model_copy(update={"options": (other, option)})
    assert isinstance(question, SingleChoice)
    bank = dataclasses.replace(bank, questions=(question,))
    with pytest.raises(LabError, match="Duplicate choice"):
        export_banks([bank], "qti", tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


# Markdown


def test_a_table_is_a_table_wherever_a_question_is_shown():
    from labs_lib.assessment.show import Panel

    for shown in (markdown_html(TABLE), Panel("", TABLE).html):
        page = BeautifulSoup(shown, "html.parser")
        rows = [[cell.get_text() for cell in row.find_all(["th", "td"])]
                for row in page.find_all("tr")]  # fmt: skip
        assert rows == [["rank", "loss"], ["4", "0.5"], ["8", "0.4"]]
        assert page.find("td").find_next_sibling("td").code.get_text() == "0.5"  # pyright: ignore
        assert page.find_all("p")[-1].get_text() == "Choose."


def test_the_card_of_a_question_with_a_table_shows_one(tmp_path, monkeypatch):
    from labs_lib.widgets import ask

    question = {
        "id": "09.count.table", "kind": "numeric", "objective": "count", "difficulty": 1,
        "prompt": "Add up.\n\n| map | parameters |\n|---|---|\n| q | 1 |\n| v | 2 |\n",
        "answer": 3, "hint": "Two numbers.", "explanation": "1 + 2.", "source": "arithmetic",
    }  # fmt: skip
    bank = {"lesson": "09", "title": "T", "objectives": {"count": "C"}, "questions": [question]}
    (tmp_path / "09_table.yaml").write_text(yaml.safe_dump(bank), encoding="utf-8")
    monkeypatch.setenv("LABS_QUIZZES", str(tmp_path))
    card = ask("09.count.table")
    pages = [card.children[0].value, card._repr_mimebundle_()["text/html"]]
    for page in pages:
        assert len(BeautifulSoup(page, "html.parser").find("table").find_all("tr")) > 2  # pyright: ignore


def test_a_pipe_in_a_sentence_is_no_table():
    assert "<table>" not in markdown_html("p(x | y) and | a | b |\nno dashes")


@pytest.mark.parametrize("name", CHANGES)
def test_markdown_obeys_no_html(name):
    page = BeautifulSoup(markdown_html(CHANGES[name]), "html.parser")
    assert not page.find(["script", "iframe", "style", "object"])
    assert not page.find(lambda tag: any(key.startswith("on") for key in tag.attrs))

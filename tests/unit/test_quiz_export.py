"""Each export is read back, and says what the bank says."""

from __future__ import annotations

import csv
import html
import json
import re
import sqlite3
import xml.etree.ElementTree as ET
import zipfile

import pytest

from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.export import export_banks, options_of
from labs_lib.assessment.export.parts import feedback_of, tags_of
from labs_lib.assessment.grading import grade, right_answer
from labs_lib.assessment.kinds import (
    CodeQuestion,
    MultipleChoice,
    NumericQuestion,
    OrderingQuestion,
    ParameterisedQuestion,
    SingleChoice,
    TextQuestion,
)
from labs_lib.assessment.outcomes import Response
from labs_lib.assessment.show import markdown_html
from labs_lib.cli import main
from labs_lib.errors import LabError

SEED = 5
BANKS = list(load_banks().values())
QUESTIONS = {
    question.id: question.draw(SEED) if isinstance(question, ParameterisedQuestion) else question
    for bank in BANKS
    for question in bank.questions
}
WITHOUT_CODE = {
    key: question for key, question in QUESTIONS.items() if not isinstance(question, CodeQuestion)
}


def words_of(markup: str) -> str:
    """Return the letters and digits of some HTML: systems differ in quotes and spaces."""
    text = html.unescape(re.sub(r"<[^>]*>", "", markup))
    return "".join(letter for letter in text if letter.isalnum())


def test_csv(tmp_path):
    path = tmp_path / "bank.csv"
    assert export_banks(BANKS, "csv", path, SEED) == len(QUESTIONS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(QUESTIONS)
    for row in rows:
        question = QUESTIONS[row["id"]]
        assert row["prompt"] == question.prompt
        assert row["explanation"] == question.explanation
        assert row["tags"].split() == tags_of(question)
        for answer, feedback in feedback_of(question):
            assert f"{answer} {feedback}" in row["feedback"]
        assert grade(question, Response(question.id, row["answer"])).is_correct


def test_moodle(tmp_path):
    path = tmp_path / "bank.xml"
    assert export_banks(BANKS, "moodle", path, SEED) == len(WITHOUT_CODE)
    nodes = {
        node.findtext("idnumber"): node
        for node in ET.parse(path).getroot()
        if node.get("type") != "category"
    }
    assert list(nodes) == list(WITHOUT_CODE)
    for key, node in nodes.items():
        question = QUESTIONS[key or ""]
        answers = node.findall("answer")
        full = [each.findtext("text") for each in answers if float(each.get("fraction", 0)) > 0]
        assert node.findtext("questiontext/text", "").startswith(
            markdown_html(question.prompt)[:-5]
        )
        assert node.findtext("generalfeedback/text") == markdown_html(question.explanation)
        if isinstance(question, (SingleChoice, MultipleChoice)):
            right = [text for text, correct, _ in options_of(question) if correct]
            assert full == [markdown_html(text) for text in right]
            total = sum(float(each.get("fraction", 0)) for each in answers if each.findtext("text")
                        in full)  # fmt: skip
            assert total == pytest.approx(100, abs=0.01)
            told = [each.findtext("feedback/text") for each in answers]
            assert told == [markdown_html(f) if f else "" for *_, f in options_of(question)]
        elif isinstance(question, NumericQuestion):
            assert grade(question, Response(question.id, full[0])).is_correct
            width = float(answers[0].findtext("tolerance") or "nan")
            assert width == pytest.approx(question.tolerance.width(question.answer), abs=1e-8)
        elif isinstance(question, OrderingQuestion):
            assert full == [markdown_html(item.text) for item in question.items]
        elif isinstance(question, TextQuestion):
            assert full == list(question.accept)


CP = "{http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1}"


@pytest.mark.seconds
def test_qti(tmp_path):
    path = tmp_path / "bank.zip"
    assert export_banks(BANKS, "qti", path, SEED) == len(WITHOUT_CODE)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        manifest = ET.fromstring(archive.read("imsmanifest.xml"))
        listed = [file.get("href") or "" for file in manifest.iter(f"{CP}file")]
        assert sorted(listed) == sorted(set(archive.namelist()) - {"imsmanifest.xml"})
        quizzes = [
            ET.fromstring(archive.read(name)) for name in listed if not name.endswith("meta.xml")
        ]
        metas = [ET.fromstring(archive.read(n)) for n in listed if n.endswith("meta.xml")]
    space = {"q": quizzes[0].tag.partition("}")[0].strip("{")}
    titles = [f"{bank.lesson} {bank.title}" for bank in BANKS]
    assert [quiz.find("q:assessment", space).get("title") for quiz in quizzes] == titles  # pyright: ignore[reportOptionalMemberAccess]
    assert [meta[0].text for meta in metas] == titles
    items = [item for quiz in quizzes for item in quiz.findall(".//q:item", space)]
    assert [item.get("title") for item in items] == list(WITHOUT_CODE)
    for item, question in zip(items, WITHOUT_CODE.values(), strict=True):
        told = words_of(" ".join(item.itertext()))
        assert words_of(markdown_html(question.explanation)) in told
        assert words_of(markdown_html(question.prompt)) in told
        after_a_wrong_one = item.find(".//q:itemfeedback[@ident='general_incorrect_fb']", space)
        assert words_of(question.hint) in words_of("".join(after_a_wrong_one.itertext()))  # pyright: ignore[reportOptionalMemberAccess]
        for answer, feedback in feedback_of(question):
            if not isinstance(question, OrderingQuestion):  # says but the first out of place
                assert words_of(markdown_html(feedback)) in told, answer
        fields = item.findall(".//q:qtimetadatafield", space)
        tags = [field[1].text for field in fields if field[0].text == "tag"]
        assert tags == tags_of(question)
        rewarded = [
            each.text
            for condition in item.findall(".//q:respcondition", space)
            if (score := condition.findtext("q:setvar", None, space)) and float(score) == 100
            for each in condition.findall(".//q:varequal", space)
        ]
        labels = {
            each.get("ident"): " ".join("".join(each.itertext()).split())
            for each in item.findall(".//q:response_label", space)
        }
        if isinstance(question, SingleChoice):
            (right,) = [text for text, correct, _ in options_of(question) if correct]
            assert words_of(labels[rewarded[0]]) == words_of(markdown_html(right))
        elif isinstance(question, TextQuestion):
            assert rewarded == list(question.accept)
        elif isinstance(question, OrderingQuestion):
            assert ", ".join(question.right_letters) in labels[rewarded[0]]
        elif isinstance(question, NumericQuestion):
            low = item.find(".//q:vargte", space)
            high = item.find(".//q:varlte", space)
            assert low is not None
            assert high is not None
            assert float(low.text or "") <= question.answer <= float(high.text or "")


def test_anki(tmp_path):
    path = tmp_path / "bank.apkg"
    assert export_banks(BANKS, "anki", path, SEED) == len(QUESTIONS)
    with zipfile.ZipFile(path) as archive:
        (tmp_path / "deck.db").write_bytes(archive.read("collection.anki2"))
    with sqlite3.connect(tmp_path / "deck.db") as database:
        notes = [row[0].split("\x1f") for row in database.execute("select flds from notes")]
        cards = database.execute("select count(*) from cards").fetchone()[0]
    assert cards == len(QUESTIONS)
    assert sorted(note[0] for note in notes) == sorted(QUESTIONS)
    for key, front, back in notes:
        question = QUESTIONS[key]
        assert markdown_html(question.prompt)[:30] in front
        assert markdown_html(question.explanation)[-30:] in back
        if not isinstance(question, CodeQuestion):
            assert str(right_answer(question)) in back


def test_the_same_bank_gives_the_same_numbers_and_another_seed_others(tmp_path):
    paths = [tmp_path / name for name in ("one", "two", "three")]
    for path, seed in zip(paths, (5, 5, 6), strict=True):
        export_banks(BANKS, "csv", path, seed)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()


def test_an_unknown_format_writes_nothing(tmp_path):
    with pytest.raises(LabError, match="did you mean 'moodle'"):
        export_banks(BANKS, "moodel", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


# The verbs


def labs(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_quiz_check_passes_and_says_so(capsys):
    code, out, _ = labs(capsys, "quiz", "check", "--json")
    content = json.loads(out)
    assert code == 0
    assert content["problems"] == []
    assert {bank["lesson"] for bank in content["banks"]} >= {"00", "04"}


def test_quiz_check_names_file_and_line(capsys, tmp_path):
    path = tmp_path / "09.yaml"
    path.write_text('lesson: "09"\ntitle: T\nobjectives: {a: b}\nquestions:\n  - kind: singel\n')
    code, _, err = labs(capsys, "quiz", "check", str(path))
    assert code == 2
    assert f"{path}:5: kind: 'singel' is not one of" in err


def test_quiz_export_writes_a_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = labs(capsys, "quiz", "export", "--format", "moodle", "--lesson", "00", "--json")
    own = [question for question in WITHOUT_CODE.values() if question.lesson == "00"]
    assert code == 0
    assert json.loads(out)["questions"] == len(own) > 0
    assert (tmp_path / "lora-lab-quizzes.xml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quiz", "export", "--format", "cvs"], "did you mean 'csv'"),
        (["quiz", "export", "--format", "csv", "--lesson", "99"], "lesson: '99' is not one of"),
        (["quiz", "check", "no-such-file.yaml"], "no file no-such-file.yaml"),
        (["progress", "import", "no-such-file"], "cannot read"),
    ],
)
def test_a_mistake_ends_with_one_line_and_status_2(capsys, arguments, message):
    code, _, err = labs(capsys, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_progress_verbs(capsys, tmp_path, monkeypatch):
    from labs_lib.assessment.progress import record

    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    record("answer", "00.course.rhythm", response="x", outcome="correct")
    code, out, _ = labs(capsys, "progress", "--json")
    first = json.loads(out)["lessons"][0]
    assert code == 0
    assert first["correct"] == 1
    code, out, _ = labs(capsys, "progress")
    assert code == 0
    assert f"  1 of {first['total']}" in out
    copy = str(tmp_path / "copy")
    assert labs(capsys, "progress", "export", copy)[0] == 0
    assert labs(capsys, "progress", "reset", "--yes")[0] == 0
    assert labs(capsys, "progress", "import", copy, "--json")[1].startswith('{"imported": 1')


def test_reset_asks(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    asked = []
    monkeypatch.setattr("click.confirm", lambda text, abort: asked.append((text, abort)))
    assert labs(capsys, "progress", "reset")[0] == 0
    assert asked == [("Begin anew, with nothing answered?", True)]

"""A release gives students nothing that gives an answer away, and says who made it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from benchmarks.mutant_class import ROOT, released
from labs_lib.assessment import load_banks, notebook
from labs_lib.assessment.asking import Asked
from labs_lib.assessment.grading import right_answer
from labs_lib.assessment.kinds.sealed import seal
from labs_lib.classroom.handing_in import hand_in, released_here, write_hand_in
from labs_lib.classroom.keys import key_file
from labs_lib.classroom.records import RELEASE_FILE, Release, read_record
from labs_lib.classroom.releasing import find_release, make_release, read_due
from labs_lib.errors import LabError

pytestmark = pytest.mark.usefixtures("own_home")

QUESTIONS = [question for bank in load_banks().values() for question in bank.questions]
# A word of a bank's that stands only where an answer is.
GIVES_AWAY = ("correct:", "feedback:", "answer:", "formula:", "accept:", "mistakes:", "tolerance:")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.id)
def test_a_sealed_question_asks_the_same_and_knows_no_answer(question):
    sealed = seal(question)
    assert sealed.draw(7).prompt == question.draw(7).prompt
    assert sealed.grade(right_answer(question, 7), 7).status == "recorded"
    assert sealed.grade("", 7).status == "not attempted"
    unreadable = "recorded" if question.kind == "text" else "error"
    assert sealed.grade("what?? no", 7).status == unreadable
    assert question.explanation not in sealed.model_dump_json()
    assert seal(sealed) is sealed


def test_students_get_no_answer_and_the_instructor_keeps_them(tmp_path: Path):
    course, kept = released(tmp_path)
    folder = tmp_path / "release"
    banks = [path.read_text("utf-8") for path in sorted(folder.glob("quizzes/*/*.yaml"))]
    assert len(banks) == 2
    assert not [word for word in GIVES_AWAY for text in banks if word in text]
    assert "42" not in banks[1].partition("02.private.number")[2]
    public = read_record(Release, folder / RELEASE_FILE)
    assert public.id == course.release.id
    assert not any(item.right or item.misconceptions for item in public.items)
    assert course.questions["02.private.number"].right_answer() == 42
    assert len(load_banks(kept / "quizzes")) == 2


def test_the_notebook_has_no_outputs_and_asks_the_private_question_last(tmp_path: Path):
    released(tmp_path)
    cells = json.loads((tmp_path / "release" / "02_lora_math.ipynb").read_bytes())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert "".join(cells[-1]["source"]) == 'ask("02.private.number")'


def test_a_card_and_a_check_in_the_release_record_and_judge_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    released(tmp_path)
    monkeypatch.chdir(tmp_path / "release")
    assert Asked("02.private.number").answer(7, "sure").heading.startswith("Recorded")
    assert Asked("02.private.number").answer("7 or so?").heading == "Error"
    notebook.check("02.adapter-size", 1)
    notebook.solution("02.adapter-size")
    said = capsys.readouterr().out
    assert "Recorded" in said
    assert "16 *" not in said
    release, folder = released_here()
    handed = hand_in(release, folder, "ada")
    assert [each.response for each in handed.responses] == [7, "7 or so?", 1]
    assert {"# exercise: 02.merge"} < {cell.source.split("\n")[0] for cell in handed.cells}
    write_hand_in(handed, tmp_path / "a.zip")
    write_hand_in(handed, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_key_is_its_owners_alone_and_signs(tmp_path: Path):
    course, kept = released(tmp_path)
    if os.name == "posix":
        assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    path = kept / RELEASE_FILE
    path.write_text(path.read_text("utf-8").replace('"attempts": 0', '"attempts": 9'), "utf-8")
    with pytest.raises(LabError, match="signature does not fit"):
        find_release(course.release.id)


def test_a_release_that_somebody_changed_is_not_handed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    released(tmp_path)
    path = tmp_path / "release" / RELEASE_FILE
    path.write_text(path.read_text("utf-8").replace('"feedback": "after"', '"feedback": "now"'))
    monkeypatch.chdir(tmp_path / "release")
    with pytest.raises(LabError, match="signature does not fit"):
        released_here()


@pytest.mark.parametrize(
    ("lessons", "bank", "due", "said"),
    [
        (["77"], "", "", "--lessons: '77' is not one of"),
        (["00"], "nowhere", "", "no file or folder"),
        (["00"], "", "soon", "--due: 'soon' is no date"),
    ],
)
def test_what_is_refused_writes_nothing(
    tmp_path: Path, lessons: list[str], bank: str, due: str, said: str
):
    folder, place = tmp_path / "release", tmp_path / bank if bank else None
    with pytest.raises(LabError, match=said):
        make_release(folder, lessons, course=ROOT, bank=place, due=due)
    assert not folder.exists()


def test_an_id_of_the_courses_is_refused_in_a_private_bank(tmp_path: Path):
    text = (ROOT / "quizzes" / "00_start_here" / "questions.yaml").read_text("utf-8")
    (tmp_path / "00_again.yaml").write_text(text, "utf-8")
    with pytest.raises(LabError, match="is a question of the course already"):
        make_release(tmp_path / "r", ["00"], course=ROOT, bank=tmp_path / "00_again.yaml")


def test_a_day_ends_with_it():
    assert read_due("2027-01-31")[:19] == "2027-01-31T23:59:59"
    assert read_due("") == ""

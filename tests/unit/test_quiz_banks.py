"""The course's banks keep the rules, and a malformed bank is refused with file and line."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from labs_lib.assessment.banks import (
    bank_files,
    bank_name,
    banks_folder,
    find_question,
    load_bank,
    load_banks,
)
from labs_lib.assessment.export import export_banks
from labs_lib.assessment.grading import grade, right_answer
from labs_lib.assessment.kinds import KINDS, NumericQuestion, ParameterisedQuestion
from labs_lib.assessment.lesson_ids import is_optional
from labs_lib.assessment.lint import check_bank, check_banks
from labs_lib.assessment.outcomes import Response
from labs_lib.errors import LabError

SINGLE = {
    "id": "09.a.one",
    "kind": "single",
    "objective": "first",
    "difficulty": 1,
    "prompt": "Which?",
    "options": [{"text": "yes, this", "correct": True}, {"text": "no", "feedback": "why not"}],
    "hint": "h",
    "explanation": "e",
    "source": "s",
}
GOOD = {
    "lesson": "09",
    "title": "A lesson",
    "objectives": {"first": "Do it."},
    "questions": [SINGLE],
}


def other(kind: str, **fields) -> dict:
    kept = {name: value for name, value in SINGLE.items() if name != "options"}
    return {**kept, "id": f"09.{kind}", "kind": kind, **fields}


NUMERIC = other("numeric", answer=3)
DRAWN = other("parameterised", prompt="{a}", numbers={"a": {"choices": [1, 2]}}, formula="a * 2")
ORDER = other("ordering", items=[{"text": t, "feedback": "f"} for t in ("x", "y", "z")])
TEXT = other("text", accept=["word"])
CODE = other("code", exercise="04.count-function")


def changed(base: dict, **fields) -> dict:
    """Return a bank of one question with fields changed; `None` takes a field out."""
    question = {**copy.deepcopy(base), **fields}
    question = {name: value for name, value in question.items() if value is not None}
    return {**GOOD, "questions": [question]}


def options(*listed: dict) -> dict:
    return changed(SINGLE, options=list(listed))


RIGHT = {"text": "a", "correct": True}
WRONG = {"text": "b", "feedback": "f"}

# (a bank as text or as data, what the message must say)
MALFORMED: list[tuple[object, str]] = [
    ("", "mapping"),
    ("just words", "mapping"),
    ("[1, 2]", "mapping"),
    ("a: [1", "not YAML"),
    ("a: b: c", "not YAML"),
    ("\tlesson: x", "not YAML"),
    ("lesson: !!python/object:os.system x", "not YAML"),
    ("a: &x [1]\nb: *x", "anchors"),
    ('lesson: "09"\nlesson: "08"', "given twice"),
    ("? [a, b]\n: c", "plain word"),
    ("a: 2024-99-99", "not YAML"),
    ("[" * 5000, "not YAML"),
    (b"\xff\xfe\x00bad", "UTF-8"),
    (b"lesson: \x00", "not YAML"),
    ({**GOOD, "lesson": 9}, "lesson: 9"),
    ({**GOOD, "lesson": "9"}, "lesson"),
    ({**GOOD, "lesson": "xx"}, "lesson"),
    ({**GOOD, "lesson": "09y"}, "lesson"),
    ({**GOOD, "lesson": None}, "lesson"),
    ({**GOOD, "title": ""}, "title"),
    ({**GOOD, "objectives": {}}, "objectives"),
    ({**GOOD, "objectives": ["a"]}, "objectives"),
    ({**GOOD, "objectives": {"Not a slug!": "x"}}, "objectives"),
    ({**GOOD, "questions": []}, "questions"),
    ({**GOOD, "questions": "many"}, "questions"),
    ({**GOOD, "question": []}, "did you mean 'questions'"),
    ({"lesson": "09"}, "missing"),
    ({**GOOD, "questions": ["text"]}, "not a mapping"),
    ({**GOOD, "questions": [SINGLE, SINGLE]}, "used twice"),
    (changed(SINGLE, kind=None), "kind: missing"),
    (changed(SINGLE, kind="singel"), "did you mean 'single'"),
    (changed(SINGLE, kind=["single"]), "kind"),
    (changed(SINGLE, id=None), "id: missing"),
    (changed(SINGLE, id="nine"), "id: 'nine'"),
    (changed(SINGLE, id="08.a.one"), "start with the lesson's id, 09"),
    (changed(SINGLE, id="09x.a.one"), "start with the lesson's id, 09"),
    (changed(SINGLE, id="09y.a.one"), "id: '09y.a.one'"),
    ({**changed(SINGLE), "lesson": "09x"}, "start with the lesson's id, 09x"),
    (changed(SINGLE, id=9.1), "id: 9.1"),
    (changed(SINGLE, objective="second"), "objective: 'second' is not one of first"),
    (changed(SINGLE, objective=None), "objective: missing"),
    (changed(SINGLE, difficulty=4), "difficulty: 4"),
    (changed(SINGLE, difficulty="hard"), "difficulty: 'hard'"),
    (changed(SINGLE, difficulty=True), "difficulty"),
    (changed(SINGLE, hint=None), "hint: missing"),
    (changed(SINGLE, explanation="  "), "explanation"),
    (changed(SINGLE, source=None), "source: missing"),
    (changed(SINGLE, prompt=7), "prompt: 7"),
    (changed(SINGLE, hints="x"), "did you mean 'hint'"),
    (changed(SINGLE, options=None), "options: missing"),
    (options(RIGHT), "options"),
    (options(WRONG, {"text": "c", "feedback": "f"}), "exactly one option"),
    (options(RIGHT, {"text": "b", "correct": True}), "exactly one option"),
    (options(RIGHT, {"text": "b"}), "needs feedback"),
    (options(RIGHT, {"text": "A", "feedback": "f"}), "same text"),
    (options(RIGHT, {**WRONG, "corect": True}), "did you mean 'correct'"),
    (options(RIGHT, {**WRONG, "correct": "no"}), "correct"),
    (options(RIGHT, {**WRONG, "text": True}), "text: True"),
    (options(RIGHT, *[{"text": f"{n}", "feedback": "f"} for n in range(30)]), "options"),
    (changed(SINGLE, kind="multiple", options=[RIGHT, {"text": "b", "correct": True}]), "wrong"),
    (changed(NUMERIC, answer="3"), "answer: '3'"),
    (changed(NUMERIC, answer=float("nan")), "answer: nan"),
    (changed(NUMERIC, answer=float("inf")), "answer: inf"),
    (changed(NUMERIC, answer=True), "answer: True"),
    (changed(NUMERIC, unit="GBs"), "unit"),
    (changed(NUMERIC, tolerance={"relative": -1}), "relative"),
    (changed(NUMERIC, tolerance={"percent": 1}), "percent: no such field"),
    (changed(NUMERIC, mistakes=[{"value": 3.0}]), "feedback: missing"),
    (changed(NUMERIC, mistakes=[{"value": 3.0, "feedback": "f"}]), "counts as right"),
    (changed(DRAWN, formula="a * b"), "uses b; the numbers are a"),
    (changed(DRAWN, formula="__import__('os')"), "formula"),
    (changed(DRAWN, formula="a.real"), "only arithmetic"),
    (changed(DRAWN, formula="[a for a in (1,)]"), "only arithmetic"),
    (changed(DRAWN, formula="a *"), "cannot be read"),
    (changed(DRAWN, formula="'a' * 9"), "only arithmetic"),
    (changed(DRAWN, formula="1 / (a - 1)"), "no value for {'a': 1}"),
    (changed(DRAWN, formula="9 ** 9 ** 9 + a"), "no value"),
    (changed(DRAWN, formula="a - a"), "same for all"),
    (changed(DRAWN, formula="+".join(["a"] * 400)), "at most 500"),
    (changed(DRAWN, prompt="no number"), "does not tell the student {a}"),
    (changed(DRAWN, prompt="{a} {b}"), "no number of the question"),
    (changed(DRAWN, numbers={}), "numbers"),
    (changed(DRAWN, numbers={"a": {"low": 1}}), "give either choices"),
    (changed(DRAWN, numbers={"a": {"low": 5, "high": 1}}), "low must be below high"),
    (changed(DRAWN, numbers={"a": {"low": 1, "high": 10**12}}), "million"),
    (changed(DRAWN, numbers={"a": {"choices": [1]}}), "choices"),
    (changed(DRAWN, numbers={"a b": {"choices": [1, 2]}}), "not a name"),
    (changed(DRAWN, mistakes=[{"formula": "a + a", "feedback": "f"}]), "always counts as right"),
    (changed(ORDER, items=ORDER["items"][:2]), "items"),
    (changed(ORDER, items=[ORDER["items"][0]] * 3), "same text"),
    (changed(ORDER, items=[{"text": "x"}] * 3), "feedback: missing"),
    (changed(TEXT, accept=[]), "accept"),
    (changed(TEXT, accept=["''"]), "empty once"),
    (changed(TEXT, mistakes=[{"match": ["WORD"], "feedback": "f"}]), "is an accepted answer"),
    (changed(CODE, exercise="04.count-funktion"), "did you mean '04.count-function'"),
    ({**GOOD, "objectives": {"first": "x", "second": "y"}}, "'second' has no question"),
]  # fmt: skip


def written(folder: Path, content: object) -> Path:
    path = folder / "09_test.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        apart = json.loads(json.dumps(content))  # shared parts would be dumped as aliases
        path.write_text(yaml.safe_dump(apart, sort_keys=False), encoding="utf-8")
    return path


def test_there_are_enough_malformed_banks():
    assert len(MALFORMED) >= 60


@pytest.mark.parametrize("good", [SINGLE, NUMERIC, DRAWN, ORDER, TEXT, CODE])
def test_the_unchanged_bank_is_good(tmp_path, good):
    _, problems = check_banks([written(tmp_path, changed(good))])
    assert problems == []


@pytest.mark.parametrize(("content", "message"), MALFORMED)
def test_a_malformed_bank_is_refused_with_file_and_line(tmp_path, content, message):
    path = written(tmp_path, content)
    _, problems = check_banks([path])
    assert problems, "nothing was found wrong"
    said = [str(problem) for problem in problems]
    assert any(message in line for line in said), said
    lines = path.read_bytes().count(b"\n") + 1
    for problem in problems:
        assert problem.path == path
        assert 1 <= problem.line <= lines
        assert "\n" not in problem.message
        assert len(problem.message) < 500


def test_the_line_is_that_of_the_field(tmp_path):
    text = yaml.safe_dump(changed(SINGLE, difficulty=9), sort_keys=False)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "difficulty" in row)
    with pytest.raises(LabError, match=rf"09_test\.yaml:{line}: 09\.a\.one: difficulty: 9"):
        load_bank(written(tmp_path, text))


def test_a_huge_bank_is_refused_unread(tmp_path):
    path = written(tmp_path, "#" * (6 * 2**20))
    with pytest.raises(LabError, match="more than 5 MiB"):
        load_bank(path)


def test_the_longest_option_may_not_give_the_answer_away(tmp_path):
    long = {"text": "a much longer option than the other", "correct": True}
    questions = [
        {**SINGLE, "id": f"09.q{n}", "options": [long, WRONG] if n % 2 else [WRONG, long]}
        for n in range(4)
    ]
    bank = load_bank(written(tmp_path, {**GOOD, "questions": questions}))
    (problem,) = check_bank(bank)
    assert "the longest option is right in 4 of 4" in problem.message


def test_the_positions_are_balanced(tmp_path):
    questions = [{**SINGLE, "id": f"09.q{n}", "options": [RIGHT, WRONG]} for n in range(4)]
    bank = load_bank(written(tmp_path, {**GOOD, "questions": questions}))
    (problem,) = check_bank(bank)
    assert "position a is right in 4 of 4" in problem.message


def test_ids_are_unique_across_banks(tmp_path):
    first = written(tmp_path, GOOD)
    second = tmp_path / "09_other.yaml"
    second.write_text(first.read_text())
    _, problems = check_banks([second, first])
    assert any("used in" in str(problem) for problem in problems)
    assert any("already has" in str(problem) for problem in problems)


def test_an_unknown_question_names_the_nearest():
    with pytest.raises(LabError, match=r"did you mean '04\.config\.pattern'"):
        find_question("04.config.patern")


def test_another_folder_can_be_named(tmp_path, monkeypatch):
    written(tmp_path, GOOD)
    monkeypatch.setenv("LABS_QUIZZES", str(tmp_path))
    assert list(load_banks()) == ["09"]
    monkeypatch.setenv("LABS_QUIZZES", str(tmp_path / "missing"))
    with pytest.raises(LabError, match="LABS_QUIZZES"):
        load_banks()


def test_a_bank_stands_alone_or_in_its_lessons_folder(tmp_path):
    for name in ("08_b", ".hidden"):
        (tmp_path / name).mkdir()
        folder = written(tmp_path / name, {**GOOD, "lesson": "08"})
        folder.rename(folder.with_name("questions.yaml"))
    lone = written(tmp_path, GOOD)
    inner = tmp_path / "08_b" / "questions.yaml"
    assert bank_files(tmp_path) == [inner, lone]
    assert bank_files(tmp_path / "08_b") == [inner]
    assert [bank_name(path) for path in (inner, lone)] == ["08_b/questions.yaml", "09_test.yaml"]
    with pytest.raises(LabError, match=r"^08_b/questions\.yaml:6: 09\.a\.one: id must start"):
        load_banks(tmp_path)


def test_an_optional_lessons_questions_are_found_shown_and_exported(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_QUIZZES", str(tmp_path))
    optional = {**GOOD, "lesson": "09x", "questions": [{**SINGLE, "id": "09x.a.one"}]}
    written(tmp_path, GOOD)
    (tmp_path / "09x_more").mkdir()
    written(tmp_path / "09x_more", optional).rename(tmp_path / "09x_more" / "questions.yaml")
    assert list(load_banks()) == ["09", "09x"]
    bank, question = find_question("09x.a.one")
    assert (bank.name, question.lesson) == ("09x_more/questions.yaml", "09x")
    assert find_question("09.a.one")[0].lesson == "09"
    with pytest.raises(LabError, match=r"did you mean '09x\.a\.one'"):
        find_question("09x.a.on")
    export_banks([bank], "csv", tmp_path / "bank.csv")
    assert "09x.a.one,09x," in (tmp_path / "bank.csv").read_text(encoding="utf-8-sig")


def test_a_changed_bank_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_QUIZZES", str(tmp_path))
    written(tmp_path, GOOD)
    before = load_banks()["09"]
    written(tmp_path, {**GOOD, "title": "Another title, and longer"})
    after = load_banks()["09"]
    assert after.title != before.title
    assert after.sha256 != before.sha256


def test_the_folder_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.delenv("LABS_QUIZZES", raising=False)
    monkeypatch.chdir(tmp_path)
    assert (banks_folder() / "00_start_here" / "questions.yaml").is_file()


# The course's own banks


@pytest.mark.parametrize("path", bank_files(), ids=lambda path: path.parent.name)
def test_the_courses_bank_keeps_every_rule(path):
    _, problems = check_banks([path])
    assert [str(problem) for problem in problems] == []


def test_the_courses_banks_keep_every_rule_together():
    _, problems = check_banks()
    assert [str(problem) for problem in problems] == []


def test_every_lesson_has_enough_questions():
    counts = {lesson: len(bank.questions) for lesson, bank in load_banks().items()}
    short = {n for n in counts if n == "00" or is_optional(n)}
    assert {n: count for n, count in counts.items() if count < (5 if n in short else 10)} == {}


def test_every_kind_is_used():
    """But the code that a card asks for: beside a notebook it would repeat an exercise.

    A sealed question stands in a class's release alone.
    """
    kinds = Counter(q.kind for bank in load_banks().values() for q in bank.questions)
    assert set(kinds) == set(KINDS) - {"code", "sealed"}


@pytest.mark.parametrize(
    "question",
    [q for bank in load_banks().values() for q in bank.questions],
    ids=lambda question: question.id,
)
def test_every_question_accepts_its_answer_and_knows_its_mistakes(question):
    for seed in range(5):
        assert grade(question, Response(question.id, right_answer(question, seed), seed)).is_correct
    concrete = question.draw(1) if isinstance(question, ParameterisedQuestion) else question
    if isinstance(concrete, NumericQuestion):
        for mistake in concrete.mistakes:
            got = grade(concrete, Response(concrete.id, mistake.value))
            assert got.status == "incorrect"
            shared = [m for m in concrete.mistakes if m.value == mistake.value]
            assert got.message in [m.feedback for m in shared]

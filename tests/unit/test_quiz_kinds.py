"""A kind of question is one file: whatever grades, shows, exports or checks asks its class."""

from __future__ import annotations

import ast
import csv
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import moodle_reader
import pytest
import yaml

import labs_lib
from labs_lib.assessment import grade, kinds, right_answer
from labs_lib.assessment.banks import load_banks
from labs_lib.assessment.export import WRITERS, export_banks, left_out
from labs_lib.assessment.interactions import Choice, Interaction, Offer
from labs_lib.assessment.kinds import KINDS
from labs_lib.assessment.lint import check_banks
from labs_lib.assessment.outcomes import CORRECT, INCORRECT, Outcome, Response
from labs_lib.assessment.questions import Question
from labs_lib.assessment.records import Flag, Text
from labs_lib.assessment.solved import solved_source
from labs_lib.errors import LabError
from labs_lib.widgets import ask

ROOM = Path(labs_lib.__file__).parent
ASSESSMENT = ROOM / "assessment"


class TrueOrFalse(Question):
    """A statement that is true or false: a kind of its own, for these tests."""

    kind: Literal["true-or-false"]
    truth: Flag
    feedback: Text

    example: ClassVar[str] = '"true"'

    @property
    def instruction(self) -> str:
        """Return one sentence on how to answer."""
        return "Is it true?"

    @property
    def interaction(self) -> Interaction:
        """Return the choice between the two."""
        return Choice(tuple(
            Offer(str(each), each is self.truth, "" if each is self.truth else self.feedback)
            for each in (True, False)
        ))  # fmt: skip

    @property
    def solution(self) -> str:
        """Return the letter of the truth."""
        return "a" if self.truth else "b"

    def judge(self, answer: Any) -> Outcome:
        """Judge a letter or a truth."""
        if answer in (self.solution, self.truth):
            return Outcome(CORRECT, self.explanation)
        return Outcome(INCORRECT, self.feedback)

    def problems(self) -> Iterator[str]:
        """Yield a statement that is no sentence."""
        if not self.prompt.endswith("."):
            yield "a statement ends with a full stop"


FIELDS = {
    "kind": "true-or-false", "id": "09.frozen", "objective": "o", "difficulty": 1,
    "prompt": "LoRA trains the whole matrix.", "truth": False, "feedback": "It is frozen.",
    "hint": "What is W?", "explanation": "Only A and B learn.", "source": "LoRA, section 4",
}  # fmt: skip


@pytest.fixture
def banks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home) -> Path:
    """Register the kind, and return a folder with a bank of one such question."""
    monkeypatch.setitem(KINDS, "true-or-false", TrueOrFalse)
    folder = tmp_path / "banks"
    folder.mkdir()
    monkeypatch.setenv("LABS_QUIZZES", str(folder))
    write(folder)
    return folder


def write(folder: Path, **changes: Any) -> Path:
    content = {"lesson": "09", "title": "T", "objectives": {"o": "O"},
               "questions": [{**FIELDS, **changes}]}  # fmt: skip
    path = folder / "09_new.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_new_kind_is_read_checked_and_graded(banks):
    path = write(banks)
    assert check_banks([path])[1] == []
    (question,) = load_banks()["09"].questions
    assert grade(question, Response(question.id, right_answer(question))).is_correct
    assert grade(question, Response(question.id, "a")) == Outcome(INCORRECT, "It is frozen.")
    assert grade(question, Response(question.id, ...)).status == "not attempted"
    assert solved_source('ask("09.frozen")') == "ask(\"09.frozen\").submit('b')"


def test_a_new_kind_brings_its_own_rules(banks):
    for changes, message in (
        ({"prompt": "LoRA?"}, "09.frozen: a statement ends with a full stop"),
        ({"truth": "no"}, "09.frozen: truth: 'no' is not legal"),
        ({"kind": "true-or-fals"}, "did you mean 'true-or-false'?"),
    ):
        problems = check_banks([write(banks, **changes)])[1]
        assert any(message in str(problem) for problem in problems), problems


def test_a_new_kind_is_exported_to_every_format(banks, tmp_path):
    own = list(load_banks().values())
    for form in WRITERS:
        assert left_out(own, form) == []
        assert export_banks(own, form, tmp_path / form) == 1
    with (tmp_path / "csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["kind"], row["options"], row["answer"]) == (
        "true-or-false", "a) True\nb) False", "b",
    )  # fmt: skip
    (imported,) = moodle_reader.read(tmp_path / "moodle")
    assert imported.kind == "multichoice"
    assert imported.fractions == [0, 1]
    with zipfile.ZipFile(tmp_path / "qti") as archive:
        assert any(b"multiple_choice_question" in archive.read(n) for n in archive.namelist())


def test_a_new_kind_has_a_card(banks):
    card = ask("09.frozen")
    assert card.text.splitlines() == [
        "Question 09.frozen", "LoRA trains the whole matrix.", "a) True", "b) False",
        'Is it true? From code: ask("09.frozen").submit("true", confidence="sure"); '
        "confidence may be left out",
    ]  # fmt: skip
    (radio,) = card._inputs
    radio.value = "a"
    card._submit.click()
    assert "It is frozen." in card._feedback.value
    assert card.submit("b").look == "correct"
    assert ask("09.frozen")._typed() == "b"


def test_without_its_line_in_the_registry_a_kind_is_unknown(banks, monkeypatch):
    monkeypatch.delitem(KINDS, "true-or-false")
    with pytest.raises(LabError, match="kind: 'true-or-false' is not one of single, multiple"):
        load_banks()


# The registry, and who knows what stands in it


def concrete_kinds() -> dict[str, type[Question]]:
    """Return the name of each class of question that could be instantiated → the class."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}.")
    ]
    classes = [each for module in modules for each in inspect.getmembers(module, inspect.isclass)]
    return {
        name: each
        for name, each in classes
        if issubclass(each, Question) and not inspect.isabstract(each)
    }


def test_the_registry_holds_every_kind_under_its_own_word():
    assert set(KINDS.values()) == set(concrete_kinds().values())
    for word, kind in KINDS.items():
        assert get_args(kind.model_fields["kind"].annotation) == (word,)


def names_in(path: Path) -> set[str]:
    """Return every name that a module uses, imports or takes from another."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.add(node.name)
    return names


def test_nothing_outside_of_the_kinds_names_one():
    classes = set(concrete_kinds())
    assert len(classes) >= 7
    folder = ASSESSMENT / "kinds"
    for path in ROOM.rglob("*.py"):
        if folder not in path.parents:
            assert not classes & names_in(path), path.relative_to(ROOM)


@pytest.mark.parametrize(
    "path",
    [ASSESSMENT / "grading.py", ASSESSMENT / "lint.py", ASSESSMENT / "show.py",
     *(ASSESSMENT / "export").glob("*.py"), *(ROOM / "widgets").glob("question_*.py")],
    ids=lambda path: path.name,
)  # fmt: skip
def test_nothing_branches_on_the_word_of_a_kind(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        asked = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        asked += [node.subject] if isinstance(node, ast.Match) else []
        asked += [node.slice] if isinstance(node, ast.Subscript) else []
        kinds_asked = [each for each in asked if getattr(each, "attr", None) == "kind"]
        assert not kinds_asked, f"line {node.lineno}"  # pyright: ignore[reportAttributeAccessIssue]


# Grading and exercises import one way


ONE_WAY = [
    ASSESSMENT / f"{name}.py"
    for name in ("outcomes", "letters", "interactions", "questions", "grading", "notebook")
]


@pytest.mark.parametrize(
    "path",
    [*ONE_WAY, ASSESSMENT / "exercises" / "base.py", *(ASSESSMENT / "kinds").glob("*.py")],
    ids=lambda path: path.name,
)
def test_no_import_is_put_off_to_break_a_circle(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    for function in functions:
        for node in ast.walk(function):
            module = node.module if isinstance(node, ast.ImportFrom) else ""
            assert not (module or "").startswith("labs_lib.assessment"), function.name


def test_outcomes_stand_at_the_bottom_and_exercises_know_no_question():
    program = """
import json, sys
import labs_lib.assessment.{name}
print(json.dumps([each for each in sys.modules if each.startswith("labs_lib.assessment.")]))
"""

    def loaded_by(name: str) -> set[str]:
        run = subprocess.run(
            [sys.executable, "-c", program.format(name=name)], capture_output=True, check=True
        )
        return {each.removeprefix("labs_lib.assessment.") for each in json.loads(run.stdout)}

    assert loaded_by("outcomes") == {"outcomes"}
    assert not {"questions", "grading", "kinds", "notebook"} & loaded_by("exercises.base")
    assert not {"exercises", "kinds", "notebook"} & loaded_by("questions")
    assert not {"exercises", "kinds", "notebook"} & loaded_by("grading")

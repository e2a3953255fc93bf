"""Reading question banks, one a lesson: each mistake is told with its file and line.

The course's own are `quizzes/NN_slug/questions.yaml`; a folder of banks alone, `NN_slug.yaml`, does
as well.
"""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import BaseModel, Field, ValidationError

from labs_lib.assessment.kinds import KINDS
from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.questions import Question
from labs_lib.assessment.records import Lesson, Record, Slug, Text
from labs_lib.errors import LabError, choice_error, nearest, problem_line, shorten
from labs_lib.paths import BANK, quizzes_dir
from labs_lib.texts import UnreadableError, read_bytes
from labs_lib.yamls import NotYamlError, compose

LARGEST_BYTES = 5 * 2**20


class Header(Record):
    """The top of a bank: which lesson, and what a student will be able to do after it."""

    lesson: Lesson
    title: Text
    objectives: Annotated[dict[Slug, Text], Field(min_length=1, max_length=30)]
    questions: Annotated[tuple[Any, ...], Field(min_length=1, max_length=500)]


@dataclass(frozen=True)
class Bank:
    """A lesson's questions; `sha256` tells one version of the bank from another."""

    path: Path
    lesson: str
    title: str
    objectives: Mapping[str, str]
    questions: tuple[Question, ...]
    sha256: str
    lines: Mapping[str, int] = field(default_factory=dict[str, int], repr=False)

    @property
    def name(self) -> str:
        """Return what people call the file that the bank was read from."""
        return bank_name(self.path)

    def question(self, question_id: str) -> Question:
        """Return the question with this id; LabError names the nearest one otherwise."""
        for question in self.questions:
            if question.id == question_id:
                return question
        ids = [question.id for question in self.questions]
        raise choice_error("question", question_id, ids)


@dataclass(frozen=True)
class Problem:
    """Something wrong in a bank, where a person can find it."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{bank_name(self.path)}:{self.line}: {self.message}"


def banks_folder() -> Path:
    """Return the folder of the banks: `LABS_QUIZZES`, or the course's own."""
    return quizzes_dir()


def bank_name(path: Path) -> str:
    """Return what people call a bank: "05_qlora/questions.yaml", or the name of a lone file."""
    return f"{path.parent.name}/{path.name}" if path.name == BANK else path.name


def bank_files(folder: Path | None = None) -> list[Path]:
    """Return the banks in a folder and in its lessons' folders, in the order of the lessons."""
    folder = folder or banks_folder()
    if not folder.is_dir():
        raise LabError(f"banks: no folder {folder}; LABS_QUIZZES names another one")
    paths = [*folder.glob("*.yaml"), *folder.glob(f"*/{BANK}")]
    visible = (path for path in paths if not path.relative_to(folder).parts[0].startswith("."))
    return sorted(visible, key=lambda path: bank_name(path).removesuffix(f"/{BANK}"))


def load_bank(path: Path) -> Bank:
    """Read one bank; LabError with file and line for the first thing wrong in it."""
    bank, problems = read_bank(path)
    if bank is None or problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise LabError(f"{problems[0]}{more}")
    return bank


def load_banks(folder: Path | None = None) -> dict[str, Bank]:
    """Return lesson → bank for every bank in a folder.

    A file that has not changed is not read again.
    """
    banks: dict[str, Bank] = {}
    for path in bank_files(folder):
        stat = path.stat()
        bank = _cached(path, stat.st_mtime_ns, stat.st_size)
        if bank.lesson in banks:
            other = banks[bank.lesson].name
            raise LabError(f"{bank.name}: lesson {bank.lesson} already has {other}")
        banks[bank.lesson] = bank
    return banks


def find_question(question_id: str) -> tuple[Bank, Question]:
    """Return the question with this id and its bank; LabError names the nearest id otherwise."""
    banks = load_banks()
    bank = banks.get(lesson_id(str(question_id)))
    if bank is not None:
        for question in bank.questions:
            if question.id == question_id:
                return bank, question
    ids = [question.id for bank in banks.values() for question in bank.questions]
    message = f"question: no {shorten(str(question_id))} in the banks{nearest(question_id, ids)}"
    raise LabError(message)


@lru_cache(maxsize=64)
def _cached(path: Path, _modified_ns: int, _size: int) -> Bank:
    return load_bank(path)


def read_bank(path: Path) -> tuple[Bank | None, list[Problem]]:
    """Return the bank and everything wrong with its form.

    The bank is None if its header cannot be read; questions that cannot be read are left out.
    """
    try:
        raw = read_bytes(path, LARGEST_BYTES)
        text = raw.decode("utf-8-sig")
    except UnreadableError as error:
        return None, [Problem(path, 1, f"cannot be read: {error.reason}")]
    except UnicodeDecodeError:
        return None, [Problem(path, 1, "is not UTF-8 text")]
    try:
        # Without aliases, so that every part has a line of its own.
        content, node = compose(text, aliases=False)
    except NotYamlError as error:
        return None, [Problem(path, error.line, f"not YAML: {error.reason}")]
    if not isinstance(content, dict):
        legal = ", ".join(Header.model_fields)
        return None, [Problem(path, 1, f"a bank is a mapping of {legal}")]
    try:
        header = Header.model_validate(content)
    except ValidationError as error:
        return None, _problems(path, node, (), error, Header)
    questions: list[Question] = []
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    for index, entry in enumerate(header.questions):
        at = ("questions", index)
        line = _line(node, at)
        if not isinstance(entry, dict):
            problems.append(Problem(path, line, f"question {index + 1} is not a mapping"))
            continue
        fields = cast("dict[Any, Any]", entry)
        kind = fields.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            error = choice_error("kind", kind, KINDS) if kind else "kind: missing"
            problems.append(Problem(path, _line(node, (*at, "kind")), f"{_named(fields)}{error}"))
            continue
        try:
            question = KINDS[kind].model_validate(fields)
        except ValidationError as error:
            problems += _problems(path, node, at, error, KINDS[kind], _named(fields))
            continue
        questions.append(question)
        lines.setdefault(question.id, line)
        where = (_line(node, (*at, "id")), _line(node, (*at, "objective")))
        problems += _belongs(path, where, question, header, questions[:-1])
    bank = Bank(
        path=path,
        lesson=header.lesson,
        title=header.title,
        objectives=types.MappingProxyType(header.objectives),
        questions=tuple(questions),
        sha256=hashlib.sha256(raw.replace(b"\r\n", b"\n")).hexdigest(),
        lines=types.MappingProxyType(lines),
    )
    return bank, problems


def _belongs(
    path: Path, where: tuple[int, int], question: Question, header: Header, before: list[Question]
) -> Iterator[Problem]:
    """Yield what is wrong with a question in this bank; `where` its id and objective stand."""
    line, objective_line = where
    if question.lesson != header.lesson:
        reason = f"id must start with the lesson's id, {header.lesson}."
        yield Problem(path, line, f"{question.id}: {reason}")
    if any(other.id == question.id for other in before):
        yield Problem(path, line, f"{question.id}: this id is used twice")
    if question.objective not in header.objectives:
        wrong = choice_error("objective", question.objective, header.objectives)
        yield Problem(path, objective_line, f"{question.id}: {wrong}")


def _problems(
    path: Path,
    node: yaml.Node | None,
    at: tuple[Any, ...],
    error: ValidationError,
    model: type[BaseModel],
    name: str = "",
) -> list[Problem]:
    problems: list[Problem] = []
    for problem in error.errors(include_url=False):
        loc = problem["loc"]
        owner = _model_at(model, loc[:-1]) or model
        line = _line(node, (*at, *loc))
        problems.append(Problem(path, line, f"{name}{problem_line(problem, owner)}"))
    return problems


def _model_at(annotation: Any, loc: tuple[Any, ...]) -> type[BaseModel] | None:
    """Return the model whose field stands at `loc` below `annotation`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            return annotation
        known = annotation.model_fields.get(str(loc[0]))
        return _model_at(known.annotation, loc[1:]) if known else None
    inner = [_model_at(part, loc) for part in typing.get_args(annotation)]
    deeper = [_model_at(part, loc[1:]) for part in typing.get_args(annotation) if loc]
    return next((model for model in [*deeper, *inner] if model), None)


def _named(entry: dict[Any, Any]) -> str:
    known = entry.get("id")
    return f"{known}: " if isinstance(known, str) and len(known) < 80 else ""


def _line(node: yaml.Node | None, loc: tuple[Any, ...]) -> int:
    """Return the line of the deepest part of `loc` that stands in the file."""
    if node is None:
        return 1
    at = node
    for part in loc:
        node, below = at, None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    below = value
                    line_of = key
                    if isinstance(value, yaml.ScalarNode):
                        below = line_of
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            below = node.value[part] if part < len(node.value) else None
        if below is None:
            break
        at = below
    return at.start_mark.line + 1

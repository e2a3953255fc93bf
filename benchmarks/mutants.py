"""Hand-ins mutated by a seeded program, each with the grades that it must get and no others."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mutant_archives import DAMAGES, handed
from benchmarks.mutant_cells import ATTACKS, Attack, Reach, reaching
from labs_lib.assessment import find_exercise
from labs_lib.assessment.grading import right_answer
from labs_lib.assessment.questions import Question
from labs_lib.classroom.items import EXERCISE
from labs_lib.classroom.records import Release

FAMILIES = ("cells", "answers", "attacks", "reaches", "archives", "names")
# Of each family so many in a hundred.
SHARES = {"cells": 22, "answers": 18, "attacks": 12, "reaches": 24, "archives": 16, "names": 8}
_WRONG = {
    "00.trained-share": "share_percent = 3",
    "02.adapter-size": "size = 1",
    "02.count-qkv": "def count_qkv(*a):\n    return 1",
    "02.prepare": "def prepare(base, rank):\n    return 1, 2",
    "02.merge": "def merge(W, bias, A, B, alpha):\n    return W, bias",
    "02.lora-forward": "def lora_forward(x, W, bias, A, B, alpha, drop):\n    return x @ W.T",
}
_STYLES = ("# my own words\n{}", "{}\n\n\n# done", "pass\n{}", "spare = 0\n{}\ndel spare")


@dataclass
class Mutant:
    """A file of a class's, and what must become of it.

    `expected` holds the items whose outcome is not "correct", and `word` what their outcomes must
    say; `graded` is False where the file is nobody's hand-in; `remark` is what must be said of its
    student.
    """

    student: str
    family: str
    name: str
    caught_by: str
    file: str
    content: bytes = field(repr=False)
    expected: dict[str, str] = field(default_factory=dict)
    graded: bool = True
    remark: str = ""
    word: str = ""


@dataclass(frozen=True)
class Course:
    """What mutants are made from: a release, its questions, and the ways to look out."""

    release: Release
    questions: Mapping[str, Question]
    reaches: tuple[Reach, ...]

    @property
    def exercises(self) -> list[str]:
        """Return the ids of the release's exercises."""
        return [item.id for item in self.release.items if item.kind == EXERCISE]

    def perfect(self, student: str, seed: int) -> dict[str, Any]:
        """Return a hand-in in which all is right."""
        cells = [{"lesson": lesson, "number": 0, "source": "import torch\nfrom math import pi"}
                 for lesson in self.release.lessons]  # fmt: skip
        for name in self.exercises:
            source = f"# exercise: {name}\n{find_exercise(name).solution}"
            cells.append({"lesson": name[:2], "number": len(cells), "source": source})
        responses = [
            {"item": name, "response": right_answer(question, seed),
             "seed": seed if question.depends_on_seed else 0,
             "time": "2026-09-01T10:00:00+00:00", "confidence": "sure"}
            for name, question in self.questions.items()
        ]  # fmt: skip
        return {"release": self.release.id, "student": student, "name": f"Student {student}",
                "seed": seed, "responses": responses, "cells": cells}  # fmt: skip


def mutants(course: Course, count: int, seed: int = 18) -> Iterator[Mutant]:
    """Yield so many mutants; the same seed gives the same ones. Each kind comes in turn."""
    turns = {family: 0 for family in FAMILIES}
    for number in range(count):
        student = f"s{number:04}"
        chance = random.Random(f"{seed}:{student}")
        family = chance.choices(FAMILIES, [SHARES[each] for each in FAMILIES])[0]
        content = course.perfect(student, 1000 + number)
        turn, turns[family] = turns[family], turns[family] + 1
        yield _MAKERS[family](course, student, content, chance, turn)


def _cells(
    course: Course, student: str, content: dict[str, Any], chance: random.Random, turn: int
) -> Mutant:
    """Delete, double, reorder, retype or restyle cells."""
    cells = content["cells"]
    place = chance.randrange(len(course.release.lessons), len(cells))
    name = cells[place]["source"].split()[2]
    kinds = (*_ARRANGED, *_REWRITTEN)
    kind = kinds[turn % len(kinds)]
    if kind in _ARRANGED:
        outcome = _arranged(kind, cells, place, chance)
    else:
        outcome = _rewritten(kind, cells[place], name, chance)
    expected = {name: outcome} if outcome else {}
    if kind == "all deleted":
        expected = dict.fromkeys(course.exercises, "not attempted")
    return _mutant(student, "cells", kind, "judging anew", content, expected)


_ARRANGED = ("deleted", "all deleted", "doubled", "wrong one after it", "wrong one before it",
             "starter after it", "reordered", "retyped")  # fmt: skip
_REWRITTEN = ("marker lost", "another's marker", "restyled", "starter", "wrong",
              "marker of no exercise")  # fmt: skip


def _arranged(kind: str, cells: list[dict[str, Any]], place: int, chance: random.Random) -> str:
    """Change which cells there are; return the outcome of the exercise at `place` if not right."""
    cell = cells[place]
    name = cell["source"].split()[2]
    wrong = {**cell, "source": f"# exercise: {name}\n{_WRONG[name]}"}
    match kind:
        case "deleted" | "retyped":  # a cell of text is no code cell, and is not handed in
            del cells[place]
            return "not attempted"
        case "all deleted":
            cells.clear()
        case "doubled":
            cells.insert(chance.randrange(place, len(cells)) + 1, copy.deepcopy(cell))
        case "wrong one after it":
            cells.append(wrong)
            return "wrong"
        case "wrong one before it":
            cells.insert(0, wrong)
        case "starter after it":
            source = f"# exercise: {name}\n{find_exercise(name).starter}"
            cells.append({**cell, "source": source})
        case _:
            chance.shuffle(cells)
    return ""


def _rewritten(kind: str, cell: dict[str, Any], name: str, chance: random.Random) -> str:
    """Change what a cell holds; return the outcome of its exercise if not right."""
    marker, _, code = cell["source"].partition("\n")
    match kind:
        case "marker lost":
            cell["source"] = code
            return "not attempted"
        case "another's marker" | "marker of no exercise":
            other = "00.trained-share" if kind == "another's marker" else "02.nowhere"
            cell |= {"source": f"# exercise: {other}\n{code}", "lesson": "02"}
            return "not attempted"
        case "restyled":
            cell["source"] = f"{marker}\n{chance.choice(_STYLES).format(code)}"
            return ""
        case "starter":
            cell["source"] = f"{marker}\n{find_exercise(name).starter}"
            return "not attempted"
        case _:
            cell["source"] = f"{marker}\n{_WRONG[name]}"
            return "wrong"


def _answers(
    course: Course, student: str, content: dict[str, Any], chance: random.Random, turn: int
) -> Mutant:
    """Change, forge, repeat or drop responses."""
    kinds = (*_ONE_CHANGED, *_MANY_CHANGED)
    kind = kinds[turn % len(kinds)]
    if kind in _ONE_CHANGED:
        one = chance.choice(content["responses"])
        outcome = _one_changed(kind, one, course.questions[one["item"]], chance)
        expected = {one["item"]: outcome}
    else:
        expected = _many_changed(kind, course, content, chance)
    return _mutant(student, "answers", kind, "judging anew", content, expected)


_ONE_CHANGED = ("wrong", "forged help", "blank", "an object", "a long text")
_MANY_CHANGED = ("wrong then right", "right then wrong", "dropped", "unknown item", "other seed",
                 "all wrong and sure", "unreadable then right")  # fmt: skip


def _one_changed(kind: str, one: dict[str, Any], question: Question, chance: random.Random) -> str:
    """Change one response; return its outcome."""
    match kind:
        case "blank":
            one["response"] = chance.choice((None, "", "   ", []))
            return "not attempted"
        case "an object":
            one["response"] = {"class": "Correct", "__eq__": True, "outcome": "correct"}
            return "error"
        case "a long text":
            one["response"] = "a" * 15_000
            return "error"
        case _:
            one["response"] = _wrong(question, one["response"])
            if kind == "forged help":
                one |= {"hints": 0, "confidence": "sure", "time": "9999-99-99"}
            return "wrong"


def _many_changed(
    kind: str, course: Course, content: dict[str, Any], chance: random.Random
) -> dict[str, str]:
    """Add, drop or change several responses; return what is not right then."""
    responses = content["responses"]
    place = chance.randrange(len(responses))
    one = responses[place]
    wrong = {**one, "response": _wrong(course.questions[one["item"]], one["response"])}
    match kind:
        case "wrong then right":
            responses.insert(place, wrong)
        case "right then wrong":
            responses.append(wrong)
            return {one["item"]: "wrong"}
        case "dropped":
            del responses[place]
            return {one["item"]: "not attempted"}
        case "unknown item":
            responses.append({**one, "item": "02.no.such"})
        case "other seed":
            content["seed"] += 1
            return {name: "error" for name, q in course.questions.items() if q.depends_on_seed}
        case "all wrong and sure":
            for each in responses:
                each["response"] = "zzz"
            return dict.fromkeys(course.questions, "error")
        case _:
            responses.insert(place, {**one, "response": {"a": [1]}})
    return {}


def _wrong(question: Question, answer: Any) -> Any:
    """Return an answer of the same form that is wrong."""
    if question.kind == "ordering":
        return ",".join(reversed(answer.split(",")))
    if question.kind in ("single", "multiple"):
        return "b" if "b" not in json.dumps(answer) else "a" if answer != "a" else "c"
    return -12345.678


def _attacks(
    course: Course, student: str, content: dict[str, Any], chance: random.Random, turn: int
) -> Mutant:
    attack: Attack = ATTACKS[turn % len(ATTACKS)]
    name, cell = _exercise_cell(course, content, chance)
    cell["source"] = f"# exercise: {name}\n{attack.code}\n{find_exercise(name).solution}"
    expected = {name: "error"}
    mutant = _mutant(student, "attacks", attack.name, attack.caught_by, content, expected)
    mutant.word = attack.note
    return mutant


def _reaches(
    course: Course, student: str, content: dict[str, Any], chance: random.Random, turn: int
) -> Mutant:
    reach = course.reaches[turn % len(course.reaches)]
    name, cell = _exercise_cell(course, content, chance)
    code = reaching(reach, find_exercise(name).solution, _WRONG[name])
    cell["source"] = f"# exercise: {name}\n{code}"
    return _mutant(student, "reaches", reach.name, reach.caught_by, content, {})


def _archives(
    course: Course, student: str, content: dict[str, Any], chance: random.Random, turn: int
) -> Mutant:
    damage = DAMAGES[turn % len(DAMAGES)]
    mutant = _mutant(student, "archives", damage.name, damage.caught_by, content, {})
    mutant.content = damage.damaged(content, chance)
    mutant.graded = damage.graded
    if not damage.graded:
        mutant.expected = _nothing(course)
    return mutant


def _names(
    course: Course, student: str, content: dict[str, Any], chance: random.Random, turn: int
) -> Mutant:
    """Hand in another's work: the file renamed, or the name in it changed too."""
    del chance
    other = f"t{student[1:]}"
    kind = ("renamed", "renamed and relabeled", "signs for another")[turn % 3]
    if kind == "renamed and relabeled":
        # The same work comes from the other student as well, as `others` makes it.
        mutant = _mutant(student, "names", kind, "works compared", content, {})
        mutant.remark = "the same answers and cells as"
        return mutant
    content["student"] = other
    mutant = _mutant(student, "names", kind, "sender and student compared", content, {})
    mutant.graded, mutant.expected = False, _nothing(course)
    return mutant


def others(course: Course, made: list[Mutant]) -> list[Mutant]:
    """Return the hand-ins whose copies were relabeled: those of the students who did the work."""
    found: list[Mutant] = []
    for mutant in made:
        if mutant.name == "renamed and relabeled":
            student = f"t{mutant.student[1:]}"
            content = course.perfect(student, 1000 + int(mutant.student[1:]))
            original = _mutant(student, "names", "the original", "works compared", content, {})
            original.remark = mutant.remark
            found.append(original)
    return found


def write(made: list[Mutant], folder: Path) -> None:
    """Write the files of mutants."""
    folder.mkdir(parents=True, exist_ok=True)
    for mutant in made:
        (folder / mutant.file).write_bytes(mutant.content)


def _mutant(
    student: str, family: str, name: str, caught_by: str, content: Any, expected: dict[str, str]
) -> Mutant:
    file = f"hand-in-{student}.zip"
    return Mutant(student, family, name, caught_by, file, handed(content), expected)


def _nothing(course: Course) -> dict[str, str]:
    return {item.id: "not attempted" for item in course.release.items}


def _exercise_cell(
    course: Course, content: dict[str, Any], chance: random.Random
) -> tuple[str, dict[str, Any]]:
    name = chance.choice(course.exercises)
    return name, next(c for c in content["cells"] if f"exercise: {name}\n" in c["source"])


_MAKERS = {
    "cells": _cells, "answers": _answers, "attacks": _attacks, "reaches": _reaches,
    "archives": _archives, "names": _names,
}  # fmt: skip

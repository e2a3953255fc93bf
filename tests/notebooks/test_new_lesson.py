"""A lesson is its source and its folder: the one that AUTHORING.md shows, added, taken, removed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path("labs_lib") / "assessment" / "AUTHORING.md"
FILE = re.compile(r"^`(?P<path>[\w./-]+)`\n\n```\w+\n(?P<text>.*?)^```$", re.M | re.DOTALL)
COMMANDS = re.compile(r"^Then, in this order:\n\n```\n(?P<lines>.*?)\n```$", re.M | re.DOTALL)
# What a course's folder gathers beside the course, and what no command of the page reads.
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "images")
GATHERED = {"build", "dist", "runs", "test-results", "workbook"}
# The table of lessons is made from their sources, and what cells took is recorded; all else stays.
RENEWED = {"README.md", "benchmarks/results/lesson-seconds.json"}


@pytest.fixture
def course(root: Path, tmp_path: Path) -> Path:
    """A copy of the course, which finds itself and not the original."""
    folder = tmp_path / "course"
    shutil.copytree(
        root, folder,
        ignore=lambda at, names: NOT_COPIED(at, names) | (GATHERED if Path(at) == root else set()),
    )  # fmt: skip
    return folder


def steps_of(command: str) -> list[list[str]]:
    """Return what Python is to run for one of the page's commands, in this environment."""
    program, *words = shlex.split(command)
    if program == "labs":
        return [["-m", "labs_lib", *words]]
    if words[:2] == ["course.py", "notebooks"]:
        # What the launcher runs, without a new environment for the copy.
        return [["-m", "tools.notebooks", *words[2:]], ["-m", "tools.readme"]]
    assert words[:2] == ["-m", "pytest"], command
    return [[*words, "-q", "-p", "no:cacheprovider"]]


def run(course: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run this Python, with its packages, in the copy."""
    environment = {**os.environ, "PYTHONPATH": str(course), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *words], cwd=course, env=environment, capture_output=True, text=True
    )


def contents(course: Path) -> dict[str, bytes]:
    return {
        file.relative_to(course).as_posix(): file.read_bytes()
        for file in sorted(course.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_lesson_of_the_authors_page_is_added_by_its_files_alone(course: Path):
    page = (course / PAGE).read_text(encoding="utf-8")
    before = contents(course)
    files = {match["path"]: match["text"] for match in FILE.finditer(page)}
    for path, text in files.items():
        (course / path).parent.mkdir(parents=True, exist_ok=True)
        (course / path).write_text(text, encoding="utf-8")
    commands = COMMANDS.search(page)
    assert commands is not None
    check, *others = commands["lines"].splitlines()
    (words,) = steps_of(check)
    checked = run(course, words)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout == "97_one_adapter/questions.yaml: 1 questions\n0 problems\n"
    for step in [step for command in others for step in steps_of(command)]:
        done = run(course, step)
        assert done.returncode == 0, f"{step}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    after = contents(course)
    assert set(after) - set(before) == {*files, "notebooks/97_one_adapter.ipynb"}
    assert {path for path in before if after[path] != before[path]} == RENEWED
    assert b"97 One adapter" in after["README.md"]
    (course / "notebooks" / "source" / "97_one_adapter.py").unlink()
    (course / "notebooks" / "97_one_adapter.ipynb").unlink()
    shutil.rmtree(course / "quizzes" / "97_one_adapter")
    gone = run(course, words)
    assert gone.returncode == 2
    assert "no file 97_one_adapter" in gone.stderr
    assert run(course, ["-m", "tools.readme"]).returncode == 0
    assert contents(course) == before

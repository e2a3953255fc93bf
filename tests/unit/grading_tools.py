"""nbgrader and otter-grader beside the course, and a small lesson for them to grade."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from tools import notebooks

ROOT = Path(__file__).resolve().parents[2]
NAME = "97_one_adapter"
SOURCE = """\
# %% [markdown]
# # 97 · One adapter

# %%
from pathlib import Path

from labs_lib.assessment import check
from labs_lib.widgets import ask

# %% tags=["trains"]
trained = Path("trained.txt")
trained.write_text("hours later")

# %%
Path("looked-at.txt").write_text(trained.read_text())

# %%
# exercise: 97.adapter-size
size = ...  # of lora_A and lora_B together

# %%
check("97.adapter-size", size)

# %%
ask("97.adapter.scaling")

# %%
ask("97.adapter.file")
"""
BANK = """\
lesson: "97"
title: One adapter
objectives: {count: Count.}
questions:
  - id: 97.adapter.scaling
    kind: single
    objective: count
    difficulty: 1
    prompt: What does PEFT multiply B·A by?
    options:
      - {text: "`lora_alpha`", feedback: It is divided first., misconception: alpha-is-scaling}
      - {text: "`lora_alpha / r`", correct: true}
    hint: The ratio.
    explanation: Yes.
    source: Computed
  - id: 97.adapter.file
    kind: parameterised
    objective: count
    difficulty: 2
    prompt: How many MB are {millions} million float32 parameters?
    unit: MB
    tolerance: {relative: 0.02}
    numbers: {millions: {choices: [2, 5, 20, 40]}}
    formula: 4 * millions
    hint: Four bytes.
    explanation: Four bytes each.
    source: Computed
"""
EXERCISES = '''\
"""Lesson 97."""

from labs_lib.assessment.exercises.base import Exercise, Property, ValueCheck

EXERCISES = [
    Exercise(
        id="97.adapter-size",
        title="How large is one adapter?",
        objective="count",
        task="Set `size`.",
        answer="size",
        hints=("Two matrices.",),
        check=ValueCheck((Property(lambda size: size == 6144, "That is not it."),)),
    )
]
'''


def small_course(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a course of one lesson, 97, which the current process and its children then take."""
    source = folder / "notebooks" / "source" / f"{NAME}.py"
    source.parent.mkdir(parents=True)
    source.write_text(SOURCE, encoding="utf-8")
    (folder / "course.py").touch()
    notebook = notebooks.built_from(source)
    notebooks.notebook_of(source).write_text(nbformat.writes(notebook), encoding="utf-8")
    code = folder / "quizzes" / NAME / "code" / "adapter-size"
    code.mkdir(parents=True)
    (code / "starter.py").write_text("size = ...  # of lora_A and lora_B together\n")
    (code / "solution.py").write_text("size = 8 * (576 + 192)\n")
    (code.parents[1] / "questions.yaml").write_text(BANK, encoding="utf-8")
    (code.parents[1] / "exercises.py").write_text(EXERCISES, encoding="utf-8")
    monkeypatch.setenv("LABS_QUIZZES", str(folder / "quizzes"))
    monkeypatch.chdir(folder)
    return folder


def environment_with(package: str, requirement: str, home: Path) -> Path:
    """Return the folder of an environment's programs that has the course and a package.

    It is this one, or one below `home` that is made once; skips where it cannot be made.
    """
    if importlib.util.find_spec(package):
        return Path(sys.executable).parent
    made = home / package
    programs = made / ("Scripts" if os.name == "nt" else "bin")
    if (made / "complete").exists():
        return programs
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(made)], check=True)
    python = programs / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    here = sysconfig.get_path("purelib")
    # What this environment has, editable installs too, is there as well.
    line = f"import site; site.addsitedir({here!r})\n"
    Path(packages, "course.pth").write_text(line, encoding="utf-8")
    install = [str(python), "-m", "pip", "install", "--quiet", requirement]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{requirement} cannot be installed here: {done.stderr.strip()[-200:]}")
    # nbgrader calls this program by its name, and it must run with the Python that has nbgrader.
    again = [*install[:-1], "--ignore-installed", "--no-deps", "alembic"]
    subprocess.run(again, capture_output=True, check=True)
    (made / "complete").touch()
    return programs


def run_in(folder: Path, programs: Path, *command: str) -> str:
    """Run one of an environment's programs in a folder; return what it said, if it ended well."""
    own = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter-config"),
        "JUPYTER_DATA_DIR": str(folder / ".jupyter-data"),
        "IPYTHONDIR": str(folder / ".ipython"),
    }
    done = subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout

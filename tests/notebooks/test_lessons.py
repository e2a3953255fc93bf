"""Every lesson runs from its first cell to its last, as a student gets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs_lib import notebooks

CELL_SECONDS = 600


@pytest.fixture
def runs_lesson() -> None:
    """Marks the tests that execute a lesson: slow where the lesson trains."""


def nbval(notebook: Path, home: Path) -> None:
    """Run a notebook cell by cell; cells with `# NBVAL_CHECK_OUTPUT` must give what is stored."""
    command = [
        sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-kernel-name=python3", "-q",
        f"--nbval-cell-timeout={CELL_SECONDS}", "-p", "no:cacheprovider", "-p", "no:playwright",
        "-o", "addopts=", "-o", "timeout=0", str(notebook),
    ]  # fmt: skip
    environment = {**os.environ, **notebooks.QUIET, "LABS_HOME": str(home)}
    result = subprocess.run(
        command, cwd=notebooks.FOLDER, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


@pytest.mark.timeout(1800)
def test_lesson_runs_as_given(lesson: Path, runs_lesson: None):
    with notebooks.scratch_home() as home:
        nbval(lesson, home)

"""Every lesson runs from its first cell to its last, as a student gets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from grouping import group_with

from labs_lib.assessment.progress import read_events
from labs_lib.training import Run, kept
from tools import notebooks

CAPTAIN = pytest.mark.xdist_group(group_with("sea-captain"))
CELL_SECONDS = notebooks.CELL_SECONDS


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


@pytest.mark.seconds
@pytest.mark.timeout(1800)
def test_lesson_runs_as_given_and_counts_nothing_as_attempted(
    lesson: Path, runs_lesson: None, student_home: Path
):
    nbval(lesson, student_home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(student_home))
        assert [event for event in read_events()[0] if event["event"] == "answer"] == []


@CAPTAIN
def test_side_by_side_a_lessons_passes_stay_with_one_worker(request: pytest.FixtureRequest):
    """An xdist that does not know the groups trains every run again, and says nothing."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("the tests run one at a time")
    assert request.node.nodeid.endswith("@" + group_with("sea-captain"))


@pytest.mark.slow
@CAPTAIN
def test_the_captain_has_his_voice_and_keeps_his_facts(student_home: Path):
    run = Run.load(student_home / "data" / "runs" / "sea-captain")
    assert run.before.rate("in_voice") == 0
    assert run.after.rate("in_voice") >= 0.9
    share_kept = kept(run.before, run.after, "fact_right")
    assert share_kept is not None
    assert share_kept >= 0.8


@pytest.mark.slow
@pytest.mark.xdist_group(group_with("structured-output"))
def test_structured_output_is_exactly_right_on_unseen_names(student_home: Path):
    run = Run.load(student_home / "data" / "runs" / "structured-output")
    assert len(run.after.prompts) == 40
    assert run.before.rate("exactly_right") < 0.1
    assert run.after.rate("exactly_right") > 0.85

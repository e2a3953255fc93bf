"""The checks of the course, and the programs that some of them need."""

from __future__ import annotations

import os
import subprocess

from tools.launcher import places
from tools.launcher.programs import child_environment

# Of the package's statements, in percent; what child processes run is not counted.
LEAST_COVERED = 90


# What the browser's and the hub's tests need: the variable that names it, and what brings it.
NEEDED = {"LABS_BROWSER": "labs_lib.browser", "LABS_PROXY": "tools.proxy"}


def bring(module: str) -> str | None:
    """Return a program for the tests, fetched where there is none; None where it can't be had.

    Standard error says what is fetched or missing.
    """
    done = subprocess.run(
        [str(places.venv_python()), "-m", module], cwd=places.ROOT, env=child_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8", check=False,
    )  # fmt: skip
    return None if done.returncode else done.stdout.strip()


def bring_walls() -> None:
    """Have the walls for students' code fetched; standard error says where they can't be had.

    The tests that need them are skipped then.
    """
    subprocess.run(
        [str(places.venv_python()), "-m", "labs_lib.classroom.walls.bringing"], cwd=places.ROOT,
        env=child_environment(), stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_parts(fast: bool) -> list[tuple[str, list[str]]]:
    """Return (name, arguments of Python) of each part.

    `fast` leaves out training, whatever takes seconds, the hub and the browser.
    """
    slow = ["-m", "not slow and not seconds"] if fast else []
    pytest = ["-m", "pytest", "-q", "--durations=5"]
    # Two at a time: more would ask for more memory than a laptop has.
    pair = ["-n", "2", "--dist", "loadgroup"] if (os.cpu_count() or 1) > 1 else []
    # As tests/unit/conftest.py sorts them, and not by the number of tests in a group.
    in_order = ["--no-loadscope-reorder"] if pair else []
    parts = [
        ("lint", ["-m", "ruff", "check", "."]),
        ("format", ["-m", "ruff", "format", "--check", "."]),
        ("types", ["-m", "pyright", "--pythonpath", str(places.venv_python())]),
        ("unit tests", [*pytest, *pair, *in_order, "tests/unit", *slow, *coverage_options(fast)]),
        # All of it is skipped where there is no CUDA, and says so.
        ("gpu", [*pytest, "tests/gpu", *slow]),
        ("notebooks", [*pytest, *pair, "tests/notebooks", *slow]),
    ]
    if not fast:
        # One at a time: how long three students take at once is measured.
        parts.append(("hub", [*pytest, "tests/hub"]))
        parts.append(("browser", [*pytest, "tests/browser"]))
    return parts


def coverage_options(fast: bool) -> list[str]:
    """Return what has pytest say at its end how much of `labs_lib` the tests ran.

    `fast` leaves too many out to be judged by it. Python 3.12 counts statements for a few percent
    of the time; an older one takes a third more, so `tests/unit/conftest.py` has it stop counting
    while a long test runs.
    """
    if fast:
        return []
    return ["--cov", "--cov-report=", f"--cov-fail-under={LEAST_COVERED}"]

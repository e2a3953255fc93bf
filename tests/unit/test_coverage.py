"""What the unit tests run is counted, and on an older Python not while a long test runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

CONFTEST = """\
import importlib.util, sys
spec = importlib.util.spec_from_file_location("of_the_course", {path!r})
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
pytest_runtest_protocol = shared.pytest_runtest_protocol
"""
COUNTED = """\
def by_a_fast_test():
    return 1

def by_a_slow_test():
    return 2

def by_the_last_test():
    return 3

def by_a_test_of_seconds(case):
    if case:
        return 4
    return 5
"""
TESTS = """\
import pytest, counted

def test_fast():
    counted.by_a_fast_test()

@pytest.mark.slow
def test_slow():
    counted.by_a_slow_test()

@pytest.mark.seconds
@pytest.mark.parametrize("case", [True, False])
def test_seconds(case):
    counted.by_a_test_of_seconds(case)

def test_last():
    counted.by_the_last_test()
"""


@pytest.mark.seconds
@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "worker"])
def test_counting_stops_for_long_tests_alone(root: Path, tmp_path: Path, workers: list[str]):
    conftest = CONFTEST.format(path=str(root / "tests" / "unit" / "conftest.py"))
    files = {"conftest.py": conftest, "counted.py": COUNTED, "test_counted.py": TESTS}
    files["pytest.ini"] = "[pytest]\nmarkers =\n slow\n seconds\npythonpath = .\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    variables = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--cov=counted", "--cov-report=", *workers],
        cwd=tmp_path, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    data = coverage.CoverageData(str(tmp_path / ".coverage"))
    data.read()
    bodies = {2, 5, 8, 12, 13}
    expected = bodies if sys.version_info >= (3, 12) else {2, 8, 12}
    assert set(data.lines(str(tmp_path / "counted.py")) or ()) & bodies == expected

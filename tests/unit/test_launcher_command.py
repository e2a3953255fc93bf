"""The launcher's command line: what it does when, what it says when something is in the way."""

from __future__ import annotations

import ast
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from launcher_stand_ins import one_line
from workbook_course import write_edition

from labs_lib import workbook
from tools.launcher import checks, places, programs, server, verbs
from tools.launcher.command_line import main, parse


def test_a_taken_port_is_told_with_a_free_one(
    set_up_steps: list[str], capsys: pytest.CaptureFixture[str]
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["start", "--no-browser", "--port", str(port)]) == 2
    complaint = one_line(capsys)
    assert f"port {port} is taken" in complaint
    assert server.port_is_free(int(complaint.split("--port ")[1].split(",")[0]))
    assert set_up_steps == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["lesson", "02", "--again", "--update"],
        ["strat"],
        ["start", "--port", "0"],
        ["start", "--port", "x"],
        ["setup", "--quick"],
        ["-x"],
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    one_line(capsys)


def test_start_is_the_default_verb():
    assert parse([]).run is verbs.start
    options = parse(["--no-browser", "--port", "9000"])
    assert (options.run, options.no_browser, options.port) == (verbs.start, True, 9000)


def test_fast_leaves_out_training_and_the_browser():
    names = [name for name, _ in checks.test_parts(fast=True)]
    assert names == ["lint", "format", "types", "unit tests", "gpu", "notebooks"]
    assert [name for name, _ in checks.test_parts(fast=False)] == [*names, "hub", "browser"]
    tested = [arguments for _, arguments in checks.test_parts(fast=True)[3:]]
    assert all("not slow and not seconds" in arguments for arguments in tested)


@pytest.mark.parametrize("fast", [True, False])
def test_statements_are_counted_where_all_tests_run(fast: bool):
    parts = dict(checks.test_parts(fast))
    assert ("--cov" in parts["unit tests"]) is not fast
    assert all("--cov" not in parts[name] for name in parts if name != "unit tests")


def test_an_old_python_is_told_in_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    source = (root / "course.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    monkeypatch.setattr(sys, "version_info", (3, 6, 15))
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(root / "course.py"))
    assert stopped.value.code == 2
    assert "this is Python 3.6; LoRA Lab needs Python 3.10 or newer" in one_line(capsys)


def test_the_launcher_imports_the_standard_library_alone(root: Path):
    launcher = root / "tools" / "launcher"
    names = set()
    for file in (root / "course.py", root / "tools" / "__init__.py", *launcher.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
    own = {name for name in names if name.startswith("tools.launcher")}
    assert {name.partition(".")[0] for name in names - own} <= sys.stdlib_module_names


def test_it_works_from_any_folder_and_however_python_was_told_to_look(root: Path, tmp_path: Path):
    link = tmp_path / "link.py"
    link.symlink_to(root / "course.py")
    (tmp_path / "tools").mkdir()  # another `tools` is none of the course's
    (tmp_path / "tools" / "__init__.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
    for options, script in (([], root / "course.py"), (["-I"], root / "course.py"), ([], link)):
        done = subprocess.run(
            [sys.executable, *options, str(script), "strat"], cwd=tmp_path, capture_output=True,
            text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "invalid choice: 'strat'" in done.stderr


def test_the_first_lesson_is_the_students_copy_of_the_first_by_name(course_folder: Path):
    assert places.first_lesson() == ""
    for name in ("10_last", "00_first", "00_first-Copy1"):
        write_edition(course_folder, name=name)
    sources = course_folder / "notebooks" / "source"
    (sources / "00_first-Copy1.py").unlink()  # somebody's own notebook
    (sources / "00_draft.py").touch()  # not executed yet
    assert places.first_lesson() == "workbook/00_first.ipynb"
    assert [each.name for each in workbook.lessons_of(course_folder)] == ["00_first", "10_last"]
    assert places.WORKBOOK == workbook.FOLDER


@pytest.fixture
def calls(set_up_steps: list[str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the launcher has the environment's Python do; each of it ends with status 2."""
    calls: list[tuple[str, ...]] = []

    def run(*arguments: str) -> int:
        calls.append(arguments)
        return 2

    monkeypatch.setattr(programs, "run_in_environment", run)
    return calls


def test_lessons_are_laid_before_a_server_starts_which_does_not_where_they_cannot_be(
    calls: list[tuple[str, ...]], course_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(server, "serve", lambda *_: pytest.fail("a server was started"))
    assert main(["start", "--no-browser"]) == 2
    assert calls == [("-m", "labs_lib.workbook", str(course_folder))]


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        ([], ["--"]),
        (["02"], ["--", "02"]),
        (["02", "--again"], ["--again", "--", "02"]),
        (["--update", "02x"], ["--update", "--", "02x"]),
        (["--again"], ["--again", "--"]),
    ],
)
def test_a_lesson_begun_again_or_updated_is_the_packages_work(
    calls: list[tuple[str, ...]], arguments: list[str], passed_on: list[str]
):
    assert main(["lesson", *arguments]) == 2
    assert calls == [("-m", "labs_lib", "lesson", *passed_on)]


@pytest.mark.parametrize("flags", [[], ["--record-times"]])
def test_after_the_lessons_the_readmes_tables_are_renewed(
    set_up_steps: list[str], monkeypatch: pytest.MonkeyPatch, flags: list[str]
):
    calls: list[tuple[str, ...]] = []
    statuses = iter([1, 0])

    def run(*arguments: str) -> int:
        calls.append(arguments)
        return next(statuses)

    monkeypatch.setattr(programs, "run_in_environment", run)
    assert main(["notebooks", "00_first", *flags]) == 1
    assert calls == [("-m", "tools.notebooks", *flags, "00_first"), ("-m", "tools.readme")]


@pytest.mark.parametrize("flags", [[], ["--repository", "https://example.org/OWNER/NAME"]])
def test_the_reading_edition_is_built_in_the_environment(
    set_up_steps: list[str], calls: list[tuple[str, ...]], flags: list[str]
):
    main(["site", *flags])
    assert calls == [("-m", "tools.site", *flags)]

"""The launcher's set-up: each step once, finished where it was cut off, told in one line."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launcher_stand_ins import STEPS, one_line

from tools.launcher import installing, places, quiet_runs
from tools.launcher.command_line import main
from tools.launcher.lock import one_at_a_time, try_lock
from tools.launcher.setting_up import set_up
from tools.launcher.stamps import fingerprints


def test_a_set_up_is_done_once(set_up_steps: list[str]):
    set_up()
    assert set_up_steps == STEPS
    set_up()
    assert set_up_steps == STEPS


def test_tests_add_their_own_packages_alone(set_up_steps: list[str]):
    set_up()
    set_up_steps.clear()
    set_up(places.SECTIONS["test"])
    assert set_up_steps == ["test", "dev"]


@pytest.mark.parametrize("stops_at", STEPS[1:])
def test_an_interrupted_set_up_is_finished(
    set_up_steps: list[str], monkeypatch: pytest.MonkeyPatch, stops_at: str
):
    functions = {
        "course": "install_packages",
        "project": "install_project",
        "kernel": "write_jupyter_files",
        "model": "prepare_model",
    }

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(installing, functions[stops_at], interrupted)
        with pytest.raises(KeyboardInterrupt):
            set_up()
    assert set_up_steps == STEPS[: STEPS.index(stops_at)]
    set_up()
    assert set_up_steps == STEPS


def test_only_what_changed_is_done_again(set_up_steps: list[str], course_folder: Path):
    set_up()
    set_up_steps.clear()
    places.LOCK.write_text(places.LOCK.read_text().replace("4.70.1", "4.70.2"))
    set_up()
    assert set_up_steps == ["course"]
    set_up_steps.clear()
    (course_folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    set_up()
    assert set_up_steps == ["project"]


def test_a_lost_environment_and_torn_stamps_start_from_nothing(set_up_steps: list[str]):
    set_up()
    set_up_steps.clear()
    places.STAMPS.write_text('{"environment": "1')
    set_up()
    assert set_up_steps == STEPS
    set_up_steps.clear()
    places.venv_python().unlink()
    set_up()
    assert set_up_steps == STEPS


def test_an_environment_of_another_python_is_made_anew(
    course_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(quiet_runs, "run_quietly", lambda _commands, _lock: None)
    old = places.VENV / "lib" / "old"
    old.mkdir(parents=True)
    installing.make_environment(0)
    assert old.exists()  # no stamp: a set-up that was cut off goes on in it
    places.STAMPS.write_text('{"environment": "of another Python"}')
    installing.make_environment(0)
    assert not old.exists()


def test_a_package_that_was_cut_off_is_forgotten(course_folder: Path):
    for name, record in (("whole", "INSTALLER,,"), ("torn", "METADATA,,"), ("empty", None)):
        info = places.site_packages() / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        if record is not None:
            (info / "RECORD").write_text(record)
    installing.remove_torn_packages()
    assert [path.name for path in places.site_packages().iterdir()] == ["whole-1.dist-info"]


def test_torch_is_installed_beside_the_rest_and_nothing_is_resolved(
    course_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    groups: list[list[str]] = []

    def run_quietly(commands: list[list[str]], lock: int) -> None:
        for command in commands:
            assert {"--no-deps", "--no-compile"} <= set(command)
            groups.append(Path(command[-1]).read_text().split())

    monkeypatch.setattr(quiet_runs, "run_quietly", run_quietly)
    monkeypatch.setattr(places, "venv_python", lambda: Path(sys.executable))
    installing.install_packages(["course", "test"], 0)
    assert groups == [["torch==2.13.0"], ["tqdm==4.70.1", "pytest==9.2.0", places.MODEL_PACKAGE]]


def test_a_full_disk_is_told_before_anything_is_fetched(
    set_up_steps: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    usage = shutil.disk_usage("/")._replace(free=10**9)
    monkeypatch.setattr(installing.shutil, "disk_usage", lambda _: usage)
    assert main(["setup"]) == 2
    assert "the disk is too full: 1.0 GB free" in one_line(capsys)
    assert set_up_steps == []


def test_a_disk_that_fills_up_meanwhile(
    set_up_steps: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(installing, "write_jupyter_files", full)
    assert main(["setup"]) == 2
    assert "the disk is full" in one_line(capsys)


KILLED = """
import pathlib, sys
from tools.launcher import places, quiet_runs
from tools.launcher.lock import one_at_a_time
places.ROOT = pathlib.Path(sys.argv[1])
with one_at_a_time() as lock:
    quiet_runs.run_quietly([[sys.executable, "-c", sys.argv[2]]], lock)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows gives its children no such lock")
def test_after_a_kill_the_next_set_up_waits_for_what_lives_on(course_folder: Path, root: Path):
    child = "import pathlib, time; pathlib.Path('up').touch(); time.sleep(2)"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(course_folder), child], cwd=root)
    while not (course_folder / "up").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with (course_folder / "build" / "setup.lock").open("a+") as file:
        assert not try_lock(file.fileno())
    with one_at_a_time():
        pass


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(
    set_up_steps: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: int,
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["setup"]) == 2
    complaint = one_line(capsys)
    assert os.strerror(error) in complaint
    assert "copy it to a place of your own" in complaint
    assert set_up_steps == []


def test_a_folder_whose_name_is_no_text(course_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(places, "ROOT", course_folder / "\udcff")
    (course_folder / "\udcff").mkdir()
    shutil.copy(course_folder / "pyproject.toml", course_folder / "\udcff")
    assert set(fingerprints(["course"])) == set(STEPS)


def test_the_build_script_counts_for_the_projects_step(
    set_up_steps: list[str], course_folder: Path
):
    set_up()
    set_up_steps.clear()
    (course_folder / "setup.py").write_text("# changed\n", encoding="utf-8")
    set_up()
    assert set_up_steps == ["project"]

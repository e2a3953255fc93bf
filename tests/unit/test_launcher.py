"""The launcher: what it does when, what it says when something is in the way."""

from __future__ import annotations

import ast
import errno
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import course

STEPS = ["environment", "course", "project", "kernel", "model"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course folder of its own, with a lock, a project and no environment."""
    (tmp_path / "requirements.lock").write_text(
        "# a comment\n\n# [course]\ntorch==2.13.0\ntqdm==4.70.1\n\n# [test]\npytest==9.2.0\n"
        "\n# [dev]\nruff==0.17.6\n"
    )
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(course, "STAMPS", tmp_path / ".venv" / "lora-lab-setup.json")
    return tmp_path


@pytest.fixture
def done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that a set-up took, in order; the steps themselves are stood in for."""
    taken: list[str] = []

    def make_environment(lock: int) -> None:
        taken.append("environment")
        course.venv_python().parent.mkdir(parents=True, exist_ok=True)
        course.venv_python().touch()

    monkeypatch.setattr(course, "make_environment", make_environment)
    monkeypatch.setattr(course, "install_packages", lambda names, lock: taken.extend(names))
    for name, function in (
        ("project", "install_project"),
        ("model", "prepare_model"),
    ):
        monkeypatch.setattr(course, function, lambda lock, name=name: taken.append(name))
    monkeypatch.setattr(course, "write_jupyter_files", lambda: taken.append("kernel"))
    return taken


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was complained of, which must be one line."""
    complaint = capsys.readouterr().err
    assert complaint.startswith("course.py: ")
    assert complaint.count("\n") == 1
    return complaint


def test_a_set_up_is_done_once(done: list[str]):
    course.set_up()
    assert done == STEPS
    course.set_up()
    assert done == STEPS


def test_tests_add_their_own_packages_alone(done: list[str]):
    course.set_up()
    done.clear()
    course.set_up(course.SECTIONS["test"])
    assert done == ["test", "dev"]


@pytest.mark.parametrize("stops_at", STEPS[1:])
def test_an_interrupted_set_up_is_finished(
    done: list[str], monkeypatch: pytest.MonkeyPatch, stops_at: str
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
        patch.setattr(course, functions[stops_at], interrupted)
        with pytest.raises(KeyboardInterrupt):
            course.set_up()
    assert done == STEPS[: STEPS.index(stops_at)]
    course.set_up()
    assert done == STEPS


def test_only_what_changed_is_done_again(done: list[str], folder: Path):
    course.set_up()
    done.clear()
    course.LOCK.write_text(course.LOCK.read_text().replace("4.70.1", "4.70.2"))
    course.set_up()
    assert done == ["course"]
    done.clear()
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    course.set_up()
    assert done == ["project"]


def test_a_lost_environment_and_torn_stamps_start_from_nothing(done: list[str]):
    course.set_up()
    done.clear()
    course.STAMPS.write_text('{"environment": "1')
    course.set_up()
    assert done == STEPS
    done.clear()
    course.venv_python().unlink()
    course.set_up()
    assert done == STEPS


def test_an_environment_of_another_python_is_made_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(course, "run_quietly", lambda commands, lock: None)
    old = course.VENV / "lib" / "old"
    old.mkdir(parents=True)
    course.make_environment(0)
    assert old.exists()  # no stamp: a set-up that was cut off goes on in it
    course.STAMPS.write_text('{"environment": "of another Python"}')
    course.make_environment(0)
    assert not old.exists()


def test_a_package_that_was_cut_off_is_forgotten(folder: Path):
    for name, record in (("whole", "INSTALLER,,"), ("torn", "METADATA,,"), ("empty", None)):
        info = course.site_packages() / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        if record is not None:
            (info / "RECORD").write_text(record)
    course.remove_torn_packages()
    assert [path.name for path in course.site_packages().iterdir()] == ["whole-1.dist-info"]


def test_torch_is_installed_beside_the_rest_and_nothing_is_resolved(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    groups: list[list[str]] = []

    def run_quietly(commands: list[list[str]], lock: int) -> None:
        for command in commands:
            assert {"--no-deps", "--no-compile"} <= set(command)
            groups.append(Path(command[-1]).read_text().split())

    monkeypatch.setattr(course, "run_quietly", run_quietly)
    monkeypatch.setattr(course, "venv_python", lambda: Path(sys.executable))
    course.install_packages(["course", "test"], 0)
    assert groups == [["torch==2.13.0"], ["tqdm==4.70.1", "pytest==9.2.0", course.MODEL_PACKAGE]]


def test_a_full_disk_is_told_before_anything_is_fetched(
    done: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    usage = shutil.disk_usage("/")._replace(free=10**9)
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: usage)
    assert course.main(["setup"]) == 2
    assert "the disk is too full: 1.0 GB free" in one_line(capsys)
    assert done == []


def test_a_disk_that_fills_up_meanwhile(
    done: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(course, "write_jupyter_files", full)
    assert course.main(["setup"]) == 2
    assert "the disk is full" in one_line(capsys)


NO_NETWORK = """\
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by \
'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -3] \
Temporary failure in name resolution')': /simple/tqdm/
ERROR: Could not find a version that satisfies the requirement tqdm==4.70.1 (from versions: none)
ERROR: No matching distribution found for tqdm==4.70.1
"""
FULL = (
    "Collecting torch\nERROR: Could not install packages due to an OSError: [Errno 28] No space\n"
)
NO_VENV = """\
The virtual environment was not created successfully because ensurepip is not available.
On Debian/Ubuntu systems, you need to install the python3-venv package.
"""


@pytest.mark.parametrize(
    ("output", "start"),
    [
        (NO_NETWORK, "no network, or the package index does not answer"),
        (FULL, "the disk is full"),
        (NO_VENV, "this Python cannot make environments"),
        (
            "Collecting x\nERROR: No matching distribution\n\n",
            "the set-up stopped: ERROR: No match",
        ),
        (
            "labs: cannot write /x: Read-only file system\n",
            "the set-up stopped: labs: cannot write",
        ),
        ("", "the set-up stopped: it said nothing"),
    ],
)
def test_a_complaint_is_one_line(output: str, start: str):
    message = course.explain(output)
    assert message.startswith(start)
    assert "\n" not in message


def test_a_program_that_fails_is_told_in_its_own_words(folder: Path):
    def python(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    with course.one_at_a_time() as lock:
        course.run_quietly([python("pass"), python("pass")], lock)
        with pytest.raises(course.CourseError, match="the set-up stopped: ERROR: bad pin"):
            course.run_quietly(
                [python("import sys; print('x\\nERROR: bad pin'); sys.exit(1)")], lock
            )
        # Of two side by side, one that fails only then is run once more, alone.
        code = (
            "import pathlib, sys; f = pathlib.Path('seen'); sys.exit(f.touch() if f.exists() else "
        )
        course.run_quietly([python("pass"), python(code + "(f.touch(), 1)[1])")], lock)


def test_a_taken_port_is_told_with_a_free_one(done: list[str], capsys: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert course.main(["start", "--no-browser", "--port", str(port)]) == 2
    complaint = one_line(capsys)
    assert f"port {port} is taken" in complaint
    assert course.port_is_free(int(complaint.split("--port ")[1].split(",")[0]))
    assert done == []


@pytest.mark.parametrize(
    "arguments",
    [["strat"], ["start", "--port", "0"], ["start", "--port", "x"], ["setup", "--quick"], ["-x"]],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert course.main(arguments) == 2
    one_line(capsys)


def test_start_is_the_default_verb():
    assert course.parse([]).run is course.start
    options = course.parse(["--no-browser", "--port", "9000"])
    assert (options.run, options.no_browser, options.port) == (course.start, True, 9000)


def test_fast_leaves_out_training_and_the_browser():
    names = [name for name, _ in course.test_parts(fast=True)]
    assert names == ["lint", "format", "types", "unit tests", "gpu", "notebooks"]
    assert [name for name, _ in course.test_parts(fast=False)] == [*names, "browser"]
    assert all("not slow" in arguments for _, arguments in course.test_parts(fast=True)[3:])


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
    tree = ast.parse((root / "course.py").read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names <= sys.stdlib_module_names


def test_compiled_files_may_be_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    variables = course.child_environment()
    assert "PYTHONDONTWRITEBYTECODE" not in variables
    assert variables["PATH"].split(os.pathsep)[0] == str(course.venv_python().parent)


KILLED = """
import pathlib, sys
import course
course.ROOT = pathlib.Path(sys.argv[1])
with course.one_at_a_time() as lock:
    course.run_quietly([[sys.executable, "-c", sys.argv[2]]], lock)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows gives its children no such lock")
def test_after_a_kill_the_next_set_up_waits_for_what_lives_on(folder: Path, root: Path):
    child = "import pathlib, time; pathlib.Path('up').touch(); time.sleep(2)"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), child], cwd=root)
    while not (folder / "up").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with (folder / "build" / "setup.lock").open("a+") as file:
        assert not course.try_lock(file.fileno())
    with course.one_at_a_time():
        pass


# What stands in a person's environment or pip.conf → whether an installation still sees it.
PIP = [
    ("PIP_INDEX_URL", "https://mirror.example/simple", True),
    ("PIP_FIND_LINKS", "/wheels", True),
    ("PIP_CERT", "/ca.pem", True),
    ("PIP_DEFAULT_TIMEOUT", "60", True),
    ("PIP_USER", "1", False),
    ("PIP_TARGET", "/elsewhere", False),
    ("PIP_PREFIX", "/elsewhere", False),
    ("PIP_PYTHON", "/usr/bin/python3", False),
    ("PIP_NO_BINARY", ":all:", False),
    ("PIP_CONSTRAINT", "/other.txt", False),
    ("PIP_REQUIRE_HASHES", "1", False),
    ("PIP_DRY_RUN", "1", False),
    ("PIP_PLATFORM", "win32", False),
]


@pytest.mark.parametrize(("name", "value", "kept"), PIP)
def test_of_pips_variables_those_stay_that_say_how_packages_are_reached(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, kept: bool
):
    monkeypatch.setenv(name, value)
    assert (course.set_up_environment().get(name) == value) is kept


CONFIGURATION = """\
[global]
user = true
require-virtualenv = true
index-url = https://global.example/simple
[install]
target = /elsewhere
index-url = https://mirror.example/simple
extra-index-url =
    https://one.example/simple
    https://two.example/simple
"""


def test_of_pips_files_too(folder: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (folder / "pip.conf").write_text(CONFIGURATION, encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(folder / "pip.conf"))
    monkeypatch.setattr(course, "venv_python", lambda: Path(sys.executable))
    variables = course.set_up_environment()
    assert variables["PIP_CONFIG_FILE"] == os.devnull
    assert variables["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert variables["PIP_EXTRA_INDEX_URL"].split() == [
        "https://one.example/simple",
        "https://two.example/simple",
    ]
    assert not {"PIP_USER", "PIP_TARGET", "PIP_REQUIRE_VIRTUALENV"} & set(variables)
    (folder / "pip.conf").write_text("no section\n", encoding="utf-8")
    course.pip_configuration.cache_clear()
    assert course.set_up_environment()["PIP_CONFIG_FILE"] == str(folder / "pip.conf")


PYTHONS_OWN = [
    ("PYTHONPATH", "/elsewhere", None),
    ("PYTHONHOME", "/elsewhere", None),
    ("PYTHONOPTIMIZE", "2", None),
    ("PYTHONWARNINGS", "error", None),
    ("PYTHONSAFEPATH", "1", None),
    ("PYTHONINSPECT", "1", None),
    ("__PYVENV_LAUNCHER__", "/elsewhere", None),
    ("PYTHONUTF8", "0", "1"),
    ("PYTHONUNBUFFERED", "1", "1"),
    ("PYTHONIOENCODING", "cp1252", "cp1252:backslashreplace"),
    ("PYTHONIOENCODING", "ascii:strict", "ascii:strict"),
]


@pytest.mark.parametrize(("name", "value", "seen"), PYTHONS_OWN)
def test_of_pythons_variables_those_stay_that_change_no_result(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, seen: str | None
):
    monkeypatch.setenv(name, value)
    assert course.child_environment().get(name) == seen


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_any_terminal_takes_what_is_said(root: Path, encoding: str):
    code = "import course; course.print_anything(); course.say('clöne → 漢 \\udcff')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cl" in done.stdout.decode(encoding)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: int,
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(course.Path, "mkdir", refuse)
    assert course.main(["setup"]) == 2
    complaint = one_line(capsys)
    assert os.strerror(error) in complaint
    assert "copy it to a place of your own" in complaint
    assert done == []


LACKING = [
    "/usr/bin/python3: No module named venv\n",
    "/usr/bin/python3: No module named ensurepip\n",
    "ModuleNotFoundError: No module named 'ensurepip'\n",
    "Error: Command '['/x/.venv/bin/python3', '-m', 'ensurepip', '--upgrade', '--default-pip']' "
    "returned non-zero exit status 1.\n",
    NO_VENV,
]


@pytest.mark.parametrize("output", LACKING)
def test_a_python_that_makes_no_environments(output: str):
    message = course.explain(output)
    assert message.startswith("this Python cannot make environments")
    assert f"apt install python3.{sys.version_info.minor}-venv" in message


def test_what_a_program_prints_need_be_no_text(folder: Path):
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe\nERROR: bad \xe9\n'); sys.exit(1)"
    with (
        course.one_at_a_time() as lock,
        pytest.raises(course.CourseError, match="the set-up stopped: ERROR: bad"),
    ):
        course.run_quietly([[sys.executable, "-c", code]], lock)


def test_a_folder_whose_name_is_no_text(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(course, "ROOT", folder / "\udcff")
    (folder / "\udcff").mkdir()
    shutil.copy(folder / "pyproject.toml", folder / "\udcff")
    assert set(course.fingerprints(["course"])) == set(STEPS)


def test_the_build_script_counts_for_the_projects_step(done: list[str], folder: Path):
    course.set_up()
    done.clear()
    (folder / "setup.py").write_text("# changed\n", encoding="utf-8")
    course.set_up()
    assert done == ["project"]

"""The launcher's programs: what they see, and what is told of one that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.launcher import places, quiet_runs
from tools.launcher.complaints import CourseError, explain
from tools.launcher.lock import one_at_a_time
from tools.launcher.pip_settings import pip_configuration, set_up_environment
from tools.launcher.programs import child_environment

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
    message = explain(output)
    assert message.startswith(start)
    assert "\n" not in message


def test_a_program_that_fails_is_told_in_its_own_words(course_folder: Path):
    def python(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    with one_at_a_time() as lock:
        quiet_runs.run_quietly([python("pass"), python("pass")], lock)
        with pytest.raises(CourseError, match="the set-up stopped: ERROR: bad pin"):
            quiet_runs.run_quietly(
                [python("import sys; print('x\\nERROR: bad pin'); sys.exit(1)")], lock
            )
        # Of two side by side, one that fails only then is run once more, alone.
        code = (
            "import pathlib, sys; f = pathlib.Path('seen'); sys.exit(f.touch() if f.exists() else "
        )
        quiet_runs.run_quietly([python("pass"), python(code + "(f.touch(), 1)[1])")], lock)


def test_compiled_files_may_be_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    variables = child_environment()
    assert "PYTHONDONTWRITEBYTECODE" not in variables
    assert variables["PATH"].split(os.pathsep)[0] == str(places.venv_python().parent)


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


@pytest.mark.parametrize(("name", "value", "stays"), PIP)
def test_of_pips_variables_those_stay_that_say_how_packages_are_reached(
    course_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, stays: bool
):
    monkeypatch.setenv(name, value)
    assert (set_up_environment().get(name) == value) is stays


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


def test_of_pips_files_too(course_folder: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (course_folder / "pip.conf").write_text(CONFIGURATION, encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(course_folder / "pip.conf"))
    monkeypatch.setattr(places, "venv_python", lambda: Path(sys.executable))
    variables = set_up_environment()
    assert variables["PIP_CONFIG_FILE"] == os.devnull
    assert variables["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert variables["PIP_EXTRA_INDEX_URL"].split() == [
        "https://one.example/simple",
        "https://two.example/simple",
    ]
    assert not {"PIP_USER", "PIP_TARGET", "PIP_REQUIRE_VIRTUALENV"} & set(variables)
    (course_folder / "pip.conf").write_text("no section\n", encoding="utf-8")
    pip_configuration.cache_clear()
    assert set_up_environment()["PIP_CONFIG_FILE"] == str(course_folder / "pip.conf")


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


@pytest.mark.parametrize(("name", "value", "result"), PYTHONS_OWN)
def test_of_pythons_variables_those_stay_that_change_no_result(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, result: str | None
):
    monkeypatch.setenv(name, value)
    assert child_environment().get(name) == result


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_any_terminal_takes_what_is_said(root: Path, encoding: str):
    code = (
        "from tools.launcher import terminal; "
        "terminal.print_anything(); terminal.say('clöne → 漢 \\udcff')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cl" in done.stdout.decode(encoding)


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
    message = explain(output)
    assert message.startswith("this Python cannot make environments")
    assert f"apt install python3.{sys.version_info.minor}-venv" in message


def test_what_a_program_prints_need_be_no_text(course_folder: Path):
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe\nERROR: bad \xe9\n'); sys.exit(1)"
    with (
        one_at_a_time() as lock,
        pytest.raises(CourseError, match="the set-up stopped: ERROR: bad"),
    ):
        quiet_runs.run_quietly([[sys.executable, "-c", code]], lock)

"""The tests' browser: what is here is taken, what is not is fetched, or told before a check."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs_lib import browser, health
from labs_lib.errors import LabError
from tools.launcher import checks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stands programs in by scripts")
WORKS = "echo Chromium 1.2"


def program(folder: Path, name: str, script: str) -> Path:
    """Write a program that stands in for a real one."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; nothing is downloaded, and root's rights are had."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setattr(browser, "playwrights_own", lambda: tmp_path / "playwright" / "chrome")
    monkeypatch.setattr(browser, "MAC", ())
    monkeypatch.setattr(browser, "has_fonts", lambda: True)
    monkeypatch.setattr(browser, "by_playwright", lambda: "no such host")
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0)
    return folder


FOUND = [
    {"chromium": WORKS},
    {"chromium-browser": WORKS},
    {"google-chrome": "echo Google Chrome 150.0"},
    {"google-chrome-stable": WORKS},
    {"microsoft-edge": "echo Microsoft Edge 150.0"},
    # Ubuntu's stub, and one that lacks a library, are passed over.
    {"chromium-browser": "echo requires the chromium snap >&2; exit 1", "google-chrome": WORKS},
    {"chromium": "echo libnss3.so: cannot open >&2; exit 127", "msedge": WORKS},
]


@pytest.mark.parametrize("there", FOUND, ids=lambda each: "+".join(each))
def test_a_browser_that_is_here_is_taken(bin_: Path, there: dict[str, str]):
    for name, script in there.items():
        program(bin_, name, script)
    assert browser.bring() == bin_ / list(there)[-1]


def test_the_named_browser_is_taken_or_told(bin_: Path, monkeypatch: pytest.MonkeyPatch):
    program(bin_, "chromium", WORKS)
    named = program(bin_, "mine", WORKS)
    for value in (str(named), "mine"):
        monkeypatch.setenv(browser.VARIABLE, value)
        assert browser.bring() == named
    program(bin_, "broken", "exit 1")
    for value in ("broken", "/no/such", str(bin_)):
        monkeypatch.setenv(browser.VARIABLE, value)
        with pytest.raises(LabError, match=r"LABS_BROWSER: .* is no browser that starts"):
            browser.bring()
        assert health.checked("browser for tests").state == "optional"


def test_playwrights_download_comes_first(
    bin_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program(bin_, "apt-get", f"touch {tmp_path}/apt-was-called")

    def download() -> str:
        (tmp_path / "playwright").mkdir()
        program(tmp_path / "playwright", "chrome", WORKS)
        return ""

    monkeypatch.setattr(browser, "by_playwright", download)
    assert browser.bring() == tmp_path / "playwright" / "chrome"
    assert not (tmp_path / "apt-was-called").exists()


APT = """
echo "$DEBIAN_FRONTEND $*" >> {log}
case "$*" in *install*chromium*)
  printf '#!/bin/sh\\necho Chromium 1\\n' > {folder}/chromium; /bin/chmod 755 {folder}/chromium;;
esac
"""


def test_apt_comes_where_the_download_does_not(bin_: Path, tmp_path: Path):
    log = tmp_path / "log"
    program(bin_, "env", 'exec /usr/bin/env "$@"')
    program(bin_, "apt-get", APT.format(log=log, folder=bin_))
    assert browser.bring() == bin_ / "chromium"
    update, install = log.read_text(encoding="utf-8").splitlines()
    assert update == "noninteractive -q update"
    assert install.endswith("install -y --no-install-recommends chromium fonts-dejavu-core")


def test_apt_goes_through_sudo_that_asks_nothing(
    bin_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(browser.os, "geteuid", lambda: 1000)
    log = tmp_path / "log"
    program(bin_, "env", 'exec /usr/bin/env "$@"')
    program(bin_, "true", "exit 0")
    program(bin_, "apt-get", APT.format(log=log, folder=bin_))
    # As the real one, it hands no variables on.
    program(bin_, "sudo", '[ "$1" = -n ] || exit 1; shift; exec /usr/bin/env -i PATH="$PATH" "$@"')
    assert browser.bring() == bin_ / "chromium"
    assert log.read_text(encoding="utf-8").startswith("noninteractive ")


# the programs on PATH, who calls → what the line says of apt-get
CANNOT = [
    ({}, 0, "apt-get: not on this machine"),
    ({"apt-get": "exit 0"}, 1000, "apt-get: needs an administrator"),
    ({"apt-get": "exit 0", "sudo": "exit 1"}, 1000, "apt-get: needs an administrator"),
    (
        {"apt-get": "echo Reading; echo 'E: Unable to locate package chromium'; exit 100"},
        0,
        "apt-get: E: Unable to locate package chromium",
    ),
    ({"apt-get": "exit 0"}, 0, "apt-get: what it brought does not start"),
    ({"apt-get": "printf '\\377\\376'; exit 1"}, 0, "apt-get: "),
]


@pytest.mark.parametrize(("programs", "user", "reason"), CANNOT)
def test_what_cannot_be_had_is_one_line(
    bin_: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str], user: int, reason: str
):
    monkeypatch.setattr(browser.os, "geteuid", lambda: user)
    program(bin_, "env", 'exec /usr/bin/env "$@"')
    for name, script in programs.items():
        program(bin_, name, script)
    with pytest.raises(LabError) as caught:
        browser.bring()
    line = str(caught.value)
    assert "\n" not in line
    for part in ("no Chromium, Chrome or Edge here", "no such host", reason, "LABS_BROWSER"):
        assert part in line
    assert "--fast` needs none" in line
    assert health.checked("browser for tests").mend.startswith("course.py test fetches one")


def test_letters_get_a_font(bin_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(bin_))
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0)
    monkeypatch.setattr(browser.sys, "platform", "linux")
    monkeypatch.setattr(browser, "FONT_FOLDERS", (str(tmp_path / "fonts"),))
    log = tmp_path / "log"
    program(bin_, "env", 'exec /usr/bin/env "$@"')
    program(bin_, "chromium", WORKS)
    program(bin_, "apt-get", APT.format(log=log, folder=tmp_path))
    browser.bring()
    assert log.read_text(encoding="utf-8").splitlines()[-1].endswith(" fonts-dejavu-core")
    log.unlink()
    (tmp_path / "fonts" / "truetype").mkdir(parents=True)
    (tmp_path / "fonts" / "truetype" / "DejaVu.ttf").touch()
    browser.bring()
    assert not log.exists()


TESTS = """
import pathlib, sys
from tools.launcher import checks, command_line, places, setting_up
places.VENV = pathlib.Path(sys.prefix)
setting_up.set_up = lambda *_: None
look = "import os; print(os.environ.get('LABS_BROWSER'))"
checks.test_parts = lambda fast: [("seen", ["-c", look])]
sys.exit(command_line.main(["test", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("named", "options", "status"),
    [(sys.executable, [], 0), ("/no/such", [], 2), ("/no/such", ["--fast"], 0)],
)
def test_the_launcher_tells_before_a_check_runs(
    root: Path, named: str, options: list[str], status: int
):
    environment = {**os.environ, browser.VARIABLE: named}
    # The environment's own copy is another folder's where the launcher was never run in this one.
    done = subprocess.run(
        [sys.executable, "-c", TESTS, *options], cwd=root, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    if status:
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert "LABS_BROWSER: '/no/such' is no browser that starts" in done.stderr
    else:
        assert f"\n{named}\n" in done.stdout  # what the checks see


def test_ci_runs_the_launcher_alone(root: Path):
    script = (root / ".ci" / "run").read_text(encoding="utf-8")
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "exec python3 course.py test </dev/null"
    assert len(commands) == 3
    assert checks.test_parts(fast=False)[-1][0] == "browser"

"""`course.py start`: the server and its kernels end with it, and its token stays private."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from workbook_course import write_edition

from tools.launcher import page as page_of_launcher
from tools.launcher import places

START = """
import pathlib, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which under nohup is ignored
sys.path.insert(0, sys.argv[1])
from tools.launcher import command_line, places, server, setting_up, stopping, terminal
places.ROOT = pathlib.Path(sys.argv[2])
places.VENV = pathlib.Path(sys.prefix)
setting_up.set_up = lambda *_: None
first_free_port, given = server.first_free_port, sys.argv[3]
server.first_free_port = lambda port: (
    int(given) if given != "-" and port == server.FIRST_PORT else first_free_port(port)
)
terminal.print_anything()
stopping.end_in_order()
sys.exit(command_line.main(["start", *sys.argv[4:]]))
"""
# Stands in for a browser: notes its command line and what it was shown, and stays a while.
BROWSER = """#!{python}
import pathlib, sys, urllib.parse
page = pathlib.Path(urllib.parse.unquote(sys.argv[1].removeprefix("file://")))
note = pathlib.Path(__file__).with_name("seen")
note.write_text("\\n".join([*sys.argv[1:], oct(page.stat().st_mode), page.read_text()]))
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


class Started:
    """A launcher that runs, with what it said."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process
        self.lines: list[str] = []

    def address(self) -> str:
        """Return the address that it tells, once the server answers."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if match := re.search(r"http://\S+", line):
                return match[0]
        raise AssertionError("".join(self.lines))

    def rest(self) -> str:
        """Return what it says until it ends."""
        assert self.process.stdout is not None
        self.process.wait(timeout=60)
        return "".join([*self.lines, *self.process.stdout])


@pytest.fixture
def start(root: Path, tmp_path: Path) -> Iterator[Any]:
    """Start the launcher on a folder with a blank; nothing that it starts outlives the test."""
    folder = tmp_path / "the course ü"
    (folder / "build").mkdir(parents=True)
    (folder / "labs_lib").symlink_to(root / "labs_lib", target_is_directory=True)
    write_edition(folder, name="00_first")
    family: list[psutil.Process] = []

    def begin(*options: str, first_port: str = "-", **variables: str) -> Started:
        environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "BROWSER")}
        environment |= {"PYTHONPATH": str(root), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
        environment |= {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), **variables}
        command = [sys.executable, "-c", START, str(root), str(folder), first_port, *options]
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        family.append(psutil.Process(process.pid))
        return Started(process)

    yield begin
    for process in family:
        with_children = []
        if process.is_running():
            with_children = [*process.children(recursive=True), process]
        for member in with_children:
            member.kill()


def new_kernel(address: str) -> None:
    """Start a kernel as a lesson does."""
    base, _, token = address.partition("/lab/tree")
    headers = {"Authorization": f"token {token.partition('token=')[2]}"}
    request = urllib.request.Request(
        f"{base}/api/kernels", data=json.dumps({"name": "python3"}).encode(), headers=headers
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()


SIGNALS = ["SIGTERM", "SIGHUP", "SIGINT", "SIGKILL"]


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", SIGNALS)
def test_server_and_kernels_end_with_the_launcher(start: Any, name: str):
    started = start("--no-browser")
    new_kernel(started.address())
    family = psutil.Process(started.process.pid).children(recursive=True)
    assert len(family) >= 2, family  # the server and the kernel
    started.process.send_signal(getattr(signal, name))
    _, alive = psutil.wait_procs(family, timeout=40)
    for process in alive:
        process.kill()
    assert alive == []
    assert ("Stopped." in started.rest()) is (name != "SIGKILL")
    assert started.process.returncode == (-signal.SIGKILL if name == "SIGKILL" else 0)


@posix
@pytest.mark.slow
def test_where_another_program_takes_the_port_first_the_next_one_does(start: Any):
    with socket.socket() as quicker:
        quicker.bind(("127.0.0.1", 0))
        quicker.listen()
        port = quicker.getsockname()[1]
        started = start("--no-browser", first_port=str(port))
        new_kernel(started.address())
    started.process.terminate()
    assert re.search(r"trying port \d+", started.rest())


@posix
@pytest.mark.slow
def test_the_browsers_command_line_holds_no_token(start: Any, tmp_path: Path):
    browser = tmp_path / "browser"
    browser.write_text(BROWSER.format(python=sys.executable), encoding="utf-8")
    browser.chmod(0o755)
    started = start(BROWSER=str(browser))
    address = started.address()
    lesson, _, token = address.partition("/lab/tree/")[2].partition("?token=")
    assert lesson == "workbook/00_first.ipynb"
    assert "<svg>" not in (tmp_path / "the course ü" / lesson).read_text(encoding="utf-8")
    deadline = time.monotonic() + 30
    while not (tmp_path / "seen").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.3)
    arguments, mode, page = (tmp_path / "seen").read_text(encoding="utf-8").split("\n", 2)
    assert arguments.startswith("file://")
    assert token not in arguments
    assert int(mode, 8) & 0o777 == 0o600
    assert address in page
    for process in psutil.Process(started.process.pid).children(recursive=True):
        assert token not in " ".join(process.cmdline())
    started.process.terminate()
    started.rest()
    assert list((tmp_path / "the course ü" / "build").iterdir()) == []


NO_BROWSER = [
    ({}, "No browser can be opened from here"),
    ({"BROWSER": "/no/such/browser"}, "No browser could be opened"),
    ({"BROWSER": "false"}, "No browser could be opened"),
    ({"BROWSER": "%s %s 'half a quote"}, "No browser could be opened"),
    ({"DISPLAY": ":0", "PATH": "/nowhere"}, "No browser could be opened"),
]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system's own browser opens")
@pytest.mark.parametrize(("variables", "expected"), NO_BROWSER)
def test_where_no_browser_opens_the_person_is_told(
    root: Path, tmp_path: Path, variables: dict[str, str], expected: str
):
    code = (
        "import pathlib, sys, threading; from tools.launcher import page as launcher, places; "
        "places.ROOT = pathlib.Path(sys.argv[1]); "
        "page = launcher.show_in_browser('http://127.0.0.1:1/?token=x', 1); "
        "[t.join(30) for t in threading.enumerate() if t.name == 'browser']; "
        "page and page.unlink()"
    )
    unset = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    environment = {k: v for k, v in os.environ.items() if k not in unset} | variables
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{expected}: open that address yourself.\n"
    assert "Traceback" not in done.stderr


WATCHED = """
import sys, time
from labs_lib import serve
serve.end_with_launcher()
assert sys.stdin.read() == ""  # what the server starts has nothing to read
print("up", flush=True)
time.sleep(60)
"""


@posix
def test_a_server_ends_when_its_input_does(root: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(timeout=10) == -signal.SIGTERM
    process.stdout.close()


@posix
def test_the_private_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(places, "ROOT", tmp_path)
    monkeypatch.setattr(page_of_launcher.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    address = f"http://127.0.0.1:8888/lab?token={secrets.token_hex(16)}"
    previous = os.umask(0)
    try:
        page = page_of_launcher.private_page(address, 8888)  # no build folder yet: the system's
        assert page is not None
        assert page.parent == tmp_path / "tmp"
        (tmp_path / "build").mkdir()
        stale = tmp_path / "build" / "open-8888.html"
        stale.symlink_to(tmp_path / "elsewhere")
        page = page_of_launcher.private_page(address, 8888)
    finally:
        os.umask(previous)
    assert page is not None
    assert page == stale
    assert not page.is_symlink()
    assert not (tmp_path / "elsewhere").exists()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert address in page.read_text(encoding="utf-8")
    # A disk that gives every file to everyone holds no page.
    monkeypatch.setattr(page_of_launcher.stat, "S_IMODE", lambda _mode: 0o777)
    assert page_of_launcher.private_page(address, 8888) is None
    assert not stale.exists()


@posix
def test_what_is_to_outlive_the_terminal_does(root: Path):
    """`nohup` sets the terminal's end aside; the launcher keeps to that."""
    code = (
        "import signal; from tools.launcher import stopping; "
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "stopping.end_in_order(); print(signal.getsignal(signal.SIGHUP).name, "
        "signal.getsignal(signal.SIGTERM).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["SIG_IGN", "stop"]


RUNS = """
import pathlib, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from tools.launcher import places, programs, stopping
places.VENV, places.ROOT = pathlib.Path(sys.prefix), pathlib.Path(sys.argv[1])
stopping.end_in_order()
programs.run_in_environment("-c", sys.argv[2])
"""
CHILD = """
import os, pathlib, time
pathlib.Path("up").write_text(str(os.getpid()))
try:
    time.sleep(60)
finally:
    pathlib.Path("cleaned").touch()
"""


@posix
@pytest.mark.parametrize("name", SIGNALS)
def test_a_stopped_test_run_clears_up_and_ends(root: Path, tmp_path: Path, name: str):
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS, str(tmp_path), CHILD], cwd=root, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while not (tmp_path / "up").exists() or not (tmp_path / "up").read_text():
        assert process.poll() is None
        time.sleep(0.02)
    child = psutil.Process(int((tmp_path / "up").read_text()))
    if name == "SIGINT":  # from a terminal it reaches the whole group
        os.killpg(process.pid, signal.SIGINT)
    elif name != "SIGKILL" or sys.platform == "linux":
        process.send_signal(getattr(signal, name))
    else:
        pytest.skip("only Linux tells a child that its parent is gone")
    process.wait(timeout=30)
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()
    assert (tmp_path / "cleaned").exists()

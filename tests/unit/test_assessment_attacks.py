"""What student code may do to the notebook's process and to the machine: nothing that stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labs_lib.assessment.sandbox import run_apart

HERE = (__file__,)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="forks are Linux's")
PARENT = os.getpid()


def c_kill(signal: int) -> int:
    import ctypes

    return ctypes.CDLL(None).kill(PARENT, signal)


def c_tgkill() -> int:
    import ctypes

    return ctypes.CDLL(None).tgkill(PARENT, PARENT, 9)


def kills_by_command():
    return subprocess.run(["kill", "-9", str(PARENT)], check=False).returncode


def leaves_its_session():
    if os.fork() == 0:
        try:
            os.setsid()
        finally:
            time.sleep(300)
            os._exit(0)


def becomes_a_daemon():
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)


def forks_without_end():
    while True:
        os.fork()


def stops_itself():
    os.kill(os.getpid(), 19)


def closes_every_file():
    os.closerange(0, 1000)


def writes_to_every_file(line: bytes):
    def work():
        for entry in list(Path("/proc/self/fd").iterdir()):
            try:
                os.write(int(entry.name), line)
            except OSError:
                continue
        os._exit(0)

    return work


def writes_without_end():
    while True:
        for number in range(3, 30):
            try:
                os.write(number, b"x" * 65536)
            except OSError:
                continue


def reads_the_parents_memory():
    return Path(f"/proc/{PARENT}/mem").open("r+b").close()


def writes_outside():
    (Path.home() / "labs-test-written").write_text("x", encoding="ascii")


def writes_inside():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_text("x", encoding="ascii")
    return "written"


def connects():
    import socket

    socket.create_connection(("127.0.0.1", 1), timeout=1)


ATTACKS = [  # what the code does, the endings that it may have
    (lambda: os.kill(PARENT, 9), {"raised"}),
    (lambda: os.kill(PARENT, 2), {"raised"}),
    (lambda: os.killpg(os.getpgid(PARENT), 9), {"raised"}),
    (lambda: psutil.Process(PARENT).kill(), {"raised"}),
    (kills_by_command, {"returned"}),
    (lambda: c_kill(9), {"returned"}),
    (lambda: c_kill(19), {"returned"}),
    (c_tgkill, {"returned"}),
    (leaves_its_session, {"returned", "raised"}),
    (becomes_a_daemon, {"returned"}),
    (forks_without_end, {"flooded", "too long"}),
    (stops_itself, {"too long"}),
    (closes_every_file, {"exited"}),
    (writes_without_end, {"too long", "too large"}),
    (reads_the_parents_memory, {"raised"}),
    (writes_outside, {"raised"}),
    (writes_inside, {"returned"}),
    (connects, {"raised"}),
]


@pytest.mark.seconds
@linux_only
@pytest.mark.parametrize(("work", "endings"), ATTACKS)
def test_an_attack_leaves_us_alive_and_nothing_behind(work, endings):
    begun = time.time()
    got = run_apart(work, student_files=HERE, seconds=1.0, method="fork")
    assert got.ending in endings, got
    assert not (Path.home() / "labs-test-written").exists()
    # The killed need a moment to be gone; whoever got away would sleep for minutes.
    ours = psutil.Process().cmdline()
    for _ in range(100):
        found = psutil.process_iter(["cmdline", "create_time"])
        later = [each for each in found if each.info["create_time"] > begun]
        left = [each for each in later if each.info["cmdline"] == ours]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


@linux_only
def test_without_landlock_the_filter_holds_signals_back(monkeypatch):
    from labs_lib.assessment import sandbox_walls

    monkeypatch.setattr(sandbox_walls, "_landlock", lambda *_: False)
    for work in (lambda: c_kill(9), c_tgkill, lambda: c_kill(19)):
        assert run_apart(work, method="fork").value == -1
    assert run_apart(kills_by_command, method="fork").value != 0
    assert run_apart(lambda: subprocess.run(["true"], check=True).returncode).value == 0


FORGED = [
    b'{"ending": "raised"}', b'{"ending": "nope"}', b"null", b"[" * 30_000, b"\xff\xfe", b"{}",
    b'{"ending": "returned", "value": ' + b"9" * 5000 + b"}",
    b'{"ending": "returned", "value": {"list": [{"array": "AAAA", "dtype": "O"}]}}',
    b'{"ending": "raised", "type": "X", "line": "5"}',
    b'{"ending": "raised", "type": "X", "more": 5}',
]  # fmt: skip


@linux_only
@pytest.mark.parametrize("line", FORGED)
def test_a_forged_report_is_refused(line):
    work = writes_to_every_file(line + b"\n")
    assert run_apart(work, student_files=HERE, method="fork").ending == "garbled"


@linux_only
def test_a_forged_file_name_is_not_read():
    line = b'{"ending": "raised", "type": "X", "file": "/dev/zero", "line": 3}\n'
    got = run_apart(writes_to_every_file(line), student_files=HERE, method="fork")
    assert (got.ending, got.line_text) == ("raised", "")
    got = run_apart(writes_to_every_file(line), student_files=("/dev/zero",), method="fork")
    assert (got.ending, got.line_text) == ("raised", "")

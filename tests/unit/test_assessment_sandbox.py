"""Student code that loops, exits, floods, crashes or hogs memory is stopped, and we live on."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from labs_lib.assessment.sandbox import run_apart

METHODS = ("fork", "spawn") if sys.platform == "linux" else ("spawn",)
HERE = (__file__,)
linux_only = pytest.mark.skipif("fork" not in METHODS, reason="forks are Linux's")


@pytest.fixture(params=METHODS)
def apart(request):
    def run(work, **options):
        return run_apart(work, student_files=HERE, method=request.param, **options)

    return run


def test_a_result_comes_back_plain(apart):
    got = apart(lambda: {"a": [1, 2.5, None, True, "ü"], (1, 2): {3}})
    assert got.ending == "returned"
    assert got.value == {"a": [1, 2.5, None, True, "ü"], (1, 2): {3}}


def test_tensors_and_arrays_come_back(apart):
    import numpy
    import torch

    got = apart(lambda: [torch.arange(6.0).reshape(2, 3), numpy.ones(2), torch.tensor(3)])
    assert torch.equal(got.value[0], torch.arange(6.0).reshape(2, 3))
    assert got.value[1].tolist() == [1, 1]
    assert got.value[2] == 3


def test_half_precision_comes_back_as_float(apart):
    import torch

    got = apart(lambda: torch.tensor([0.5, 1.5], dtype=torch.bfloat16))
    assert got.value.tolist() == [0.5, 1.5]


def test_a_foreign_object_comes_back_as_its_name(apart):
    assert apart(threading.Lock).value.type_name == "lock"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("swallows", [False, True])
def test_a_loop_is_stopped(apart, swallows):
    def loop():
        while True:
            try:
                while True:
                    pass
            except BaseException:
                if not swallows:
                    raise

    got = apart(loop, seconds=0.5)
    assert got.ending == "too long"
    assert "more than 0.5 s" in got.message


def test_sleeping_is_a_loop_too(apart):
    assert apart(lambda: time.sleep(60), seconds=0.3).ending == "too long"


@pytest.mark.parametrize("name", ["sys.exit", "raise", "quit", "exit"])
def test_an_exit_is_named(apart, name):
    def leave():
        if name == "sys.exit":
            sys.exit(0)
        if name == "raise":
            raise SystemExit
        (quit if name == "quit" else exit)()

    got = apart(leave)
    assert got.ending == "exited"
    assert "exit" in got.message


def test_a_hard_exit_is_noticed(apart):
    got = apart(lambda: os._exit(3))
    assert got.ending == "exited"
    assert "exit status 3" in got.message


def test_a_hard_exit_with_status_0_is_noticed(apart):
    assert apart(lambda: os._exit(0)).ending == "exited"


def test_a_crash_is_noticed(apart):
    import ctypes

    assert apart(lambda: ctypes.string_at(0)).ending == "exited"


@pytest.mark.parametrize("way", ["print", "stderr", "os.write", "subprocess"])
def test_a_flood_is_stopped(apart, way):
    def flood():
        if way == "subprocess":
            subprocess.run([sys.executable, "-c", "while True: print('y' * 99)"], check=False)
        while True:
            if way == "print":
                print("y" * 99)
            elif way == "stderr":
                sys.stderr.write("y" * 99)
            else:
                os.write(1, b"y" * 99)

    got = apart(flood, seconds=10)
    assert got.ending == "flooded"
    assert "printed more than 100 kB" in got.message
    assert len(got.printed) <= 400


def test_what_is_printed_is_kept_from_our_own_output(apart, capfd):
    got = apart(lambda: print("hello there"))
    assert got.printed == "hello there\n"
    assert "hello" not in capfd.readouterr().out


def test_endless_recursion_is_named(apart):
    def again():
        return again()

    got = apart(again)
    assert got.ending == "raised"
    assert got.error_type == "RecursionError"
    assert "without end" in got.message


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
def test_a_memory_hog_is_stopped(apart):
    got = apart(lambda: bytearray(200 * 2**30))
    assert got.ending == "raised"
    assert got.error_type == "MemoryError"


def test_an_error_names_the_students_line(apart):
    def wrong():
        values = [1, 2]
        return values[5]  # this line

    got = apart(wrong)
    assert (got.ending, got.error_type) == ("raised", "IndexError")
    assert got.line_text == "return values[5]  # this line"
    assert got.line == wrong.__code__.co_firstlineno + 2


def test_input_does_not_hang(apart):
    got = apart(lambda: input("? "))
    assert got.ending == "raised"
    assert "input" in got.message or got.error_type == "EOFError"


def test_an_error_that_cannot_be_shown_is_still_reported(apart):
    def wrong():
        class OddError(Exception):
            def __str__(self):
                raise RuntimeError

        raise OddError

    assert apart(wrong).error_type == "OddError"


def test_what_it_changes_stays_there(apart):
    seen: list[int] = []
    apart(lambda: seen.append(1))
    assert seen == []


def test_other_threads_do_not_hang_a_fork():
    if "fork" not in METHODS:
        return
    import torch

    stop = threading.Event()

    def busy():
        while not stop.is_set():
            torch.mm(torch.randn(300, 300), torch.randn(300, 300))

    threads = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            got = run_apart(lambda: (torch.ones(400, 400) @ torch.ones(400, 400)).sum(), seconds=5)
            assert got.value == 400.0**3
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.seconds
def test_no_process_or_file_is_left_behind():
    if "fork" not in METHODS:
        return
    run_apart(lambda: 1, method="fork")
    # Other tests' libraries may keep children of their own; ours must add none.
    children = set(psutil.Process().children())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        run_apart(lambda: os._exit(1), method="fork")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert set(psutil.Process().children()) <= children


@pytest.mark.seconds
def test_a_result_too_large_is_named(apart):
    import torch

    got = apart(lambda: [torch.zeros(3 * 10**6) for _ in range(8)])
    assert got.ending == "too large"
    assert "ended the process" not in got.message
    assert apart(lambda: iter(int, 1)).ending == "too large"


@pytest.mark.seconds
def test_imports_ahead_are_not_on_the_codes_time(apart):
    class Work:
        def prepare(self):
            time.sleep(1.5)

        def __call__(self):
            return 5

    assert apart(Work(), seconds=0.5).value == 5


def test_waiting_for_a_processor_is_not_on_the_codes_time(apart):
    def work():
        while time.process_time() < begun + 0.6:
            pass
        return "done"

    begun = 0.0
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(4 * (os.cpu_count() or 1))
    ]
    try:
        assert apart(work, seconds=1.0).value == "done"
    finally:
        for process in busy:
            process.kill()
            process.wait()


@linux_only
def test_a_fork_that_hangs_on_a_lock_is_tried_again_in_a_new_python(tmp_path, monkeypatch):
    (tmp_path / "locked_work.py").write_text(
        "import threading\nlock = threading.Lock()\n\n\ndef work():\n    with lock:\n"
        "        return 5\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("LABS_SANDBOX", raising=False)
    import locked_work  # type: ignore

    with locked_work.lock:
        assert run_apart(locked_work.work, seconds=0.5).value == 5


def test_threads_set_in_the_notebook_and_in_the_code(apart):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        torch.ones(500, 500) @ torch.ones(500, 500)

        def work():
            torch.set_num_threads(4)
            return (torch.ones(500, 500) @ torch.ones(500, 500)).sum()

        assert apart(work).value == 500.0**3
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_displays_and_logs_of_a_kernel_are_held_back_and_capped():
    from jupyter_client.manager import KernelManager

    code = """
from IPython.display import HTML, display
from labs_lib.assessment.sandbox import run_apart
import logging
def floods():
    while True: display("x" * 10**6)
def pages():
    while True: display(HTML("x" * 10**6))
def talks():
    logging.warning("a log"); display("a display"); print("a print")
print([run_apart(each).ending for each in (floods, pages)], run_apart(talks).printed)
"""
    said: list[str] = []
    manager = KernelManager()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive(
            code, output_hook=lambda message: said.append(str(message["content"])), timeout=120
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    text = "".join(said)
    assert "['flooded', 'flooded']" in text
    assert len(text) < 5000
    assert all(part in text for part in ("a log", "a display", "a print"))


@linux_only
def test_a_fork_searches_for_no_garbage_in_what_the_notebook_holds():
    got = run_apart(gc.get_freeze_count, method="fork")
    assert got.value > gc.get_freeze_count()

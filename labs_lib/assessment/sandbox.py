"""Student code in a process of its own: stopped when it loops, exits or floods; we live on.

Not a wall against malice: the code is the student's, on the student's machine. It is a wall
against accidents, and it never unpickles what comes back.

On Linux the process is forked, which takes some milliseconds, sees the notebook's variables and
needs no import again (as PyTorch's DataLoader does for its workers). Elsewhere, and once CUDA is
in use, a fork is not safe: a new Python starts, and the function is sent to it with `dill`.
"""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from labs_lib.assessment.plain import decode

SECONDS = 5.0
OUTPUT_BYTES = 100_000
RESULT_BYTES = 64 * 2**20
START_SECONDS = 120.0

Ending = Literal["returned", "raised", "too long", "flooded", "exited"]


@dataclass(frozen=True)
class Apart:
    """How student code ended: what it returned, or why it did not; and what it printed."""

    ending: Ending
    value: Any = None
    message: str = ""
    error_type: str = ""
    line: int | None = None
    line_text: str = ""
    printed: str = ""


def run_apart(
    work: Callable[[], Any],
    *,
    student_files: tuple[str, ...] = (),
    seconds: float = SECONDS,
    output_bytes: int = OUTPUT_BYTES,
    method: Literal["fork", "spawn"] | None = None,
) -> Apart:
    """Call `work` in another process and return how it ended.

    `student_files` are the file names (of code objects) that count as the student's: an error's
    line is looked for there. The result crosses as plain JSON. `LABS_SANDBOX` or `method` forces
    fork or spawn.
    """
    chosen = method or os.environ.get("LABS_SANDBOX") or _best_method()
    if chosen == "fork":
        return _Forked(student_files, seconds, output_bytes).run(work)
    return _Spawned(student_files, seconds, output_bytes).run(work)


def _best_method() -> Literal["fork", "spawn"]:
    if sys.platform != "linux":
        return "spawn"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "spawn"
    return "fork"


class _Process:
    """What both ways share: the output's cap, the deadline and the verdict."""

    def __init__(self, student_files: tuple[str, ...], seconds: float, output_bytes: int):
        self.student_files = student_files
        self.seconds = seconds
        self.output_bytes = output_bytes
        self.printed = bytearray()
        self.flooded = False
        self.ended = threading.Event()

    def read_output(self, descriptor: int) -> None:
        """Keep what the code prints, up to the cap; beyond it, ask for the end."""
        while chunk := _read(descriptor):
            self.printed += chunk[: self.output_bytes + 1 - len(self.printed)]
            if len(self.printed) > self.output_bytes:
                self.flooded = True
                self.ended.set()
                return

    def verdict(self, raw: bytes, late: bool, exit_note: str) -> Apart:
        """Turn the child's report, or its lack, into how it ended."""
        printed = bytes(self.printed[:2000]).decode("utf-8", "replace")
        if self.flooded:
            limit = f"{self.output_bytes // 1000} kB"
            message = f"Your code printed more than {limit} and was stopped."
            return Apart("flooded", message=message, printed=printed[:400])
        if late:
            message = f"Your code ran for more than {self.seconds:g} s and was stopped."
            return Apart("too long", message=message, printed=printed)
        try:
            report = json.loads(raw)
            ending = report["ending"]
        except (ValueError, KeyError, TypeError):
            message = f"Your code ended the process it ran in{exit_note}."
            return Apart("exited", message=message, printed=printed)
        if ending == "returned":
            return Apart("returned", value=decode(report["value"]), printed=printed)
        line = report.get("line")
        text = linecache.getline(report.get("file") or "", line).strip() if line else ""
        return Apart(
            ending,
            message=report["message"],
            error_type=report["type"],
            line=line,
            line_text=text,
            printed=printed,
        )


class _Forked(_Process):
    def run(self, work: Callable[[], Any]) -> Apart:
        from labs_lib.assessment import sandbox_child

        result_read, result_write = os.pipe()
        output_read, output_write = os.pipe()
        sys.stdout.flush()
        with warnings.catch_warnings():
            # Python warns of forking beside threads; the child uses none of theirs.
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                os.close(result_read)
                os.close(output_read)
                sandbox_child.settle(output_write)
                report = sandbox_child.report_of(work, self.student_files)
                sandbox_child.send(result_write, report)
            finally:
                os._exit(0)
        os.close(result_write)
        os.close(output_write)
        result = bytearray()

        def read_result() -> None:
            while len(result) < RESULT_BYTES and (chunk := _read(result_read)):
                result.extend(chunk)
            self.ended.set()

        readers = [
            threading.Thread(target=self.read_output, args=(output_read,), daemon=True),
            threading.Thread(target=read_result, daemon=True),
        ]
        for reader in readers:
            reader.start()
        status = 0
        try:
            late = not self.ended.wait(self.seconds)
        finally:
            _kill_group(pid)
            _, status = os.waitpid(pid, 0)
        for reader in readers:
            reader.join(timeout=1.0)
        for descriptor in (result_read, output_read):
            os.close(descriptor)
        return self.verdict(bytes(result), late, _exit_note(os.waitstatus_to_exitcode(status)))


class _Spawned(_Process):
    def run(self, work: Callable[[], Any]) -> Apart:
        import dill

        payload = None
        reason: Exception | None = None
        # First with no more of the notebook than the work refers to; some closures need all.
        for recurse in (True, False):
            try:
                payload = dill.dumps((work, self.student_files), recurse=recurse)
                break
            except Exception as error:
                reason = error
        if payload is None:
            said = " ".join(str(reason).split())[:200]
            message = f"Your code cannot be checked apart from the notebook: {said}"
            return Apart("raised", message=message, error_type=type(reason).__name__)
        with tempfile.TemporaryDirectory(prefix="labs-check-") as folder:
            return self._run_in(Path(folder), payload)

    def _run_in(self, folder: Path, payload: bytes) -> Apart:
        (folder / "work").write_bytes(payload)
        environment = dict(
            os.environ, PYTHONPATH=os.pathsep.join(part for part in sys.path if part)
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "labs_lib.assessment.sandbox_child", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=os.name == "posix",
        )
        assert process.stdout is not None
        reader = threading.Thread(
            target=self.read_output, args=(process.stdout.fileno(),), daemon=True
        )
        reader.start()
        late = False
        try:
            deadline = time.monotonic() + START_SECONDS
            started = False
            while process.poll() is None and not self.flooded:
                if not started and (folder / "started").exists():
                    started, deadline = True, time.monotonic() + self.seconds
                if time.monotonic() > deadline:
                    late = True
                    break
                if (folder / "report").exists():
                    break
                self.ended.wait(0.02)
        finally:
            if os.name == "posix":
                _kill_group(process.pid)
            process.kill()
            process.wait()
        reader.join(timeout=1.0)
        process.stdout.close()
        report = folder / "report"
        raw = report.read_bytes() if report.exists() else b""
        return self.verdict(raw, late and not raw, _exit_note(process.returncode))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def _kill_group(pid: int) -> None:
    # The group may not exist yet, or no longer; the process itself is then enough.
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _exit_note(code: int) -> str:
    if code < 0 and -code == getattr(signal, "SIGSEGV", 11):
        return " (it crashed; a recursion without end can do that)"
    return f" (exit status {code})" if code > 0 else " (it exited)"

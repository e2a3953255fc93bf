"""The grader's side of a bench: started, given works one by one, replaced when one ends it."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from labs_lib.assessment import lessons
from labs_lib.assessment.exercises.work import Calls
from labs_lib.assessment.sandbox_clock import PATIENCE
from labs_lib.assessment.sandbox_forked import START_SECONDS
from labs_lib.assessment.sandbox_report import Apart
from labs_lib.classroom.walls import frames
from labs_lib.classroom.walls.ways import Way
from labs_lib.errors import LabError

WARM_SECONDS = 300.0
_GONE = "Your code ended the bench that it ran on."


class Bench:
    """A bench behind walls; `run` does there what `run_apart` does in a notebook.

    A work that ends the bench, or that makes it say what no bench says, costs its own answer: the
    next one gets a new bench.
    """

    def __init__(self, way: Way, modules: Sequence[str]):
        self._command = way.command(modules)
        self._way = way
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> subprocess.Popen[bytes]:
        """Start a bench unless one runs; LabError with its last words where that fails."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={"PATH": os.environ.get("PATH", os.defpath), **_daemon_variables()},
        )
        said = _read(process, len(frames.READY), time.monotonic() + WARM_SECONDS)
        if said != frames.READY:
            process.kill()
            words = process.stderr.read(10_000).decode("utf-8", "replace") if process.stderr else ""
            self.close()
            lines = [line for line in words.splitlines() if line.strip()]
            reason = lines[-1][:300] if lines else "it said nothing"
            raise LabError(f"the bench does not start behind {self._way.name}: {reason}")
        if process.stderr is not None:
            process.stderr.close()  # nobody listens to a bench: its replies are on another pipe
        return process

    def run(
        self,
        work: Callable[[], Any],
        student_files: tuple[str, ...],
        seconds: float,
        output_bytes: int,
    ) -> Apart:
        """Run a work behind the walls and return how it ended; raises nothing for what it does."""
        content = _pickled(work)
        process = self.start()
        header = frames.HEADER.pack(len(content), seconds, output_bytes)
        ended = None
        try:
            _write(process, header + content)
            until = time.monotonic() + START_SECONDS + PATIENCE * seconds + 10
            length = _read(process, frames.LENGTH.size, until)
            if len(length) == frames.LENGTH.size:
                count = frames.LENGTH.unpack(length)[0]
                if count <= frames.LARGEST_REPLY:
                    ended = frames.read_reply(_read(process, count, until))
        except (OSError, frames.NotAReplyError):
            ended = None
        if ended is None:
            self.close()
            return Apart("exited", message=_GONE)
        return ended.verdict(student_files, seconds, output_bytes)

    def close(self) -> None:
        """End the bench and all that runs on it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _daemon_variables() -> dict[str, str]:
    """Return what docker and podman need to find their daemon; the bench itself gets none of it."""
    names = ("DOCKER_HOST", "XDG_RUNTIME_DIR", "HOME")
    return {name: os.environ[name] for name in names if name in os.environ}


def _pickled(work: Callable[[], Any]) -> bytes:
    """Return a work's bytes, with what it needs of the lessons' modules, and no solution."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(lessons)
    if isinstance(work, Calls):
        work = replace(work, solution="")  # it names libraries, which the bench has loaded
    return cloudpickle.dumps(work)


def _read(process: subprocess.Popen[bytes], count: int, until: float) -> bytes:
    """Return so many bytes of a bench's replies; fewer where it ended or time ran out."""
    assert process.stdout is not None
    content = bytearray()
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while len(content) < count and (left := until - time.monotonic()) > 0:
            if not ready.select(min(left, 1.0)):
                continue
            chunk = os.read(process.stdout.fileno(), min(count - len(content), 2**20))
            if not chunk:
                break
            content += chunk
    return bytes(content)


def _write(process: subprocess.Popen[bytes], content: bytes) -> None:
    assert process.stdin is not None
    view = memoryview(content)
    while view:
        view = view[os.write(process.stdin.fileno(), view) :]

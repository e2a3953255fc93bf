"""The bench: a warm Python behind walls that forks for each work, and never looks at one itself.

`python -m labs_lib.classroom.walls.bench MODULE …` imports the modules, says that it is ready, and
then reads works from standard input and writes how each ended to standard output. A work's bytes
lie in a mapping of their own, which goes with it: no student's code finds another's. Between two
works every other process behind these walls is ended, and the scratch folder is emptied.
"""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import pickle
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from labs_lib.assessment.exercises.answers import SOURCE_FILE
from labs_lib.assessment.sandbox_forked import watch_fork
from labs_lib.classroom.walls import frames
from labs_lib.classroom.walls.calls import keep_to_itself, refuse_calls

# The first process of bubblewrap's namespace, and of a container that is given one by --init.
_FIRST = ("bwrap", "docker-init", "catatonit", "tini")


class FramedWork:
    """A work that is still a pickle: only the fork that runs it opens it."""

    def __init__(self, frame: mmap.mmap):
        self._frame = frame
        self._work: Any = None

    @property
    def tuples(self) -> bool:
        """Return whether the work tells tuples from lists."""
        return bool(getattr(self._work, "tuples", False))

    def make_ready(self) -> None:
        """Open the pickle, which the grader made, import what the work needs, and shut the rest."""
        self._work = pickle.loads(self._frame)
        with contextlib.suppress(ImportError):
            getattr(self._work, "prepare", lambda: None)()
        refuse_calls()

    def __call__(self) -> Any:
        """Run the work."""
        return self._work()


def serve(works: int, replies: int, scratch: Path) -> None:
    """Run works until there are no more."""
    while header := _read(works, frames.HEADER.size):
        length, seconds, output_bytes = frames.HEADER.unpack(header)
        if not 0 < length <= frames.LARGEST_WORK:
            return
        with mmap.mmap(-1, length) as frame:
            _fill(works, frame)
            folder = Path(tempfile.mkdtemp(dir=scratch))
            work = FramedWork(frame)
            ended = watch_fork(folder, work, (SOURCE_FILE,), seconds, output_bytes)
        _end_all_others()
        _empty(scratch)
        _write(replies, frames.reply(ended))


def _end_all_others() -> None:
    """End whatever a work left running; behind the walls there is nothing but this process."""
    if not _is_behind_walls():
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _is_behind_walls() -> bool:
    """Return whether the first process that is seen from here is the walls' own, or this one."""
    if os.getpid() == 1:
        return True
    try:
        return Path("/proc/1/comm").read_text(encoding="ascii").strip() in _FIRST
    except OSError:
        return False


def _empty(scratch: Path) -> None:
    for entry in scratch.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            with contextlib.suppress(OSError, RecursionError):
                shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _read(descriptor: int, count: int) -> bytes:
    """Return exactly so many bytes; fewer mean that the grader has gone."""
    content = b""
    while len(content) < count:
        chunk = os.read(descriptor, count - len(content))
        if not chunk:
            return b""
        content += chunk
    return content


def _fill(descriptor: int, frame: mmap.mmap) -> None:
    view, at = memoryview(frame), 0
    try:
        while at < len(view):
            count = os.readv(descriptor, [view[at:]])
            if not count:
                raise EOFError("the grader has gone")
            at += count
    finally:
        view.release()


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def main(modules: list[str]) -> None:
    """Warm up, and serve; standard output is for replies alone."""
    replies = os.dup(1)
    os.dup2(2, 1)
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    keep_to_itself()
    scratch = Path(os.environ["LABS_BENCH"])
    scratch.mkdir(parents=True, exist_ok=True)
    _write(replies, frames.READY)
    serve(0, replies, scratch)


if __name__ == "__main__":
    main(sys.argv[1:])

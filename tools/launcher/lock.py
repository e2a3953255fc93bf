"""The set-up's lock: one set-up of a folder at a time."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Iterator

from tools.launcher import places
from tools.launcher.complaints import CourseError
from tools.launcher.terminal import say


@contextlib.contextmanager
def one_at_a_time() -> Iterator[int]:
    """Hold the set-up's lock; a second set-up of the same folder waits."""
    try:
        (places.ROOT / "build").mkdir(exist_ok=True)
        lock = (places.ROOT / "build" / "setup.lock").open("a+")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise CourseError(
            f"the course is set up in its own folder, and {places.ROOT} cannot be written "
            f"({error.strerror}); copy it to a place of your own and start it there"
        ) from None
    with lock as file:
        waiting = False
        while not try_lock(file.fileno()):
            if not waiting:
                say("Another set-up of this folder is running; waiting for it")
            waiting = True
            time.sleep(0.2)
        yield file.fileno()


def try_lock(handle: int) -> bool:
    """Take the system's lock on an open file, or return False."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True

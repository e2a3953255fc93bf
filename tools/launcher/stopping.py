"""How the launcher, and what it started, end in order."""

from __future__ import annotations

import contextlib
import signal


class Stopped(KeyboardInterrupt):
    """A signal told the program to end: a closed terminal, a `kill`."""


def end_in_order() -> None:
    """Let a closed terminal or a `kill` end this program as Ctrl+C does, children first."""

    def stop(_number: int, _frame: object) -> None:
        raise Stopped

    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        # `nohup` has the terminal's end ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def die_with_parent() -> None:
    """Ask Linux to interrupt this process when its parent is gone (PR_SET_PDEATHSIG)."""
    with contextlib.suppress(ImportError, OSError, AttributeError):  # a Python without ctypes
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGINT, 0, 0, 0)

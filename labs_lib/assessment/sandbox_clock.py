"""When code has had its time: the machine's slowness is not the student's."""

from __future__ import annotations

import time
from pathlib import Path

# A machine so busy that nothing comes of it: then the wait ends too.
PATIENCE = 10.0
BUSY_PERCENT = 85.0


class Clock:
    """The time of a process from now on, without the time that it waited for a processor.

    Linux says how long a process stood in the queue. Elsewhere a machine that is busy throughout
    gives a process its limit in processor time instead, up to PATIENCE times as long.
    """

    def __init__(self, pid: int, seconds: float):
        self.pid = pid
        self.seconds = seconds
        self.begun = time.monotonic()
        self.first = _scheduled(pid)
        self.first_used = 0.0 if self.first else _used_seconds(pid)
        if self.first is None:
            import psutil

            psutil.cpu_percent(interval=None)

    @property
    def left_seconds(self) -> float:
        """Return how long there is certainly nothing to decide."""
        return self.begun + self.seconds - time.monotonic()

    def is_late(self) -> bool:
        """Return whether the process has had its seconds."""
        gone = time.monotonic() - self.begun
        if gone <= self.seconds:
            return False
        if gone > PATIENCE * self.seconds:
            return True
        now = _scheduled(self.pid)
        if self.first is not None:
            return now is None or gone - (now[1] - self.first[1]) > self.seconds
        import psutil

        if _used_seconds(self.pid) - self.first_used > 0.9 * self.seconds:
            return True
        return psutil.cpu_percent(interval=0.1) < BUSY_PERCENT

    def is_idle(self) -> bool:
        """Return whether the process has computed next to nothing in its time."""
        now = _scheduled(self.pid)
        used = now[0] - self.first[0] if now and self.first else _used_seconds(self.pid)
        return used - self.first_used < 0.1 * self.seconds


def _scheduled(pid: int) -> tuple[float, float] | None:
    """Return seconds on a processor and in its queue, where the system counts them."""
    try:
        text = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
        ran, waited, _ = text.split()
        return int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return None


def _used_seconds(pid: int) -> float:
    import psutil

    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return used.user + used.system

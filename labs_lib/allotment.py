"""What this process may use of the machine, cores and memory, and which setting says so.

A student on a hub, in a container or under a batch system has a part of a machine, and libraries
that look at all of it start too many threads. `import labs_lib` calls `prepare_threads`, since
OpenMP reads its settings when torch loads it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

THREADS, SPIN, POLICY = "OMP_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
CPU_LIMIT, MEM_LIMIT = "CPU_LIMIT", "MEM_LIMIT"  # how JupyterHub tells a student's server
# How often a thread of GNU's OpenMP, which is torch's on Linux, looks whether the others are done
# before it sleeps.  By itself it looks 300,000 times: beside a neighbor it holds the core that the
# others wait for.  `benchmarks/neighbors.py` on two cores: with 1,000 a step alone takes 9 % longer
# (1.02 to 1.11 s), and beside three other students 5 s instead of 30.  A passive wait, which sleeps
# at once, gains little more there (4.2 s) and costs 43 % alone.
SPIN_COUNT = "1000"
_NO_LIMIT_BYTES = 1 << 60  # version 1 of cgroups writes a large number where there is no limit


@dataclass(frozen=True)
class Limit:
    """An amount (cores, or bytes) and the setting that it comes from."""

    amount: float
    setting: str


@dataclass(frozen=True)
class _Controlled:
    """A folder of a controller's settings; `version` is that of its cgroup."""

    folder: Path
    version: int


def core_limits(root: Path = Path("/")) -> list[Limit]:
    """Return what limits this process's cores, the machine first; a part of a core is a fraction.

    `root` is the folder in which /proc and the cgroups are looked for.
    """
    count, shown = os.cpu_count() or 1, _shown_cores()
    limits = [Limit(count, f"the machine's {count} cores")]
    if shown != count:
        limits.append(Limit(shown, f"CPU affinity, {shown} of {count} cores"))
    for place in _controlled(root, "cpu"):
        if (cores := _quota(place)) is not None:
            limits.append(Limit(cores, f"a cgroup's quota of {cores:g} cores"))
    if (cores := _number_in(os.environ, CPU_LIMIT)) is not None:
        limits.append(Limit(cores, f"{CPU_LIMIT}={cores:g}"))
    return limits


def memory_limits(root: Path = Path("/")) -> list[Limit]:
    """Return what limits this process's memory in bytes, the machine's own size aside."""
    limits = []
    for place in _controlled(root, "memory"):
        name = "memory.max" if place.version == 2 else "memory.limit_in_bytes"
        if (size := _number(_text(place.folder / name))) is not None and size < _NO_LIMIT_BYTES:
            limits.append(Limit(size, "a cgroup's memory limit"))
    if (size := _number_in(os.environ, MEM_LIMIT)) is not None:
        limits.append(Limit(size, MEM_LIMIT))
    return limits


def tightest(limits: list[Limit]) -> Limit:
    """Return the smallest of them; the first named where several are equal."""
    return min(limits, key=lambda limit: limit.amount)


def threads(root: Path = Path("/")) -> Limit:
    """Return how many threads fit the cores that this process has, at least 1, and why so many.

    A part of a core counts as one: two threads on 1.5 cores do more than one thread.
    """
    least = tightest(core_limits(root))
    return Limit(max(1, math.ceil(least.amount)), least.setting)


def prepare_threads(
    environment: MutableMapping[str, str] = os.environ, root: Path = Path("/")
) -> None:
    """Set for OpenMP how many threads there are and how briefly one spins; what is set stays.

    The number is set only where it is smaller than what the system shows: there torch counts the
    processor's own cores, without the second thread of each. Where OpenMP is loaded already,
    nothing changes for this process.
    """
    fitting = int(threads(root).amount)
    if fitting < _shown_cores():
        environment.setdefault(THREADS, str(fitting))
    if sys.platform == "linux" and POLICY not in environment:
        environment.setdefault(SPIN, SPIN_COUNT)


def why_so_many(count: int, root: Path = Path("/")) -> str:
    """Return why torch computes with `count` threads, in a few words."""
    fitting = threads(root)
    told = os.environ.get(THREADS, "").partition(",")[0]
    if count == fitting.amount:
        return fitting.setting
    if told == str(count):
        return f"{THREADS}={told}; {fitting.amount:g} would fit: {fitting.setting}"
    if count < fitting.amount:
        return f"torch's choice for {fitting.setting}"
    return f"set before or after labs_lib was loaded; {fitting.amount:g} fit: {fitting.setting}"


def _shown_cores() -> int:
    """Return how many cores the system shows this process, whatever share of them it gets."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _controlled(root: Path, controller: str) -> Iterator[_Controlled]:
    """Yield the folders in which a controller's settings bind this process, nested ones first."""
    paths = dict(_own_cgroups(root))
    for mounted_root, point, kind, options in _cgroup_mounts(root):
        if kind == "cgroup2":
            path, version = paths.get(""), 2
        elif controller in options:
            path, version = paths.get(controller), 1
        else:
            continue
        if path is None:
            continue
        top = root / point.lstrip("/")
        below = os.path.relpath(path, mounted_root)
        # A namespace shows a process its own top alone, which then is what is mounted.
        place = top if below.startswith(os.pardir) else top / below
        while True:
            yield _Controlled(place, version)
            if place == top:
                break
            place = place.parent


def _own_cgroups(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (controller, path) of this process; version 2 has no controller's name."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            yield from ((controller, fields[2]) for controller in fields[1].split(","))


def _cgroup_mounts(root: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield (path that is mounted, where, kind, options) of each mounted tree of cgroups."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        fields, kinds = mount.split(), system.split()
        if len(fields) > 4 and len(kinds) > 2 and kinds[0] in ("cgroup", "cgroup2"):
            point = fields[4].replace("\\040", " ")
            yield fields[3].replace("\\040", " "), point, kinds[0], kinds[2].split(",")


def _quota(place: _Controlled) -> float | None:
    """Return the cores that a CPU quota comes to; None where there is no quota."""
    if place.version == 2:
        quota, _, period = _text(place.folder / "cpu.max").partition(" ")
    else:
        quota = _text(place.folder / "cpu.cfs_quota_us")
        period = _text(place.folder / "cpu.cfs_period_us")
    share, whole = _number(quota), _number(period)
    return None if share is None or whole is None else share / whole


def _number_in(environment: MutableMapping[str, str], variable: str) -> float | None:
    return _number(environment.get(variable, ""))


def _number(text: str) -> float | None:
    """Return a limit that is written down; None for "max", -1 and what is no number above 0."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # another system, or a folder that this process may not look into
        return ""

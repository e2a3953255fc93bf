"""Around student code's process: what it cannot reach, as far as the system lets us say so.

For a forked process on Linux, without any privilege: Landlock (kernel 5.13 and later; signals from
6.12) keeps it from signalling or tracing processes outside, from TCP, and from writing anywhere
but in a folder of its own; a seccomp filter keeps it in its process group, so that one kill ends
all of it, and away from the notebook's limits and, where Landlock knows no signals, from its
processes. Where one is missing the others stand; with none the code can still end the notebook's
process if it sets out to. Everywhere an audit hook refuses `os.kill` on other processes than the
code's own. These are walls around accidents and pranks, not a prison: files can be read.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Any

MEMORY_BYTES = 4 * 2**30
LARGEST_FILE_BYTES = 2**28

_NO_NEW_PRIVILEGES, _DEATH_SIGNAL, _SET_SECCOMP, _FILTER = 38, 1, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# Landlock's rights: WRITE_FILE, then REMOVE_DIR to MAKE_SYM, REFER and TRUNCATE.
_WRITE, _CHANGE, _REFER, _TRUNCATE = 1 << 1, sum(1 << bit for bit in range(4, 13)), 1 << 13, 1 << 14
_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11

# `never`: setpgid, setsid, ptrace, process_vm_writev, pidfd_send_signal, tkill.
# `signal`: kill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo. `limits`: prlimit64.
_CALLS = {
    "x86_64": {
        "arch": 0xC000003E, "never": (109, 112, 101, 311, 424, 200),
        "signal": (62, 234, 129, 297), "limits": 302,
    },
    "aarch64": {
        "arch": 0xC00000B7, "never": (154, 157, 117, 271, 424, 130),
        "signal": (129, 131, 138, 240), "limits": 261,
    },
}  # fmt: skip


def raise_walls(folder: Path) -> None:
    """Shut this process in, with `folder` as the only place to write; silent where it can't."""
    refuse_kills()
    bound_memory()
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError, ValueError):
        libc = ctypes.CDLL(None)
        libc.prctl(_DEATH_SIGNAL, 9, 0, 0, 0)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        signals_kept = _landlock(libc, folder)
        _filter_calls(libc, signals_kept)


def bound_memory() -> None:
    """Let this process grow by at most MEMORY_BYTES, where the system can say so."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, LARGEST_FILE_BYTES))


def refuse_kills() -> None:
    """Refuse Python's own ways to signal any process but this one and its children."""
    me = os.getpid()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.killpg" or (event == "os.kill" and arguments[0] not in (0, me)):
            if event == "os.kill" and _is_child(arguments[0], me):
                return
            raise PermissionError("checked code may not signal other processes")

    sys.addaudithook(hook)


def _is_child(pid: int, me: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).ppid() == me
    except (psutil.Error, ValueError, TypeError):
        return False


def _landlock(libc: Any, folder: Path) -> bool:
    """Shut this process in by Landlock; return whether that holds signals back."""
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    writes = _WRITE | _CHANGE
    writes |= _REFER if version >= 2 else 0
    writes |= _TRUNCATE if version >= 3 else 0
    net = _TCP if version >= 4 else 0
    scope = _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    asked = struct.pack("QQQ", writes, net, scope)[:size]
    rules = libc.syscall(_CREATE_RULESET, asked, size, 0)
    if rules < 0:
        return False
    on_a_file = writes & (_WRITE | _TRUNCATE)
    devices = [os.devnull, *map(str, Path("/dev").glob("nvidia*"))]
    for place, rights in ((str(folder), writes), *((device, on_a_file) for device in devices)):
        with contextlib.suppress(OSError):
            held = os.open(place, os.O_PATH | os.O_CLOEXEC)
            libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", rights, held), 0)
            os.close(held)
    shut = libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return shut and version >= 6


def _filter_calls(libc: Any, signals_kept: bool) -> None:
    """Answer EPERM to the system calls that lead out of this process's group."""
    calls: Any = _CALLS.get(platform.machine())
    if calls is None:
        return
    number, arch, first = 0, 4, 16  # offsets in what the filter is shown
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    refuse, allow = (answer, 0, 0, 0x00050000 | errno.EPERM), (answer, 0, 0, 0x7FFF0000)
    # Of two jumps the first is taken where the test holds; they count the steps left out.
    steps = [(load, 0, 0, arch), (equal, 1, 0, calls["arch"]), refuse, (load, 0, 0, number)]
    steps += [(at_least, 0, 1, 0x40000000), refuse]  # another numbering on x86-64
    for call in calls["never"]:
        steps += [(equal, 0, 1, call), refuse]
    # Limits of this process, which is 0, alone.
    steps += [(equal, 0, 4, calls["limits"]), (load, 0, 0, first), (equal, 0, 1, 0), allow, refuse]
    above = [] if signals_kept else _ancestors()
    for call in () if signals_kept else calls["signal"]:
        # To this group, which is 0, to this process, and to later ones, as its children are; but
        # to no process above it: once the system has counted round, its number is the larger.
        steps += [(equal, 0, len(above) + 6, call), (load, 0, 0, first)]
        steps += [(equal, len(above) - place + 3, 0, pid) for place, pid in enumerate(above)]
        steps += [(equal, 2, 0, 0)]
        steps += [(at_least, 2, 0, 0x80000000), (at_least, 0, 1, os.getpid()), allow, refuse]
    steps.append(allow)
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    pointer = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program))
    libc.prctl(_SET_SECCOMP, _FILTER, pointer, 0, 0)


def _ancestors() -> list[int]:
    """Return the process that forked this one, the one that started that, and so on, at most 50."""
    above: list[int] = []
    pid = os.getppid()
    with contextlib.suppress(OSError):  # what the system hides of others ends the list
        while pid > 0 and len(above) < 50:
            above.append(pid)
            # "PID (name) state parent": the name may hold anything.
            status = Path(f"/proc/{pid}/stat").read_bytes()
            pid = int(status.rpartition(b")")[2].split()[1])
    return above

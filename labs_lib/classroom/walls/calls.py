"""System calls that no exercise needs, refused to a student's code on the bench (Linux, seccomp).

The filter comes on top of those of a notebook's check (`assessment.sandbox_walls`): there a
student's code harms its own machine at worst, here it is a stranger's. It starts no process, no
program and no connection; threads, which PyTorch starts, it may.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import platform
import struct

_NO_NEW_PRIVILEGES, _NOT_DUMPABLE, _SET_SECCOMP, _FILTER = 38, 4, 22, 2
_THREAD = 0x00010000  # CLONE_THREAD

# Of each machine: its name in what a filter is shown, `clone`, and what is never answered:
# fork, vfork, execve, execveat, socket, bind, listen, connect, unshare, setns, mount, umount2,
# pivot_root, chroot, add_key, request_key, keyctl, bpf, userfaultfd, perf_event_open,
# io_uring_setup, process_vm_readv, memfd_secret, open_by_handle_at.
_MACHINES: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "x86_64": (0xC000003E, 56, (
        57, 58, 59, 322, 41, 49, 50, 42, 272, 308, 165, 166, 155, 161, 248, 249, 250, 321, 323,
        298, 425, 310, 447, 304,
    )),
    "aarch64": (0xC00000B7, 220, (
        221, 281, 198, 200, 201, 203, 97, 268, 40, 39, 41, 51, 217, 218, 219, 280, 282,
        241, 425, 270, 447, 265,
    )),
}  # fmt: skip
_CLONE3 = 435  # its flags lie in memory, where no filter looks; the C library then takes clone


def keep_to_itself() -> None:
    """Let no other process of this user read or trace this one, nor its later forks."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_NOT_DUMPABLE, 0, 0, 0, 0)


def refuse_calls() -> bool:
    """Refuse this process, from now on, what no exercise needs; return whether that holds."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    arch, clone, never = machine
    load, equal, has_bits, answer = 0x20, 0x15, 0x45, 0x06
    allow, refuse = (answer, 0, 0, 0x7FFF0000), (answer, 0, 0, 0x00050000 | errno.EPERM)
    unknown = (answer, 0, 0, 0x00050000 | errno.ENOSYS)
    steps = [(load, 0, 0, 4), (equal, 1, 0, arch), refuse, (load, 0, 0, 0)]
    for call in never:
        steps += [(equal, 0, 1, call), refuse]
    steps += [(equal, 0, 1, _CLONE3), unknown]
    steps += [(equal, 0, 3, clone), (load, 0, 0, 16), (has_bits, 1, 0, _THREAD), refuse, allow]
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    pointer = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program))
    return libc.prctl(_SET_SECCOMP, _FILTER, pointer, 0, 0) == 0

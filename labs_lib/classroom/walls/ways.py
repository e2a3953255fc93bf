"""How a bench is put behind walls: bubblewrap, a container, or, when told so, nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labs_lib import paths
from labs_lib.errors import LabError, choice_error, last_line

SCRATCH = "/tmp/bench"
SCRATCH_BYTES = 256 * 2**20
MEMORY_BYTES = 8 * 2**30
MOST_TASKS = 512
UNSAFE = "none: --unsafe"
IMAGE_VARIABLE = "LABS_GRADER_IMAGE"
WAYS = ("bubblewrap", "docker", "podman")
MODULE = "labs_lib.classroom.walls.bench"

_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "HOME": SCRATCH,
    "LABS_BENCH": SCRATCH,
    "LABS_HOME": f"{SCRATCH}/home",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
}
# Of the system, what a Python and its libraries read; nobody's files are among it.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache",
           "/etc/alternatives", "/sys/devices/system/cpu")  # fmt: skip


@dataclass(frozen=True)
class Way:
    """A kind of wall that this machine has: its name, and the program that builds it."""

    name: str
    program: str

    def command(self, modules: Sequence[str]) -> list[str]:
        """Return the command that starts a bench behind this wall."""
        if self.name == "bubblewrap":
            return _bubblewrap(self.program, modules)
        return _container(self.program, modules)


def find_way(name: str | None = None) -> Way:
    """Return the wall that is named, else the first that works here.

    Raises LabError, which says what to install, where there is none.
    """
    if name is not None and name not in WAYS:
        raise choice_error("--walls", name, WAYS)
    reasons: list[str] = []
    for each in (name,) if name else WAYS:
        way, reason = _look_for(each)
        if way is not None:
            return way
        reasons.append(f"{each}: {reason}")
    raise LabError(
        f"students' code is not run without walls ({'; '.join(reasons)}); on Debian and Ubuntu, "
        "`apt install bubblewrap`; --unsafe runs it as your own user, and the gradebook says so"
    )


def _look_for(name: str) -> tuple[Way | None, str]:
    program = shutil.which("bwrap" if name == "bubblewrap" else name)
    if program is None:
        return None, "not installed"
    if name == "bubblewrap":
        if sys.platform != "linux":
            return None, "for Linux alone"
        trial = [program, "--unshare-all", "--ro-bind", "/", "/", "true"]
    elif not os.environ.get(IMAGE_VARIABLE):
        return None, f"{IMAGE_VARIABLE} names no image with the course in it"
    else:
        trial = [program, "version"]
    try:
        done = subprocess.run(trial, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, last_line(error)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return None, said[-1][:200]
    return Way(name, program), ""


def _bubblewrap(program: str, modules: Sequence[str]) -> list[str]:
    """Return a bench's command: no network, no files but Python's and the course's, read-only.

    Question banks and solutions are not among the course's files that are seen there.
    """
    command = [
        program, "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534",
        "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "bench",
        "--clearenv", "--proc", "/proc", "--dev", "/dev",
        "--size", str(2**20), "--tmpfs", "/dev/shm",
        "--size", str(SCRATCH_BYTES), "--tmpfs", "/tmp",
    ]  # fmt: skip
    for name, value in {**_ENVIRONMENT, "PYTHONPATH": str(paths.PACKAGE.parent)}.items():
        command += ["--setenv", name, value]
    for place in _SYSTEM:
        path = Path(place)
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), place]
        elif path.exists():
            command += ["--ro-bind", place, place]
    for place in _pythons():
        command += ["--ro-bind", place, place]
    command += ["--ro-bind", str(paths.PACKAGE), str(paths.PACKAGE)]
    installed = paths.PACKAGE / "quizzes"
    if installed.is_dir():
        command += ["--tmpfs", str(installed)]
    # Last, so that what is bound above finds its place: nothing at all can be written but in /tmp.
    command += ["--remount-ro", "/", "--chdir", "/tmp"]
    return [*command, sys.executable, "-m", MODULE, *modules]


def _pythons() -> list[str]:
    """Return the folders of this Python, its base and its packages, outermost first."""
    found = [sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent.parent)]
    found += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    kept: list[str] = []
    for place in sorted({str(Path(each).absolute()) for each in found}, key=len):
        below = any(Path(place).is_relative_to(other) for other in [*kept, "/usr"])
        if not below and place != "/" and Path(place).is_dir():
            kept.append(place)
    return kept


def _container(program: str, modules: Sequence[str]) -> list[str]:
    """Return a bench's command in a container whose image holds the course (untested here)."""
    command = [
        program, "run", "--rm", "--interactive", "--init", "--network", "none", "--read-only",
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65534:65534",
        "--pids-limit", str(MOST_TASKS), "--memory", str(MEMORY_BYTES), "--cpus", "1",
        "--tmpfs", f"/tmp:rw,size={SCRATCH_BYTES},mode=1777", "--workdir", "/tmp",
    ]  # fmt: skip
    for name, value in _ENVIRONMENT.items():
        if name != "PATH":
            command += ["--env", f"{name}={value}"]
    return [*command, os.environ[IMAGE_VARIABLE], "python", "-m", MODULE, *modules]

"""The proxy with which the tests run a JupyterHub: one that is here, or one that npm brings.

`python -m tools.proxy` prints its path; where there is none it is fetched first, into the
environment. `LABS_PROXY` names another one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from labs_lib.browser import run, say
from labs_lib.errors import LabError

VARIABLE = "LABS_PROXY"
NAME, VERSION = "configurable-http-proxy", "5.3.0"
OLDEST_NODE = 20  # what that version of the proxy asks for
FOLDER = Path(sys.prefix) / "share" / "lora-lab-proxy"


def find() -> Path | None:
    """Return the proxy, None where there is none.

    Raises `LabError` where `LABS_PROXY` names no program, or where no Node.js could run it.
    """
    check_node()
    if named := os.environ.get(VARIABLE):
        path = shutil.which(named)
        if path is None:
            raise LabError(f"{VARIABLE}: {named!r} is no program; name one, or unset it")
        return Path(path)
    own = shutil.which(NAME, path=str(FOLDER / "node_modules" / ".bin"))
    path = own or shutil.which(NAME)
    return Path(path) if path else None


def bring() -> Path:
    """Return the proxy, fetched with npm where there is none.

    Raises `LabError` with what was tried and what a person can do.
    """
    path, reason = find(), ""
    if path is None:
        npm = shutil.which("npm")
        if npm is None:
            reason = "npm is not on this machine"
        else:
            say(f"Fetching the proxy of JupyterHub for the tests: {NAME} {VERSION}, some 9 MB")
            options = ["--no-audit", "--no-fund", "--loglevel=error", f"--prefix={FOLDER}"]
            reason = run([npm, "install", *options, f"{NAME}@{VERSION}"])
        path = find()
    if path is None:
        raise LabError(
            f"no {NAME} here ({reason or 'npm brought none'}); install it, or name one with "
            f"{VARIABLE}; `course.py test --fast` needs none"
        )
    return path


def check_node() -> None:
    """Raise `LabError` unless a Node.js is here that is new enough."""
    node = shutil.which("node")
    need = f"the tests of the hub need Node.js {OLDEST_NODE} or newer"
    if node is None:
        raise LabError(f"no node here; {need}; `course.py test --fast` needs none")
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"v(\d+)", done.stdout)
    if version is None or int(version[1]) < OLDEST_NODE:
        found = done.stdout.strip() or "a program that tells no version"
        raise LabError(f"node is {found}; {need}; `course.py test --fast` needs none")


if __name__ == "__main__":
    from labs_lib.endings import one_line_errors

    with one_line_errors("proxy"):
        print(bring())

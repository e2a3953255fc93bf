"""A student's server on a hub: lay the lessons in the student's home, then be the server.

JupyterHub starts it as the student, with the options of `jupyterhub-singleuser`. `LABS_COURSE`
names the course's folder, which may be read-only; `LABS_WORKBOOK` the student's, by default
`lora-lab` in the home. If a lesson cannot be laid, the server's log says why, and it starts all the
same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Lay the copies and replace this process by the server."""
    course = Path(__file__).resolve().parent.parent
    os.environ.setdefault("LABS_COURSE", str(course))
    os.environ.setdefault("LABS_WORKBOOK", str(Path.home() / "lora-lab"))
    lay = [sys.executable, "-m", "labs_lib.workbook", os.environ["LABS_COURSE"]]
    subprocess.run(lay, stdin=subprocess.DEVNULL, check=False)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub.singleuser", *sys.argv[1:]])


if __name__ == "__main__":
    main()

"""JupyterHub for the course on one machine: one model for all, and everything else a student's own.

    jupyterhub --config hub/jupyterhub_config.py

`LABS_SHARED` is the folder of the bundled model (by default /srv/lora-lab-cache). `LABS_CORES` and
`LABS_MEMORY` are what each student gets: JupyterHub hands them on as CPU_LIMIT and MEM_LIMIT, by
which the course chooses its threads. The system enforces them only under a spawner that can, such
as SystemdSpawner on one machine and KubeSpawner in a cluster. README.md has the steps.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
c: Any = get_config()  # noqa: F821  # pyright: ignore[reportUndefinedVariable]  # JupyterHub's

# `student.py` lays the lessons in the student's home and becomes the student's server.
# `LABS_PYTHON` names the course's Python where the hub runs in another, as TLJH's does.
c.Spawner.cmd = [os.environ.get("LABS_PYTHON", sys.executable), str(HERE / "student.py")]
c.Spawner.default_url = "/lab/tree/lora-lab/00_start_here.ipynb"
c.Spawner.environment = {
    "LABS_COURSE": str(HERE.parent),
    "LABS_CACHE": os.environ.get("LABS_SHARED", "/srv/lora-lab-cache"),
}
c.Spawner.cpu_limit = float(os.environ.get("LABS_CORES", "1"))
c.Spawner.mem_limit = os.environ.get("LABS_MEMORY", "3G")
c.Spawner.start_timeout = 120

# JupyterHub's own login is that of the machine's users; TLJH and others bring theirs.
if admins := os.environ.get("LABS_ADMINS", "").split():
    c.Authenticator.admin_users = set(admins)
    c.Authenticator.allow_all = True
if address := os.environ.get("LABS_BIND"):
    c.JupyterHub.bind_url = address
if proxy := os.environ.get("LABS_PROXY"):  # where it is not on the path
    c.ConfigurableHTTPProxy.command = [proxy]
# A class that opens the first lesson at once loads torch at once: a few at a time go quicker.
c.JupyterHub.concurrent_spawn_limit = 10

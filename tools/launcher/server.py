"""JupyterLab on a port of this machine alone."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

from tools.launcher import places
from tools.launcher.complaints import CourseError
from tools.launcher.programs import child_environment

FIRST_PORT = 8888


def serve(port: int, token: str) -> subprocess.Popen:
    """Start JupyterLab on a port of this machine alone."""
    command = [
        str(places.venv_python()), "-m", "labs_lib.serve", "--no-browser", f"--port={port}",
        "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={places.ROOT}", "--log-level=WARN", "--LabApp.log_level=WARN",
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--ServerApp.allow_root=True")
    # A session of its own: Ctrl+C then reaches this program alone, and Jupyter asks nothing.  Its
    # standard input is a pipe that ends with this program: so does the server, even after a kill.
    return subprocess.Popen(
        command, cwd=places.ROOT, env=child_environment() | {"JUPYTER_TOKEN": token},
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def wait_for_server(process: subprocess.Popen, port: int, token: str) -> bool:
    """Wait until JupyterLab answers, at most two minutes; return False where it ended instead."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/status", headers={"Authorization": f"token {token}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        try:
            opener.open(request, timeout=5).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise CourseError(f"JupyterLab did not answer on port {port} within 120 s")


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on the port of this machine alone."""
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def first_free_port(port: int) -> int:
    """Return the first free port from `port` on."""
    for candidate in range(port, min(port + 200, 65536)):
        if port_is_free(candidate):
            return candidate
    raise CourseError(f"no free port from {port} on; name one with --port")

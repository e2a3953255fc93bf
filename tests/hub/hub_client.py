"""A JupyterHub on the loopback, and students who run cells in it as a browser does."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_START = 120
# The course's own configuration, but for the system's users, whom a test cannot have.
CONFIG = """
import os
load_subconfig({config!r})
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.environment["XDG_DATA_HOME"] = ""
c.JupyterHub.services = [{{"name": "teacher", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [{{
    "name": "teacher", "services": ["teacher"],
    "scopes": ["admin:users", "admin:servers", "access:servers"],
}}]
"""


class FailedCellError(Exception):
    """A cell ended with an error; the text is its last lines."""


@dataclass(frozen=True)
class Hub:
    """A hub that answers at `address`, its service's token, and the folder of the homes."""

    address: str
    token: str
    homes: Path

    def ask(self, path: str, method: str = "GET", content: Any = None) -> Any:
        """Return what the hub, or a server behind it, answers; None for an empty answer."""
        request = urllib.request.Request(
            f"{self.address}/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def student(self, name: str) -> Student:
        """Return a new student whose server is up."""
        self.ask(f"hub/api/users/{name}", "POST")
        self.ask(f"hub/api/users/{name}/server", "POST")
        until = time.monotonic() + SECONDS_TO_START
        while not self.ask(f"hub/api/users/{name}")["servers"].get("", {}).get("ready"):
            if time.monotonic() > until:
                raise TimeoutError(f"{name}'s server is not up after {SECONDS_TO_START} s")
            time.sleep(0.5)
        return Student(self, name)


@dataclass(frozen=True)
class Student:
    """One student of a hub."""

    hub: Hub
    name: str

    @property
    def home(self) -> Path:
        """The student's home folder."""
        return self.hub.homes / self.name

    def run(self, notebook: str, cells: Sequence[str], seconds: float) -> float:
        """Run cells in a new kernel of a notebook in the home; return the seconds they took.

        Raises `FailedCellError` for the first that fails, `TimeoutError` after `seconds`.
        """
        asked = {"path": notebook, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        session = self.hub.ask(f"user/{self.name}/api/sessions", "POST", asked)
        place = f"user/{self.name}/api/kernels/{session['kernel']['id']}/channels"
        line = websocket.create_connection(
            f"{self.hub.address.replace('http', 'ws', 1)}/{place}",
            header=[f"Authorization: token {self.hub.token}"],
            timeout=seconds,
        )
        started = time.monotonic()
        try:
            for cell in cells:
                run_cell(line, cell, started + seconds)
            return time.monotonic() - started
        finally:
            line.close()
            self.hub.ask(f"user/{self.name}/api/sessions/{session['id']}", "DELETE")


def run_cell(line: websocket.WebSocket, code: str, until: float) -> None:
    """Have a kernel run a cell and wait for its reply."""
    number = uuid.uuid4().hex
    line.send(
        json.dumps(
            {
                "header": {
                    "msg_id": number, "msg_type": "execute_request", "username": "student",
                    "session": number, "date": "", "version": "5.3",
                },
                "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
                "content": {
                    "code": code, "silent": False, "store_history": True, "user_expressions": {},
                    "allow_stdin": False, "stop_on_error": True,
                },
            }
        )
    )  # fmt: skip
    while True:
        line.settimeout(max(1.0, until - time.monotonic()))
        received = line.recv()
        if not isinstance(received, str):  # a widget's buffers
            continue
        message = json.loads(received)
        if message["parent_header"].get("msg_id") != number:
            continue
        if message["header"]["msg_type"] == "execute_reply":
            content = message["content"]
            if content["status"] != "ok":
                raise FailedCellError(f"{code.strip()[:80]}: {content.get('evalue')}")
            return


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def hub(folder: Path, proxy: Path, cache: Path) -> Iterator[Hub]:
    """Yield a hub that runs by the course's configuration; it ends with its students' servers."""
    port, hub_port, proxy_port = free_ports(3)
    homes, token = folder / "homes", secrets.token_hex(16)
    homes.mkdir()
    config = folder / "config.py"
    config.write_text(
        CONFIG.format(
            config=str(ROOT / "hub" / "jupyterhub_config.py"), hub_port=hub_port,
            proxy_port=proxy_port, homes=str(homes), token=token,
        ),
        encoding="utf-8",
    )  # fmt: skip
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LABS_")},
        "LABS_BIND": f"http://127.0.0.1:{port}", "LABS_SHARED": str(cache),
        "LABS_PROXY": str(proxy), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--config", str(config)], cwd=folder,
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    found = Hub(f"http://127.0.0.1:{port}", token, homes)
    try:
        until = time.monotonic() + SECONDS_TO_START
        while not answers(found):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((folder / "log.txt").read_text(encoding="utf-8")[-3000:])
            time.sleep(0.5)
        yield found
    finally:
        process.terminate()  # ends its servers and its proxy
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


def answers(found: Hub) -> bool:
    """Return whether a hub answers behind its proxy."""
    try:
        return bool(found.ask("hub/api/"))
    except (OSError, ValueError, urllib.error.HTTPError):
        return False

"""A JupyterLab of a test's own, and a page in it that a test can drive."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, TimeoutError, expect

from labs_lib import workbook

ROOT = Path(__file__).resolve().parent.parent.parent
OUTPUT = ".jp-OutputArea-output"
# Cells out of sight are not drawn unless told; a test looks for text anywhere in the notebook.
SETTINGS = {"notebook-extension/tracker": {"windowingMode": "none", "kernelShutdown": True}}
PAGE_CONFIG = {
    "disabledExtensions": {
        "@jupyterlab/apputils-extension:announcements": True,
        "@jupyterlab/extensionmanager-extension:plugin": True,
    }
}


@dataclass(frozen=True)
class LabServer:
    """A running JupyterLab: its address, its token and the folder it serves."""

    address: str
    token: str
    folder: Path


@contextmanager
def jupyterlab(folder: Path, home: Path) -> Iterator[LabServer]:
    """Serve a student's copies of the lessons from `folder`, with settings of its own.

    `home` is the server's LABS_HOME.

    At the end the server and every kernel that it started are gone.
    """
    course, settings = folder / "course", folder / "jupyter"
    for name in ("film", "notebooks"):
        shutil.copytree(ROOT / name, course / name)
    workbook.lay(course)
    _write(settings / "config" / "labconfig" / "page_config.json", PAGE_CONFIG)
    for name, content in SETTINGS.items():
        _write(settings / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings", content)
    port, token = _free_port(), secrets.token_hex(16)
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "JUPYTER_CONFIG_DIR": str(settings / "config"),
        "JUPYTER_DATA_DIR": str(settings / "data"),
        "JUPYTER_RUNTIME_DIR": str(settings / "runtime"),
        "JUPYTER_TOKEN": token,
        "JUPYTERLAB_SETTINGS_DIR": str(settings / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings / "workspaces"),
        "LABS_HOME": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    command = [
        sys.executable, "-m", "labs_lib.serve", "--no-browser", "--allow-root", f"--port={port}",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={course}",
        "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    log = folder / "jupyterlab.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=course, env=environment, stdin=subprocess.PIPE, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        server = LabServer(f"http://127.0.0.1:{port}", token, course)
        _wait_until_it_answers(server, process, log)
        yield server
    finally:
        _end(process)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_answers(server: LabServer, process: subprocess.Popen, log: Path) -> None:
    request = urllib.request.Request(
        f"{server.address}/api/status", headers={"Authorization": f"token {server.token}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(encoding="utf-8")[-3000:]
        try:
            opener.open(request, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"no answer from JupyterLab: {log.read_text(encoding='utf-8')[-3000:]}")


def _end(process: subprocess.Popen) -> None:
    """Ask the server to stop, which ends its kernels; then make sure."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with suppress(OSError, AttributeError):  # the group is gone, or this is Windows
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


class LabPage:
    """One notebook, open in a browser."""

    def __init__(self, page: Page, server: LabServer):
        self.page = page
        self.server = server

    def open(self, notebook: str, seconds: float = 90) -> None:
        """Open a notebook, named relative to the course's folder, and wait for its kernel."""
        address = f"{self.server.address}/lab/tree/{notebook}?reset&token={self.server.token}"
        self.page.goto(address, wait_until="domcontentloaded", timeout=seconds * 1000)
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell?.currentWidget;
                const kernel = panel?.sessionContext?.session?.kernel;
                return Boolean(panel?.content?.widgets)
                    && kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
            }""",
            timeout=seconds * 1000,
        )

    def run_all(self, seconds: float = 300) -> None:
        """Run all cells and wait for the last; an error in a cell fails the test."""
        self.page.evaluate(
            """() => {
                window.runAllEnded = null;
                window.jupyterapp.commands.execute('notebook:run-all-cells').then(
                    () => { window.runAllEnded = 'done'; },
                    error => { window.runAllEnded = String(error); });
            }"""
        )
        try:
            self.page.wait_for_function("() => window.runAllEnded !== null", timeout=seconds * 1000)
        except TimeoutError as error:
            raise AssertionError(f"no end within {seconds} s: {self._state()}") from error
        ended = self.page.evaluate("() => window.runAllEnded")
        problems = self.errors() or ([] if ended == "done" else [f"run all: {ended}"])
        if problems:
            raise AssertionError("\n".join(problems))

    def _state(self) -> str:
        """Say how the kernel stands, and which code cells have been run."""
        kernel = self.page.evaluate(
            """() => {
                const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel;
                return kernel ? `${kernel.status}, ${kernel.connectionStatus}` : 'none';
            }"""
        )
        counts = [cell.get("execution_count") for cell in self.cells() if "outputs" in cell]
        return f"kernel {kernel}; cells' counts {counts}"

    def cells(self) -> list[dict[str, Any]]:
        """Return the notebook's cells as the browser holds them (nbformat 4)."""
        model = "() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"
        return self.page.evaluate(model)

    def errors(self) -> list[str]:
        """Return the errors that stand in outputs, each with the cell's first line."""
        found = []
        for cell in self.cells():
            head = "".join(cell["source"]).partition("\n")[0]
            for output in cell.get("outputs", ()):
                if output["output_type"] == "error":
                    found.append(f"{head}: {output['ename']}: {output['evalue']}")
        return found

    def outputs(self, text: str | re.Pattern[str]) -> Locator:
        """Return the outputs on the page that hold `text`."""
        return self.page.locator(OUTPUT).filter(has_text=text)

    def wait_for_text(self, text: str | re.Pattern[str], seconds: float = 30) -> None:
        """Wait until some output on the page shows `text`."""
        expect(self.outputs(text).first).to_be_visible(timeout=seconds * 1000)

    def screenshot(self, path: Path, scroll_to: str | re.Pattern[str] | None = None) -> Path:
        """Save a picture of the window, with the first output that holds a text in sight."""
        if scroll_to is not None:
            self.outputs(scroll_to).first.scroll_into_view_if_needed()
        self.page.screenshot(path=path)
        return path

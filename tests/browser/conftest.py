"""`lab`: a page of real JupyterLab, in Chromium, on a copy of the course."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labpage import LabPage, LabServer, jupyterlab
from playwright.sync_api import Page

from labs_lib import browser

# Without these Chromium looks for its maker's servers at every start.
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The browser that `course.py test` takes; root may not use its sandbox."""
    path = browser.find()
    if path is None:
        pytest.fail("no browser here; python -m labs_lib.browser brings one")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    arguments = [*QUIET, *(["--no-sandbox"] if root else [])]
    return {**browser_type_launch_args, "executable_path": path, "args": arguments}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """A tall window, so that most of a lesson is in sight."""
    return {**browser_context_args, "viewport": {"width": 1280, "height": 2000}}


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory, labs_home: Path) -> Iterator[LabServer]:
    """One JupyterLab for all browser tests."""
    with jupyterlab(tmp_path_factory.mktemp("lab"), labs_home) as server:
        yield server


@pytest.fixture
def lab(page: Page, lab_server: LabServer) -> LabPage:
    """A fresh page, with no notebook open yet."""
    return LabPage(page, lab_server)

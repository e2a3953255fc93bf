"""What every test shares: a home of its own, so that no test touches a student's progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs_lib.notebooks import scratch_home

ROOT = Path(__file__).resolve().parent.parent

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Workers that share the cores wait for each other at every barrier; before torch is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


@pytest.fixture(scope="session")
def root() -> Path:
    """The course's folder."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def labs_home() -> Iterator[Path]:
    """A LABS_HOME for the whole session; converted models are this machine's own."""
    with scratch_home() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(home))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield home

"""What every test shares: a home of its own, so that no test touches a student's progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labs_lib.notebooks import scratch_home

ROOT = Path(__file__).resolve().parent.parent


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

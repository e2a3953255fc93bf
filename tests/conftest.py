"""What every test shares: a home of its own, so that no test touches a student's progress."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.notebooks import scratch_home

ROOT = Path(__file__).resolve().parent.parent

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Workers that share the cores wait for each other at every barrier; before torch is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

# A search for garbage looks through all that the libraries left, and took a quarter of the time.
gc.set_threshold(20_000)
LOADED = pytest.StashKey[int]()
"""How many modules there were when what they left was last set apart."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set apart from the search what libraries have left, whenever a hundred modules came."""
    if len(sys.modules) >= item.config.stash.get(LOADED, 0) + 100:
        gc.collect()
        gc.freeze()
        item.config.stash[LOADED] = len(sys.modules)


# A parameter's `repr`, whole or cut: "<list object at 0x7f…>", "<function prepare at 0x…>".
ADDRESS = re.compile(r" at 0x|<function |<bound method | object at\b")


LONGEST_ID = 60
"""Characters of a parameter in a test's id. Some parameters are texts of ten million: every process
keeps its ids many times over, and each fork of it copies what lists them."""


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name a long text or number by its beginning; pytest numbers what is then named alike."""
    if type(val) is int and val.bit_length() > 3 * LONGEST_ID:
        val = hex(val)
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        start = val[:LONGEST_ID]
        return start if isinstance(start, str) else start.decode("ascii", "backslashreplace")
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test id with an address in it, which differs between workers, and one of pages."""
    for item in items:
        if len(item.nodeid) > 10 * LONGEST_ID:
            raise pytest.UsageError(
                f"{item.nodeid[:100]}…: {len(item.nodeid)} characters; give ids="
            )
        if ADDRESS.search(item.nodeid):
            raise pytest.UsageError(f"{item.nodeid}: an object's address in a test id; give ids=")


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

"""Where Landlock knows no signals, the filter alone keeps the notebook alive."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from labs_lib.assessment import sandbox_walls
from labs_lib.assessment.sandbox import run_apart

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls are raised on Linux alone")
ABOVE = (os.getpid(), os.getppid())


def kill(pid: int) -> int:
    """Ask whether `pid` may be signalled, and send nothing: 0 where it may, -1 where not."""
    return ctypes.CDLL(None).kill(pid, 0)


@pytest.mark.parametrize("pid", ABOVE, ids=["parent", "grandparent"])
def test_what_is_above_is_out_of_reach_when_numbers_have_come_round(
    pid: int, monkeypatch: pytest.MonkeyPatch
):
    """The system counts processes up to a limit and begins anew: a child's number may be small."""
    monkeypatch.setattr(sandbox_walls, "_landlock", lambda *_: False)
    monkeypatch.setattr(sandbox_walls.os, "getpid", lambda: 1)
    assert run_apart(lambda: kill(pid), method="fork").value == -1
    assert run_apart(lambda: kill(0), method="fork").value == 0  # its own group


def test_the_list_of_what_is_above_begins_with_the_parent_and_ends():
    above = sandbox_walls._ancestors()
    assert above[0] == os.getppid()
    assert len(set(above)) == len(above)

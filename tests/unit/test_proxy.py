"""The hub's tests get their proxy before a check runs, or one line says what is missing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labs_lib.errors import LabError
from tools import proxy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stands in by shell scripts")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a program of that name and these lines on the path, where nothing else is."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv(proxy.VARIABLE, raising=False)
    monkeypatch.setattr(proxy, "FOLDER", tmp_path / "own")

    def put(name: str, lines: str) -> Path:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return put


def test_without_node_one_line_says_so(programs: Callable[[str, str], Path]):
    with pytest.raises(LabError, match=r"no node here; .* Node.js 20 or newer; .*--fast"):
        proxy.bring()


@pytest.mark.parametrize("version", ["v18.20.4", "nonsense"])
def test_a_node_that_is_too_old_is_named(programs: Callable[[str, str], Path], version: str):
    programs("node", f"echo {version}")
    with pytest.raises(LabError, match=r"node is .*need Node.js 20"):
        proxy.bring()


def test_a_proxy_that_is_here_is_taken(
    programs: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    programs("node", "echo v22.1.0")
    here = programs(proxy.NAME, "exit 0")
    assert proxy.bring() == here
    own = programs("own-proxy", "exit 0")
    monkeypatch.setenv(proxy.VARIABLE, str(own))
    assert proxy.bring() == own
    monkeypatch.setenv(proxy.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(LabError, match=r"LABS_PROXY: .* is no program"):
        proxy.bring()


def test_npm_brings_it_into_the_environment_and_what_stops_it_is_told(
    programs: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    programs("node", "echo v20.0.0")
    with pytest.raises(LabError, match="npm is not on this machine"):
        proxy.bring()
    programs("npm", "echo 'npm error network'; exit 1")
    with pytest.raises(LabError, match="npm error network"):
        proxy.bring()
    made = tmp_path / "own" / "node_modules" / ".bin" / proxy.NAME
    mkdir, touch, chmod = (shutil.which(name, path="/usr/bin:/bin") for name in TOOLS)
    programs("npm", f"{mkdir} -p {made.parent}; {touch} {made}; {chmod} +x {made}")
    assert proxy.bring() == made


TOOLS = ("mkdir", "touch", "chmod")

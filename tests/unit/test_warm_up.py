"""The first cell of a lesson answers at once; the next one finds its libraries whole."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.events import EventManager, available_events

from labs_lib import warm_up

SLOW = "import gc, time\nsearched = gc.isenabled()\ntime.sleep(0.3)\nwhole = True\n"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Any:
    made: Any = SimpleNamespace()
    made.events = EventManager(made, available_events)
    monkeypatch.setattr(warm_up, "_shell", lambda: made)
    return made


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "slow_to_import.py").write_text(SLOW, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_to_import", raising=False)
    return "slow_to_import"


def test_it_returns_at_once_and_the_next_cell_waits(
    shell: Any, slow_module: str, capsys: pytest.CaptureFixture[str]
):
    warm_up.load_in_background([slow_module])
    assert not getattr(sys.modules.get(slow_module), "whole", False)
    assert "in the background" in capsys.readouterr().out
    shell.events.trigger("pre_run_cell", None)
    assert sys.modules[slow_module].whole
    told = capsys.readouterr()
    assert told.out == ""  # a stored notebook keeps no line that depends on the clock
    assert told.err.startswith("waiting for torch")
    shell.events.trigger("pre_run_cell", None)  # the cells after that one are left alone
    assert capsys.readouterr().err == ""


def test_what_is_there_is_not_loaded_again(shell: Any, capsys: pytest.CaptureFixture[str]):
    warm_up.load_in_background(["json"])
    assert capsys.readouterr().out == "Ready.\n"
    assert shell.events.callbacks["pre_run_cell"] == []


def test_an_interrupted_wait_is_waited_for_by_the_next_cell(
    shell: Any,
    slow_module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    warm_up.load_in_background([slow_module])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", interrupted)
        shell.events.trigger("pre_run_cell", None)
    assert "the next cell waits again" in capsys.readouterr().err
    shell.events.trigger("pre_run_cell", None)
    assert sys.modules[slow_module].whole


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_missing_library_is_left_to_the_cell_that_imports_it(shell: Any):
    warm_up.load_in_background(["no_such_module_here"])
    shell.events.trigger("pre_run_cell", None)


def test_outside_a_notebook_nothing_is_loaded_ahead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(warm_up, "_shell", lambda: None)
    warm_up.load_in_background(["no_such_module_here"])
    assert capsys.readouterr().out == "Ready.\n"


def test_what_was_loaded_is_kept_out_of_the_search_for_garbage(
    shell: Any, slow_module: str, capsys: pytest.CaptureFixture[str]
):
    before = gc.get_freeze_count()
    warm_up.load_in_background([slow_module])
    shell.events.trigger("pre_run_cell", None)
    assert not sys.modules[slow_module].searched
    assert gc.isenabled()
    assert gc.get_freeze_count() > before

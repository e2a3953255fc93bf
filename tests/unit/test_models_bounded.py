"""The small programs that judge a stranger's text: apart, limited, and not to be taken for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs_lib.models import bounded
from labs_lib.models.bounded import OutOfBoundsError, run_bounded

MATCH = {"patterns": ["a.*b"], "names": ["axb"]}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that puts another program in the place of `match`."""
    monkeypatch.setattr(bounded, "_CHILDREN", tmp_path)
    return lambda text: (tmp_path / "match.py").write_text(text)


@pytest.mark.parametrize("name", ["runpy", "json", "re", "limits"])
def test_no_file_beside_the_work_stands_in_for_a_module(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_bounded("match", MATCH) == {"error": None}


@pytest.mark.parametrize("slip", ["1 / 0", "import no_such_module", "raise SystemExit(1)"])
def test_a_fault_of_the_program_is_not_blamed_on_the_text(slip: str, program: Any) -> None:
    program(slip)
    with pytest.raises(RuntimeError, match=r"children/match\.py failed: "):
        run_bounded("match", MATCH)


@pytest.mark.parametrize(
    "end",
    ["import time; time.sleep(60)", "raise MemoryError", "import os; os.abort()"],
    ids=["time", "memory", "ended by the system"],
)
def test_a_program_without_an_end_or_at_its_limit(end: str, program: Any) -> None:
    program(end)
    with pytest.raises(OutOfBoundsError):
        run_bounded("match", MATCH, seconds=2)

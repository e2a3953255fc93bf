"""The GPU's benchmark: its cells run on a CPU too, it keeps its time, its figures make a table."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from labs_lib.errors import LabError
from tools.tables.gpu import gpu

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The benchmark's own functions."""
    monkeypatch.syspath_prepend(FOLDER)
    return runpy.run_path(str(FOLDER / "gpu.py"))


def test_no_cell_begins_after_the_time_is_over(bench: dict[str, Any]):
    clock = iter(range(0, 1000, 100))
    todo = [(name, lambda name=name: {"what": name}) for name in "abcdef"]
    figures, left_out, failed = bench["measured"](todo, 250, lambda: next(clock))
    assert [each["cell"] for each in figures] == ["a"]  # three looks at the clock a cell
    assert left_out == dict.fromkeys("bcdef", "the time was over")
    assert not failed


@pytest.mark.seconds
def test_a_cell_that_does_not_fit_is_left_out_and_a_slip_is_told(bench: dict[str, Any]):
    def raises(error: Exception) -> Any:
        def cell() -> None:
            raise error

        return cell

    todo = [
        ("small card", raises(LabError("the step needs 40 GiB"))),
        ("full", raises(torch.OutOfMemoryError("CUDA out of memory."))),
        ("slip", raises(TypeError("no such argument"))),
        ("fine", lambda: {"peak_bytes": 1}),
    ]
    figures, left_out, failed = bench["measured"](todo, 60)
    assert [each["cell"] for each in figures] == ["fine"]
    assert list(left_out) == ["small card", "full"]
    assert failed == {"slip": "TypeError: no such argument"}


def test_a_cards_figures_have_a_file_of_their_own(bench: dict[str, Any]):
    assert bench["place_of"]("NVIDIA H100 80GB HBM3").name == "gpu-nvidia-h100-80gb-hbm3.json"


def test_without_a_card_it_says_so_in_a_line(root: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    done = call(root)
    assert done.returncode == 2
    assert done.stderr.startswith("gpu: no CUDA on this machine")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_all_cells_run_with_a_tiny_model_and_make_the_table(root: Path, tmp_path: Path):
    done = call(root, "--dry-run", "--json", str(tmp_path / "gpu-tiny.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    values = json.loads((tmp_path / "gpu-tiny.json").read_text(encoding="utf-8"))
    assert not values["left_out"]
    assert not values["failed"]
    text = gpu(tmp_path)
    for cell in values["cells"]:
        assert "peak_bytes" not in cell or f"| {cell['cell']} |" in text
    assert "Square products in bf16 run at" in text
    assert "answers take" in text


def test_the_readme_says_that_nothing_was_measured(tmp_path: Path):
    assert gpu(tmp_path).startswith("Not measured yet")


def call(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(FOLDER / "gpu.py"), *arguments]
    return subprocess.run(program, cwd=root, capture_output=True, text=True, check=False)

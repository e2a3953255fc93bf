"""The benchmarks say how they are used, and refuse what they cannot measure, before they work."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if "__main__" in path.read_text("utf-8"))


def call(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed(root: Path, script: str):
    result = call(root, f"benchmarks/{script}", "--help")
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("training.py", "--methods", "dora"), "--methods: 'dora' is none of lora, qlora, full"),
        (("training.py", "--methods", "short"), "--methods: 'short' is none of"),
        (("training.py", "--lengths", ""), "--lengths: '' is none of short, long"),
        (("training.py", "--steps", "0"), "--steps: 0 is not legal"),
        (
            ("profile_step.py", "--methods", "dora"),
            "--methods: 'dora' is none of lora, qlora, full",
        ),
        (("waiting.py", "--leave-out", "lesson"), "'lesson' is none of"),
        (("widgets.py", "--changes", "0"), "--changes: 0 is not legal"),
        (("gpu.py", "--minutes", "0"), "--minutes: 0 is not legal"),
        (("gpu.py", "--only", "13b, LoRA"), "--only: '13b, LoRA' is in none of"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(
    root: Path, arguments: tuple[str, ...], complaint: str
):
    script, *rest = arguments
    result = call(root, f"benchmarks/{script}", *rest)
    assert result.returncode == 2
    assert complaint in result.stderr


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_the_exponent_is_the_power_that_was_put_in(monkeypatch: pytest.MonkeyPatch, power: float):
    monkeypatch.syspath_prepend(FOLDER)
    exponent = runpy.run_path(str(FOLDER / "growth.py"))["exponent"]
    sizes = [1, 4, 16, 64]
    assert exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)

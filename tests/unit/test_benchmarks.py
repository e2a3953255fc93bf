"""The benchmarks say how they are used, and refuse what they cannot measure, before they work."""

from __future__ import annotations

import json
import re
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
    ("arguments", "told"),
    [
        (("training.py", "--methods", "dora"), "--methods: 'dora' is none of lora, qlora, full"),
        (("training.py", "--methods", "short"), "--methods: 'short' is none of"),
        (("training.py", "--lengths", ""), "--lengths: '' is none of short, long"),
        (("training.py", "--steps", "0"), "--steps: 0 is not legal"),
        (("waiting.py", "--leave-out", "lesson"), "'lesson' is none of"),
        (("widgets.py", "--changes", "0"), "--changes: 0 is not legal"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(
    root: Path, arguments: tuple[str, ...], told: str
):
    script, *rest = arguments
    result = call(root, f"benchmarks/{script}", *rest)
    assert result.returncode == 2
    assert told in result.stderr


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_the_exponent_is_the_power_that_was_put_in(monkeypatch: pytest.MonkeyPatch, power: float):
    monkeypatch.syspath_prepend(FOLDER)
    exponent = runpy.run_path(str(FOLDER / "growth.py"))["exponent"]
    sizes = [1, 4, 16, 64]
    assert exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_the_readmes_table_is_what_was_recorded():
    told = (FOLDER / "README.md").read_text("utf-8").replace("**ours**", "ours")
    names = {"trl": "TRL's defaults", "plain": "plain `Trainer`", "loop": "hand-written loop"}
    lines = [line for line in told.splitlines() if line.startswith("|")]
    rows = [
        row
        for name in ("training-short.json", "training-long.json")
        for row in json.loads((FOLDER / "results" / name).read_text("utf-8"))["rows"]
    ]
    for row in rows:
        way = names.get(row["contender"], row["contender"])
        cells = (
            f"{way} | {row['seconds_per_step']:.2f} "
            f"({row['seconds_least']:.2f}–{row['seconds_most']:.2f}) "
            f"| {row['tokens_per_second']:.0f} | {row['times_trl']:.2f} "
            f"| {row['matrix_share']:.0%} | {row['given_share']:.0%} "
            f"| {row['peak_bytes'] / 2**20:,.0f} | {row['held_out_loss']:.4f} |"
        ).replace("%", " %")
        assert any(cells in line for line in lines), cells
    assert max(abs(row["loss_against_trl"]) for row in rows) < 0.01
    peaks = {(r["method"], r["length"], r["contender"]): r["peak_bytes"] for r in rows}
    for (method, length, way), peak in peaks.items():
        assert way != "ours" or peak <= peaks[method, length, "trl"], "told as never above TRL's"
    prose = " ".join(told.split())
    rates = [row["matrix_gflops"] for row in rows]
    assert f"ran at {min(rates):.0f} to {max(rates):.0f} GFLOP/s beside the cells" in prose
    ours = {(r["method"], r["length"]): r for r in rows if r["contender"] == "ours"}
    of_lora = {
        length: ours["qlora", length]["seconds_per_step"] / ours["lora", length]["seconds_per_step"]
        for length in ("short", "long")
    }
    assert f"{of_lora['short']:.2f} of LoRA's on short rows and {of_lora['long']:.2f} on" in prose


def test_the_readmes_waiting_times_are_what_was_recorded():
    told = (FOLDER / "README.md").read_text("utf-8")
    figures = json.loads((FOLDER / "results" / "waiting.json").read_text("utf-8"))["figures"]
    assert len([name for name in figures if name.startswith("lesson 0")]) == 8  # 7, and a training
    for what, number in figures.items():
        cell = f"{number:,.1f}" if "(ms)" in what else f"{number:,.2f} s"
        assert f"| {what} | {cell} |" in told, what


def test_the_readmes_exponents_are_what_was_recorded():
    told = (FOLDER / "README.md").read_text("utf-8")
    told = told[told.index("## Growth") : told.index("## What was tried")]
    series = json.loads((FOLDER / "results" / "growth.json").read_text("utf-8"))["series"]
    written = re.findall(r"(−?\d\.\d\d) (?:for|by)", told)
    found = [f"{each['exponent']:.2f}".replace("-", "−") for each in series.values()]
    assert written == [each.replace("−0.00", "0.00") for each in found]

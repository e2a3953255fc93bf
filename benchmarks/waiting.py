"""Everything that a student waits for, timed: set-up, JupyterLab, imports, answers, lessons.

    python benchmarks/waiting.py [--leave-out setup,lessons,...] [--json results.json]

- setup: `course.py setup` in a fresh copy of the course, pip's cache as it is; then again
- lab: from `course.py start` to JupyterLab answering
- first_output: from a lesson's first cell in a new kernel to its first output, and to the end of
  the imports
- model: loading the bundled model, and its first answer, in a process that has its imports
- fine_tune: the training of lesson 00
- lessons: each notebook from its first cell to its last, as a student gets it
- sliders: from a slider's change to its new output, p95, in the kernel and in a browser's page
- commands: `labs --help`, `labs memory`, `import labs_lib`

Goals, on two cores: first output under 4 s, model under 2 s, fine-tune under 20 s, all lessons
under 15 minutes. The exit status is 0 whatever the figures.

Takes about 25 minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from record import ROOT, write_record

# One line of figures: what it is → seconds (milliseconds where the name says so).
Figures = dict[str, float]

MODEL_PROGRAM = """
import time
import peft, transformers
from labs_lib import models
from labs_lib.training import answer, quiet_libraries
with quiet_libraries():
    started = time.perf_counter()
    model, tokenizer = models.load()
    loaded = time.perf_counter()
    answer(model, tokenizer, ["What is the capital of France?"], max_new_tokens=16)
print(loaded - started, time.perf_counter() - loaded)
"""
FINE_TUNE_PROGRAM = """
import sys, time
from labs_lib.training import Recipe, train
started = time.perf_counter()
run = train(Recipe.from_yaml("recipes/sea-captain.yaml"), sys.argv[1])
print(run.cost.train_seconds, time.perf_counter() - started)
"""


def setup() -> Figures:
    """Time a first and a second set-up of a fresh copy."""
    with tempfile.TemporaryDirectory() as name:
        course = Path(name) / "course"
        run(["git", "clone", "--quiet", str(ROOT), str(course)])
        command = [sys.executable, "course.py", "setup"]
        home = {"LABS_HOME": str(Path(name) / "home")}
        return {
            "first set-up": timed(command, course, home),
            "second set-up": timed(command, course, home),
        }


def lab() -> Figures:
    """Time from the launcher to the address of a JupyterLab that answers; set up beforehand."""
    run([sys.executable, "course.py", "setup"])
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "course.py", "start", "--no-browser"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    seconds = next(
        (time.perf_counter() - started for line in process.stdout if "http://" in line), None
    )
    process.terminate()
    process.wait()
    if seconds is None:
        raise SystemExit("course.py start gave no address")
    return {"JupyterLab answers": seconds}


def first_output() -> Figures:
    """Time each lesson's first output and the end of its imports, in a new kernel; the slowest."""
    from tools import notebooks

    shown, imported = [], []
    for path in sorted(notebooks.FOLDER.glob("*.ipynb")):
        code = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
        # A lesson without a cell of imports has all it needs in its first.
        until = next((i for i, text in enumerate(code) if "from labs_lib import" in text), 0)
        with kernel() as execute:
            started = time.perf_counter()
            times = [when for text in code[: until + 1] for when in execute(text)]
            imported.append(time.perf_counter() - started)
            shown.append(times[0] - started if times else imported[-1])
    return {
        "a lesson's first output (slowest)": max(shown),
        "a lesson's imports done (slowest)": max(imported),
        "a lesson's imports done (median)": statistics.median(imported),
    }


@contextmanager
def kernel() -> Iterator[Callable[[str], list[float]]]:
    """Yield what runs a cell in a new kernel and returns when each of its outputs came."""
    from jupyter_client.manager import start_new_kernel

    from tools import notebooks

    manager, client = start_new_kernel(
        kernel_name="python3",
        cwd=str(notebooks.FOLDER),
        env={**os.environ, **notebooks.QUIET},
        stderr=subprocess.DEVNULL,  # remarks of the server's; a cell's error comes in its reply
    )

    def execute(text: str) -> list[float]:
        times: list[float] = []

        def hook(message: dict) -> None:
            kinds = ("stream", "display_data", "execute_result")
            if message["header"]["msg_type"] in kinds:
                times.append(time.perf_counter())

        reply = client.execute_interactive(text, output_hook=hook, timeout=120)
        if reply["content"]["status"] != "ok":
            raise SystemExit(f"a first cell failed: {reply['content']['evalue']}")
        return times

    try:
        yield execute
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def model() -> Figures:
    """Time the bundled model's loading and its first answer; medians of three processes."""
    pairs = [numbers_of([sys.executable, "-c", MODEL_PROGRAM]) for _ in range(3)]
    loading, answering = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {"model loaded": loading, "first answer": answering}


def fine_tune() -> Figures:
    """Time lesson 00's fine-tune in a new home."""
    with tempfile.TemporaryDirectory() as folder:
        training, whole = numbers_of(
            [sys.executable, "-c", FINE_TUNE_PROGRAM, str(Path(folder) / "run")]
        )
    return {"lesson 00's training": training, "with its answers before and after": whole}


def lessons() -> Figures:
    """Time each notebook, one student taking them in order."""
    from tools import notebooks

    figures: Figures = {}
    with notebooks.scratch_home() as home:
        for path in sorted(notebooks.FOLDER.glob("*.ipynb")):
            notebook = notebooks.read(path)
            started = time.perf_counter()
            notebooks.execute(notebook, environment={"LABS_HOME": str(home)})
            figures[f"lesson {path.stem}"] = time.perf_counter() - started
    return figures | {"all lessons": sum(figures.values())}


def sliders() -> Figures:
    """Time the instruments, in the kernel and in Chromium's page where there is one."""
    import widgets

    figures = {
        f"{name}, in the kernel (ms)": row["p95_ms"]
        for name, row in widgets.measure(changes=120).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "tests/browser/test_instruments.py"]
        command += ["-k", "by_keyboard", "-o", "junit_family=xunit1", f"--junit-xml={report}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        delays = list(ElementTree.parse(report).iter("property")) if report.exists() else []
        if not delays:
            print(f"no figures of the page:\n{done.stdout[-1000:]}", file=sys.stderr)
        for delay in delays:
            name = (delay.get("name") or "").partition("_key_to_page")[0]
            figures[f"{name}, key to page (ms)"] = float(delay.get("value") or "nan")
    return figures


def commands() -> Figures:
    """Time the CLI and the package's import; medians of five."""
    labs = [str(Path(sys.executable).with_name("labs"))]
    calls = {
        "import labs_lib": [sys.executable, "-c", "import labs_lib"],
        "labs --help": [*labs, "--help"],
        "labs memory llama-2-7b": [*labs, "memory", "llama-2-7b"],
    }
    return {
        name: statistics.median(timed(command) for _ in range(5)) for name, command in calls.items()
    }


PARTS: dict[str, Callable[[], Figures]] = {
    part.__name__: part
    for part in (commands, model, first_output, lab, fine_tune, sliders, lessons, setup)
}


def run(command: Sequence[str], folder: Path = ROOT, more: dict[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed; the benchmark ends where it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(more or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:80]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def timed(command: Sequence[str], folder: Path = ROOT, more: dict[str, str] | None = None) -> float:
    """Return a program's seconds from start to end."""
    started = time.perf_counter()
    run(command, folder, more)
    return time.perf_counter() - started


def numbers_of(command: Sequence[str]) -> list[float]:
    """Return the numbers in a program's last line."""
    return [float(number) for number in re.findall(r"[\d.e+-]+", run(command).splitlines()[-1])]


def main() -> None:
    """Time every part, print a line each, write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leave-out", default="", help=f"parts not to time: {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    left_out = [name for name in arguments.leave_out.split(",") if name]
    if unknown := [name for name in left_out if name not in PARTS]:
        parser.error(f"--leave-out: {unknown[0]!r} is none of {', '.join(PARTS)}")

    from labs_lib import hardware

    machine = hardware.detect()
    print(f"{machine.device_name}, {machine.cores} cores, {machine.precision}")
    figures: Figures = {}
    for name, part in PARTS.items():
        if name in left_out:
            continue
        measured = part()
        figures |= measured
        for what, number in measured.items():
            unit, digits = ("", 1) if "(ms)" in what else (" s", 2)
            print(f"{what:<44}{number:>9.{digits}f}{unit}", flush=True)
    if arguments.json:
        write_record(arguments.json, figures=figures)


if __name__ == "__main__":
    main()

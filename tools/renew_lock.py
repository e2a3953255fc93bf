"""Renew requirements.lock from pyproject.toml, for every Python and system at once.

    python -m pip install uv
    python tools/renew_lock.py [--upgrade] [PACKAGE ...]

Pins stay as they are where they still fit; `--upgrade` renews all of them, `PACKAGE` that one.
The lock leaves out what torch's CUDA build brings (NVIDIA's libraries and Triton): they
belong to that build alone, and course.py installs them where torch asks for them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
TORCH_BUILD_ONLY = re.compile(r"(nvidia-|cuda-|triton)")
# torch is pinned by hand: the lessons' numbers were measured with this one.
TORCH = "torch==2.13.0"
HEADER = """\
# Exact versions for Python 3.10 to 3.13 on Linux, macOS and Windows.
# Made from pyproject.toml by tools/renew_lock.py; do not edit by hand.
"""
TESTED = ["test", "cluster", "hub", "site"]
SECTIONS = {"course": [], "test": TESTED, "dev": [*TESTED, "dev"]}


def resolve(extras: list[str], known: str, options: list[str]) -> list[str]:
    """Return the pins for the project with some extras, keeping `known` ones where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock.txt"
        output.write_text(known, encoding="utf-8")
        constraint = Path(folder) / "torch.txt"
        constraint.write_text(TORCH, encoding="utf-8")
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
            "--python-version", "3.10", "--no-python-downloads", "--no-annotate", "--no-header",
            "--constraint", str(constraint), "--output-file", str(output), *options,
            *(f"--extra={extra}" for extra in extras), str(ROOT / "pyproject.toml"),
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
        lines = output.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not TORCH_BUILD_ONLY.match(line)]


def fresh(pins: list[str], listed: dict[str, list[str]]) -> list[str]:
    """Return the pins that no section before has.

    A pin that the extras need on more machines than the course takes the narrower one's place,
    so that no machine finds a name twice.
    """
    new = []
    for pin in pins:
        package = pin.partition(" ;")[0]
        for lines in listed.values():
            for place, line in enumerate(lines):
                if line.partition(" ;")[0] == package and line not in pins:
                    lines[place] = pin
        if not any(pin in lines for lines in listed.values()):
            new.append(pin)
    return new


def main() -> None:
    """Write the lock: one section for the course, one for its tests, one for its developers."""
    options: list[str] = []
    for argument in sys.argv[1:]:
        options += [argument] if argument == "--upgrade" else ["--upgrade-package", argument]
    known = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    everything = resolve(SECTIONS["dev"], known, options)
    known = "\n".join(everything)
    listed: dict[str, list[str]] = {}
    for section, extras in SECTIONS.items():
        pins = everything if section == "dev" else resolve(extras, known, [])
        listed[section] = fresh(pins, listed)
    text = HEADER
    for section, lines in listed.items():
        text += f"\n# [{section}]\n" + "\n".join(lines) + "\n"
    LOCK.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

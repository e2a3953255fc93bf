"""Nothing heavy is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "torch transformers peft trl bitsandbytes datasets pandas matplotlib ipywidgets"


def loaded_by(code: str) -> list[str]:
    """Return which heavy libraries a fresh Python has loaded after running `code`."""
    listing = f"print(*[n for n in {HEAVY!r}.split() if n in sys.modules], file=sys.stderr)"
    program = f"{code}\nimport sys\n{listing}"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return result.stderr.splitlines()[-1].split()


def modules_loaded_by(code: str) -> int:
    """Return how many modules a fresh Python has loaded after running `code`."""
    program = f"{code}\nimport sys\nprint(len(sys.modules), file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return int(result.stderr.splitlines()[-1])


HELP = "from labs_lib.cli import labs\nlabs.main(['--help'], standalone_mode=False)"


@pytest.mark.parametrize("code", ["import labs_lib", HELP], ids=["import", "help"])
def test_import_and_help_load_nothing_heavy(code: str):
    assert loaded_by(code) == []


@pytest.mark.parametrize(("code", "most"), [("import labs_lib", 60), (HELP, 160)])
def test_import_and_help_load_few_modules(code: str, most: int):
    """What they take in seconds, `benchmarks/waiting.py` measures."""
    assert modules_loaded_by(code) - modules_loaded_by("pass") < most

"""Nothing heavy is loaded before it is used."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

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


def seconds(command: list[str], times: int = 5) -> float:
    """Return the median wall time of a command, after one run that fills the caches."""
    subprocess.run(command, capture_output=True, check=True)
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


HELP = "from labs_lib.cli import labs\nlabs.main(['--help'], standalone_mode=False)"


@pytest.mark.parametrize("code", ["import labs_lib", HELP], ids=["import", "help"])
def test_import_and_help_load_nothing_heavy(code: str):
    assert loaded_by(code) == []


def test_import_takes_less_than_three_tenths_of_a_second():
    bare = seconds([sys.executable, "-c", "pass"])
    assert seconds([sys.executable, "-c", "import labs_lib"]) - bare < 0.3


def test_help_takes_less_than_six_tenths_of_a_second():
    program = "from labs_lib.cli import main; main(['--help'])"
    assert seconds([sys.executable, "-c", program]) < 0.6

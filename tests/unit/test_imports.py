"""Nothing heavy is loaded before it is used."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import labs_lib

PACKAGE = Path(labs_lib.__file__).parent
HEAVY = "torch transformers peft trl bitsandbytes datasets pandas matplotlib ipywidgets fsrs"


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


LIGHT = [
    "from labs_lib.assessment import check, grade, load_banks, standing",
    "from labs_lib.assessment.review import review_plan",
    "from labs_lib.data import DataSet, load_set, resolve",
    "from labs_lib.judging import rows_needed, wilson_interval; wilson_interval(3, 4)",
    "from labs_lib.lowrank import check_rank, scaling_of",
    "from labs_lib.memory import MemoryRequest, cards, forecast; forecast('llama-2-7b')",
    "from labs_lib.models import catalogue, find, resolve_targets",
    "from labs_lib.quantization import QUANT_TYPES, check_settings",
    "from labs_lib.training import Recipe, parse_assignment",
    "from labs_lib.workbook import bring_in_update, lay, start_again",
]


@pytest.mark.parametrize("code", LIGHT, ids=lambda code: code.split()[1])
def test_what_a_forecast_a_recipe_and_a_question_need_loads_nothing_heavy(code: str):
    assert loaded_by(code) == []


LAZY_ROOMS = [path.parent.name for path in sorted(PACKAGE.glob("*/__init__.pyi"))]


@pytest.mark.parametrize("room", LAZY_ROOMS)
def test_each_name_in_a_stub_is_there_once_asked_for_and_none_before(room: str):
    stub = (PACKAGE / room / "__init__.pyi").read_text(encoding="utf-8")
    a_name = re.compile(r"from \.([\w.]+) import (\w+) as \2")
    lines = [a_name.fullmatch(text) for text in stub.splitlines()]
    homes = {line[2]: line[1] for line in lines if line}
    assert len(homes) == len(lines)
    module = importlib.import_module(f"labs_lib.{room}")
    assert sorted(module.__all__) == dir(module) == sorted(homes)
    for name, home in homes.items():
        held = importlib.import_module(f"labs_lib.{room}.{home}")
        assert getattr(module, name) is getattr(held, name)


def test_a_misspelt_name_is_no_name_and_its_neighbors_are_listed():
    from labs_lib import training

    with pytest.raises(AttributeError, match="trian") as caught:
        _ = training.trian  # pyright: ignore[reportAttributeAccessIssue]
    assert caught.value.obj is training  # what Python's "Did you mean" looks through
    with pytest.raises(ImportError, match="cannot import name 'trian'"):
        from labs_lib.training import trian  # noqa: F401  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("code", "most"), [("import labs_lib", 60), (HELP, 160)])
def test_import_and_help_load_few_modules(code: str, most: int):
    """What they take in seconds, `benchmarks/waiting.py` measures."""
    assert modules_loaded_by(code) - modules_loaded_by("pass") < most

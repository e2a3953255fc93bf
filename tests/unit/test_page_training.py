"""The NF4 line, the loss's tokens and a QLoRA step in Python: refusals, lines, what they load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs_lib.data import load_set
from labs_lib.errors import LabError
from labs_lib.widgets import LossTokens, NF4Line, QLoRAStep

LIGHT = """
import json, sys
from labs_lib.widgets.page import page_html

for name, state in json.load(open(sys.argv[1])).items():
    page_html(name, state)
sys.exit(", ".join({"torch", "transformers", "matplotlib"} & set(sys.modules)) or 0)
"""


@pytest.fixture(scope="module")
def tokens() -> LossTokens:
    return LossTokens()


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        (NF4Line, {"book": "nf5"}, "book: 'nf5' is not legal; it is"),
        (NF4Line, {"weight": 0.7}, r"weight: 0\.7 is beyond the absmax 0\.5"),
        (NF4Line, {"absmax": -1.0}, "absmax: -1 is not above zero"),
        (NF4Line, {"merging": True, "update": float("nan")}, "update: nan is no finite number"),
        (QLoRAStep, {"tokens": 0}, "tokens: 0 is no whole number from 1 up"),
        (QLoRAStep, {"moment": -1}, "moment: -1 is no moment"),
        (QLoRAStep, {"ranks": 8}, "'ranks' is not one of .*; did you mean 'rank'"),
    ],
)
def test_what_has_no_figures_is_refused_in_one_line(kind: Any, state: dict[str, Any], words: str):
    with pytest.raises(LabError, match=words):
        kind(**state)


def test_a_row_is_refused_where_nothing_is_left_of_it(tokens: LossTokens):
    with pytest.raises(LabError, match="max_length: 0 is no number of tokens"):
        LossTokens(**{**tokens.page_state, "max_length": 0})


def test_a_row_of_one_s_own_is_shown(tokens: LossTokens):
    from transformers import AutoTokenizer

    from labs_lib.models import prepare_bundled

    tokenizer = AutoTokenizer.from_pretrained(prepare_bundled(), local_files_only=True)
    row = load_set("sea-captain").train[1]
    own = LossTokens(tokenizer, row)
    assert own.max_length == 57 == own.figures()["tokens"]
    assert tokens.text == "LossTokens: 48 tokens; the loss counts 12; end token counted"
    tokens.max_length = 40
    assert tokens.line() == (
        "40 tokens, 8 of the answer cut off; the loss counts 4; end token not counted"
    )


def test_lines_say_what_becomes_of_an_update_and_of_the_peak():
    assert NF4Line(merging=True).text.endswith("moved by 0.0000 in 4 bits and by 0.0039 in 16")
    assert "peak 176.7 MB (Restore W_down, again)" in QLoRAStep(checkpointing=True).text
    assert (
        "4.2 MB wait between the passes, 134.2 MB in 32 layers"
        in QLoRAStep(checkpointing=True).text
    )


def test_a_page_is_made_of_a_stored_state_without_the_heavy_libraries(
    tmp_path: Path, tokens: LossTokens
):
    shown = (NF4Line(), tokens, QLoRAStep())
    states = tmp_path / "states.json"
    states.write_text(json.dumps({each.name: each.page_state for each in shown}), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(states)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

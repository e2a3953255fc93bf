"""A run that is too large for the card says what to change: followed, it fits, and it is true."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from card_trials import advised, card_of, followed, peak_of, recipe_of

from labs_lib.errors import LabError
from labs_lib.training import Recipe, train
from labs_lib.training.progress import Silent

LARGE: dict[str, Any] = {"batch_size": 64, "dataset": "structured-output", "max_length": 192}


@pytest.fixture(scope="module")
def reserved(tmp_path_factory: pytest.TempPathFactory) -> int:
    """What torch takes of the card for the large run, where nothing limits it."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train(large(), tmp_path_factory.mktemp("large") / "run", progress=Silent())
    return torch.cuda.max_memory_reserved()


def large(**fields: Any) -> Recipe:
    return recipe_of("full", 2, **LARGE | {"eval_rows": 0} | fields)


def test_the_advice_is_followed_until_the_run_fits(reserved: int, tmp_path: Path):
    def run_it(recipe: Recipe) -> Any:
        return train(recipe, tmp_path / "run", progress=Silent())

    with card_of(0.7 * reserved):
        run, tried = followed(large(), run_it)
    assert 2 <= len(tried) <= 5
    assert run.recipe == tried[-1]
    assert run.recipe.rows_per_step == large().rows_per_step


def test_what_a_change_is_said_to_save_it_saves(reserved: int, tmp_path: Path):
    with card_of(0.5 * reserved), pytest.raises(LabError) as caught:
        train(large(), tmp_path / "run", progress=Silent())
    line = str(caught.value)
    assert line.startswith("out of GPU memory")
    whole = peak_of(large(), tmp_path / "whole")
    for number, advice in enumerate(advised(line)):
        if advice.saved_bytes:
            less = peak_of(large().but(**advice.fields), tmp_path / str(number))
            saved = whole - less
            assert saved > 0.5 * advice.saved_bytes, advice.fields
            assert saved < 2 * advice.saved_bytes + 0.1 * whole, advice.fields


def test_a_failed_run_leaves_the_card_as_it_found_it(reserved: int, tmp_path: Path):
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    with card_of(0.5 * reserved), pytest.raises(LabError) as caught:
        train(large(), tmp_path / "run", progress=Silent())
    # As a notebook keeps its last error, this test keeps `caught`.
    assert torch.cuda.memory_allocated() - before < 64 * 2**20, caught.value

"""What the GPU tests try, tried on a CPU: a trial that fails here says nothing about a card."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from card_trials import advised, followed, kernels_on, product_errors, recipe_of, stepped

from labs_lib.errors import LabError
from labs_lib.memory import LaidOut
from labs_lib.step.methods import METHODS
from labs_lib.training import Recipe
from labs_lib.training.advice import does_not_fit
from labs_lib.training.forecasting import LongestBatch


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
def test_the_cpus_kernels_are_the_courses_to_the_bit(quant_type: str, double_quant: bool):
    found = kernels_on("cpu", quant_type, double_quant)
    assert (found.same_codes, found.absmax_error, found.value_error) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("tokens", [1, 64])
def test_a_4_bit_product_is_that_of_the_restored_weight(tokens: int):
    product, gradient = product_errors("cpu", tokens)
    assert product < 0.01
    assert gradient < 0.01


@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
def test_without_a_second_memory_paged_states_are_as_others_are():
    assert torch.equal(stepped("cpu", True, 0.2), stepped("cpu", False, 0.2))


# Sixteen rows of structured output in a batch, as the course's trainer lays them out.
SIXTEEN = LongestBatch("cpu", 69, LaidOut(16, 69, tokens=727, answers=396, words_added=True))
MEASURED_MIB = {"whole": 2337, "checkpointing": 2069, "batch_size": 2624, "method": 672}
"""Peaks of live tensors of full fine-tuning in bf16 on a CPU: as it is, and with one change."""


def test_what_a_change_is_said_to_save_is_what_it_saved_when_it_was_measured():
    recipe = recipe_of("full", 1, batch_size=16, dataset="structured-output", max_length=192)
    line = str(does_not_fit(recipe, "bf16", "out of memory", on_gpu=False, batch=SIXTEEN))
    found = advised(line)
    # Eight rows at a time keep a gradient of every weight meanwhile, and take more than sixteen do.
    assert [next(iter(each.fields)) for each in found] == ["checkpointing", "method", "method"]
    for advice in found[:2]:
        assert advice.saved_bytes is not None
        saved = MEASURED_MIB["whole"] - MEASURED_MIB[next(iter(advice.fields))]
        assert advice.saved_bytes / 2**20 == pytest.approx(saved, rel=0.1)
    assert MEASURED_MIB["batch_size"] > MEASURED_MIB["whole"]


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_its_recipe(method: str):
    recipe = recipe_of(method, 20)
    assert recipe.how is METHODS[method]
    assert recipe.steps == 20


def test_an_out_of_memory_line_is_read_as_recipes():
    recipe = Recipe.of(method="full", steps=1, batch_size=8, max_length=2048)
    line = str(does_not_fit(recipe, "bf16", "CUDA out of memory. Tried to allocate 2 GiB"))
    found = advised(line)
    assert [each.fields for each in found] == [
        {"checkpointing": True},
        {"batch_size": 4, "accumulation": 2},
        {"method": "lora"},
        {"method": "qlora"},
        {"max_length": 1024},
    ]
    assert all(each.saved_bytes is None or each.saved_bytes > 0 for each in found)
    assert found[0].saved_bytes


def test_advice_is_followed_until_a_run_ends():
    def train(recipe: Recipe) -> Any:
        if recipe.checkpointing and recipe.batch_size <= 2:
            return recipe
        raise does_not_fit(recipe, "bf16", "CUDA out of memory. Tried to allocate 2 GiB")

    ended, tried = followed(Recipe.of(method="lora", steps=1, batch_size=8), train)
    assert (ended.batch_size, ended.accumulation, ended.checkpointing) == (2, 4, True)
    assert len(tried) == 4
    with pytest.raises(LabError, match="out of GPU memory"):
        followed(Recipe.of(method="lora", steps=1, batch_size=4096), train)

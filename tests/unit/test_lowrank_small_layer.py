"""The 6 × 6 layer of the instrument: trained as PyTorch trains it, merged, switched off."""

import numpy as np
import pytest
import torch

from labs_lib.errors import LabError
from labs_lib.lowrank import LoRALinear, SmallLayer, example_layer, layer_figures
from labs_lib.lowrank.small_layer import MOST_STEPS

LAYER = example_layer()


def torch_layer(rank):
    base = torch.nn.Linear(6, 6, bias=False, dtype=torch.float64)
    built = LoRALinear(base, rank, LAYER.alpha)
    with torch.no_grad():
        base.weight.copy_(torch.tensor(LAYER.weight))
        built.lora_A.copy_(torch.tensor(LAYER.start_a[:rank]))
    return built


@pytest.mark.parametrize("rank", range(1, 7))
def test_steps_are_those_of_gradient_descent_in_pytorch(rank):
    built = torch_layer(rank)
    inputs, wanted = torch.tensor(LAYER.inputs), torch.tensor(LAYER.wanted)
    optimizer = torch.optim.SGD([built.lora_A, built.lora_B], lr=LAYER.rate)
    for steps in range(5):
        figures = layer_figures(LAYER, rank, steps)
        y = built(inputs)
        loss = 0.5 * (y - wanted).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        assert np.allclose(figures["y"], y[0].detach())
        assert figures["loss"] == pytest.approx(loss.item())
        for name, factor in (("A", built.lora_A), ("B", built.lora_B)):
            assert np.allclose(figures[name], factor.detach())
            assert factor.grad is not None
            assert figures[f"gradient_{name}"] == pytest.approx(factor.grad.norm().item())
        optimizer.step()


@pytest.mark.parametrize("rank", range(1, 7))
def test_at_the_start_only_b_has_a_gradient_and_y_is_the_bases(rank):
    figures = layer_figures(LAYER, rank, 0)
    assert figures["y"] == figures["through_weight"] == (LAYER.weight @ LAYER.inputs[0]).tolist()
    assert figures["gradient_A"] == 0 < figures["gradient_B"]
    assert layer_figures(LAYER, rank, 1)["A"] == figures["A"]
    losses = [layer_figures(LAYER, rank, steps)["loss"] for steps in range(MOST_STEPS + 1)]
    assert all(np.diff(losses) <= 0)
    # The wanted outputs need a change of rank 2.
    assert losses[-1] > 0.3 * losses[0] if rank == 1 else losses[-1] < 0.01 * losses[0]


def test_merged_is_the_same_y_and_off_is_the_bases():
    plain, merged, off = (
        layer_figures(LAYER, 2, 7, **state) for state in ({}, {"merged": True}, {"on": False})
    )
    assert np.allclose(plain["y"], merged["y"])
    assert plain["loss"] == pytest.approx(merged["loss"])
    assert off["loss"] == layer_figures(LAYER, 2, 0)["loss"] > plain["loss"]
    assert merged["update"] == off["update"] == [0] * 6
    assert off["y"] == layer_figures(LAYER, 2, 0)["y"]
    assert np.linalg.matrix_rank(np.array(merged["weight"]) - LAYER.weight) == 2
    assert (plain["frozen"], plain["trained"]) == (36, 24)


@pytest.mark.parametrize(
    ("arguments", "state", "expected"),
    [
        ((0, 0), {}, "rank: 0 is not legal"),
        ((7, 0), {}, "rank: 7 is above 6"),
        ((1, -1), {}, "steps: -1 is not legal; a whole number from 0 to 60"),
        ((1, 61), {}, "steps: 61"),
        ((1, 1), {"merged": True, "on": False}, "unmerge it first"),
    ],
)
def test_what_is_not_legal_is_said(arguments, state, expected):
    with pytest.raises(LabError, match=expected):
        layer_figures(LAYER, *arguments, **state)


def test_the_layer_goes_through_json_unchanged():
    again = SmallLayer.of(LAYER.numbers())
    assert layer_figures(again, 3, 4) == layer_figures(LAYER, 3, 4)

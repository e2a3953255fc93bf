"""A LoRA layer small enough to read every number of it, and its training, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labs_lib.errors import LabError, shorten
from labs_lib.lowrank.knobs import check_rank, scaling_of

MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class SmallLayer:
    """A frozen weight, where its adapter starts, and the examples on which it is trained.

    Shapes: `weight` (d_out, d_in); `start_a` (min(d_out, d_in), d_in), whose first r rows are
    `lora_A` at its start; `inputs` (n, d_in), of which the first is shown; `wanted` (n, d_out), the
    outputs to learn. `rate` is the learning rate of plain gradient descent on the mean over the
    examples of ½‖y − wanted‖².
    """

    weight: np.ndarray
    start_a: np.ndarray
    inputs: np.ndarray
    wanted: np.ndarray
    alpha: float
    rate: float

    @classmethod
    def of(cls, numbers: dict[str, Any]) -> SmallLayer:
        """Build the layer from lists, as JSON holds them."""
        arrays = {name: np.array(numbers[name], float) for name in _ARRAYS}
        return cls(**arrays, alpha=numbers["alpha"], rate=numbers["rate"])

    def numbers(self) -> dict[str, Any]:
        """Return the layer as lists, as JSON holds them."""
        lists = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {**lists, "alpha": self.alpha, "rate": self.rate}

    def trained(self, rank: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `lora_A` (r, d_in) and `lora_B` (d_out, r) after some steps from B = 0."""
        check_rank(rank, *self.weight.shape)
        if isinstance(steps, bool) or not 0 <= steps <= MOST_STEPS:
            raise LabError(
                f"{shorten(steps)} is not legal; a whole number from 0 to {MOST_STEPS}", "steps"
            )
        lora_A, lora_B = self.start_a[:rank], np.zeros((len(self.weight), rank))
        for _ in range(steps):
            slope_A, slope_B = self.gradients(lora_A, lora_B)
            lora_A, lora_B = lora_A - self.rate * slope_A, lora_B - self.rate * slope_B
        return lora_A, lora_B

    def gradients(self, lora_A: np.ndarray, lora_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ∂L/∂A and ∂L/∂B: the means of s·Bᵀ(y − wanted)·xᵀ and s·(y − wanted)·(A·x)ᵀ.

        s is the scaling; each gradient has the other factor in it.
        """
        scaling = scaling_of(len(lora_A), self.alpha)
        hidden = self.inputs @ lora_A.T
        miss = self.inputs @ self.weight.T + scaling * hidden @ lora_B.T - self.wanted
        mean = scaling * miss / len(self.inputs)
        return lora_B.T @ mean.T @ self.inputs, mean.T @ hidden


_ARRAYS = ("weight", "start_a", "inputs", "wanted")


def example_layer() -> SmallLayer:
    """Return the 6 × 6 layer of the lessons: numbers of one digit, A within ±1/√6 as PEFT draws it.

    The wanted outputs are those of W plus a change of rank 2.
    """
    draw = np.random.default_rng(82)
    weight = np.round(draw.uniform(-0.9, 0.9, (6, 6)), 1)
    start_a = np.round(draw.uniform(-(6**-0.5), 6**-0.5, (6, 6)), 2)
    inputs = np.round(draw.uniform(-1, 1, (4, 6)), 1)
    change = np.round(draw.uniform(-0.7, 0.7, (6, 2)), 1) @ np.round(draw.uniform(-1, 1, (2, 6)), 1)
    wanted = np.round(inputs @ (weight + change).T, 2)
    return SmallLayer(weight, start_a, inputs, wanted, alpha=4, rate=0.3)


def layer_figures(
    layer: SmallLayer, rank: int, steps: int, *, merged: bool = False, on: bool = True
) -> dict[str, Any]:
    """Return what passes through the layer after some steps, as lists and numbers.

    `merged` puts scaling · B·A into the weight; `on` is whether the adapter's path counts. Raises
    `LabError` for a rank or a number of steps that is not legal, and for a merged adapter that is
    to be switched off: once merged it has no path of its own.
    """
    if merged and not on:
        raise LabError("False is not legal for a merged adapter; unmerge it first", "on")
    lora_A, lora_B = layer.trained(rank, steps)
    scaling = scaling_of(rank, layer.alpha)
    change, x = scaling * lora_B @ lora_A, layer.inputs[0]
    weight = layer.weight + change if merged else layer.weight
    update = np.zeros(len(weight)) if merged or not on else change @ x
    counted = layer.weight + change if on else layer.weight
    miss = layer.inputs @ counted.T - layer.wanted
    slope_A, slope_B = layer.gradients(lora_A, lora_B)
    return {
        "scaling": scaling,
        "A": lora_A.tolist(),
        "B": lora_B.tolist(),
        "weight": weight.tolist(),
        "hidden": (lora_A @ x).tolist(),
        "through_weight": (weight @ x).tolist(),
        "update": update.tolist(),
        "y": (weight @ x + update).tolist(),
        "loss": 0.5 * float(np.square(miss).sum()) / len(miss),
        "gradient_A": float(np.linalg.norm(slope_A)),
        "gradient_B": float(np.linalg.norm(slope_B)),
        "frozen": layer.weight.size,
        "trained": rank * sum(layer.weight.shape),
    }

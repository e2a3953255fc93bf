"""What of bf16's rounding moves the loss of full fine-tuning: each kind by itself, in fp32.

    python benchmarks/rounding.py [--seeds N] [--json results.json]

The loop of `losses.py` trains every weight in fp32, N times, a seed having its own rows. Then it
does so again with one kind of number rounded to bf16, as a product in bf16 rounds it, and all else
left alone:

- inputs: what enters each linear map
- gradients: what comes back to each linear map's output
- weights: each linear map's weights, where they are multiplied; the optimizer keeps them in fp32
- weights, off the grid: the same, from weights that were first moved at random within the range
  that is rounded to them. Published weights are numbers of bf16: all of them lie in the middle

Rounding is to the nearest, and the gradient passes it unchanged. The trained weights are judged in
fp32. It comes out alike on every CPU.

Takes about 12 minutes.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from losses import NoClock
from record import write_record
from training_task import LENGTHS, held_out_loss
from training_ways import build_loop

KINDS = ("none", "inputs", "gradients", "weights", "weights, off the grid")
SCATTER_SEED = 99


def main() -> None:
    """Train with every kind of rounding and print the losses."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--length", default="long", choices=list(LENGTHS))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    for option in ("seeds", "steps"):
        if getattr(arguments, option) < 1:
            parser.error(f"--{option}: {getattr(arguments, option)} is not legal; 1 or more")
    losses: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for seed in range(arguments.seeds):
        for kind in KINDS:
            losses[kind].append(trained(kind, arguments.length, arguments.steps, seed))
            print(f"{seed} {kind:22}{losses[kind][-1]:8.4f}", flush=True)
    shares = lost_shares()
    for update, share in shares.items():
        print(f"an update of {update}: lost on {share:.0%} of the weights")
    if arguments.json:
        settings = {"length": arguments.length, "steps": arguments.steps}
        write_record(arguments.json, **settings, losses=losses, lost_shares=shares)


def trained(kind: str, length: str, steps: int, seed: int) -> float:
    """Return the held-out loss after one training."""
    from labs_lib.quiet import quiet_libraries

    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        model, take_steps, _ = build_loop("full", length, steps, folder, seed)
        if kind == "weights, off the grid":
            scatter(model)
        with rounding(kind.partition(",")[0]):
            take_steps(NoClock())
        loss = held_out_loss(model, length)
    del model, take_steps
    gc.collect()
    return loss


@contextmanager
def rounding(kind: str) -> Iterator[None]:
    """Have linear maps round one kind of number to bf16 inside the block."""
    import torch

    forward, backward = rounders()

    def rounded(self: Any, x: Any) -> Any:
        weight = forward(self.weight) if kind == "weights" else self.weight
        y = torch.nn.functional.linear(forward(x) if kind == "inputs" else x, weight, self.bias)
        return backward(y) if kind == "gradients" else y

    with patch.object(torch.nn.Linear, "forward", rounded):
        yield


def rounders() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what rounds a tensor and not its gradient, and what does the opposite."""
    import torch

    def nearest(values: torch.Tensor) -> torch.Tensor:
        return values.to(torch.bfloat16).float()

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, values: torch.Tensor) -> torch.Tensor:
            return nearest(values)

        @staticmethod
        def backward(_: Any, *outgoing: torch.Tensor) -> torch.Tensor:
            return outgoing[0]

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, values: torch.Tensor) -> torch.Tensor:
            return values.view_as(values)

        @staticmethod
        def backward(_: Any, *outgoing: torch.Tensor) -> torch.Tensor:
            return nearest(outgoing[0])

    return Forward.apply, Backward.apply


def scatter(model: Any) -> None:
    """Move each weight at random, evenly within the range that bf16 rounds to it."""
    import torch

    generator = torch.Generator().manual_seed(SCATTER_SEED)
    with torch.no_grad():
        for weight in model.parameters():
            weight += spacing(weight) * (torch.rand(weight.shape, generator=generator) - 0.5)


def spacing(weight: Any) -> Any:
    """Return the distance from a weight to the next number of bf16: 8 bits of significand."""
    import torch

    return torch.ldexp(torch.ones_like(weight), torch.frexp(weight).exponent - 8)


def lost_shares() -> dict[str, float]:
    """Return on what share of the bundled model's weights an update of so much is rounded away."""
    import torch
    from training_ways import loaded

    model, _ = loaded("full")
    weights = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    if not torch.equal(weights, weights.to(torch.bfloat16).float()):
        sys.exit("rounding.py: the model's weights are not numbers of bf16")
    half = spacing(weights) / 2
    return {f"{update:g}": float((half > update).float().mean()) for update in (1e-4, 2e-4, 7e-4)}


if __name__ == "__main__":
    main()

"""Random layers with an adapter, and mistakes that only run where every side is equal."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from labs_lib.assessment.exercises.base import same


def random_layer(
    generator: random.Random, d_in: int, d_out: int, rank: int, rows: tuple[int, ...]
) -> tuple[Any, ...]:
    """Return x, W, bias, A, B, alpha at random, with alpha/r, alpha and 1 all different."""
    import torch

    numbers = torch.Generator().manual_seed(generator.randint(0, 2**31))

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, generator=numbers, dtype=torch.float64)

    alpha = generator.choice([value for value in (3, 6, 16, 24) if value != rank])
    x, weight, bias = draw(*rows, d_in), draw(d_out, d_in), draw(d_out)
    return x, weight, bias, draw(rank, d_in), draw(d_out, rank), alpha


def layer_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    """Return random layers of many shapes, as (x, W, bias, A, B, alpha)."""
    cases = [random_layer(generator, 7, 5, 2, (4,)), random_layer(generator, 4, 9, 3, (2, 3))]
    # One row alone, and a batch of batches.
    cases += [random_layer(generator, 6, 8, 4, (1,)), random_layer(generator, 5, 3, 2, (2, 1, 3))]
    for _ in range(6):
        d_in, d_out = generator.randint(6, 20), generator.randint(6, 20)
        cases.append(random_layer(generator, d_in, d_out, generator.randint(2, 5), (3,)))
    return cases


def probe_shapes(
    call: Callable[..., Any], mistakes: Mapping[str, tuple[Callable[..., Any], ...]], *case: Any
) -> Any:
    """Call the student's function; where shapes do not fit, name the mistake if it is known."""
    try:
        return call(*case)
    except RuntimeError as misfit:
        square = random_layer(random.Random(0), 6, 6, 6, (6,))[-len(case) :]
        try:
            got = call(*square)
        except Exception:
            raise misfit from None
        for name, wrongs in mistakes.items():
            if any(same(got, wrong(*square)) for wrong in wrongs):
                return name
        raise


def names_mistake(name: str) -> Callable[[Any], bool]:
    """Return a test: some call was recognized as this mistake."""
    return lambda results: any(isinstance(result, str) and result == name for result in results)

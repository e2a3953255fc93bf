"""The order in which training sees its rows: fixed by the seed, like lengths together."""

from __future__ import annotations

import random
from collections.abc import Sequence


def row_order(lengths: Sequence[int], rows_per_step: int, steps: int, seed: int) -> list[int]:
    """Return the row index for every place of the run, `steps × rows_per_step` long.

    Each pass over the data is a fresh shuffle. Within a window of eight steps, rows of like
    length share a step, so that little is spent on padding; the steps are then shuffled again.
    The order is a plain list, so a resumed run sees exactly the rows that were to come.
    """
    generator = random.Random(seed)
    order: list[int] = []
    while len(order) < steps * rows_per_step:
        order += generator.sample(range(len(lengths)), len(lengths))
    order = order[: steps * rows_per_step]
    window = rows_per_step * 8
    grouped: list[int] = []
    for start in range(0, len(order), window):
        part = sorted(order[start : start + window], key=lambda index: lengths[index])
        batches = [part[at : at + rows_per_step] for at in range(0, len(part), rows_per_step)]
        generator.shuffle(batches)
        grouped += [index for batch in batches for index in batch]
    return grouped

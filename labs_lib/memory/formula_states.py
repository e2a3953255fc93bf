"""What the formula counts of an optimiser: its states, and what its step holds for itself."""

from __future__ import annotations

from labs_lib.memory.formula_sizes import Sizes

# bitsandbytes pages a state only if the parameter has at least this many elements
# (bitsandbytes/optim/optimizer.py, get_state_buffer) …
PAGED_FROM_ELEMENTS = 100_000
# … and holds it in 8 bits only from this many.
EIGHT_BIT_FROM_ELEMENTS = 4096


def states(sizes: Sizes) -> tuple[int, int]:
    """Return (bytes of all optimiser states, bytes of those that stay on the device)."""
    name, item = sizes.request.optimizer, sizes.trained_itemsize
    total = resident = 0
    groups = sizes.trainable()
    for size, many in groups:
        state = fixed = 0
        if name in ("adamw", "adamw_fused"):
            state = 2 * size * item
            fixed = 4  # the step counter is a tensor
        elif name.endswith("32bit") or (name.endswith("8bit") and size < EIGHT_BIT_FROM_ELEMENTS):
            state = 8 * size
        elif name.endswith("8bit"):
            state, fixed = 2 * size, 2 * 4 * -(-size // 256)
        elif name == "adafactor":
            fixed = _adafactor_state(sizes, size)
        paged = name.startswith("paged") and sizes.request.device == "cuda"
        total += many * (state + fixed)
        stays = not (paged and size >= PAGED_FROM_ELEMENTS)
        resident += many * (fixed + (state if stays else 0))
    if name.endswith("8bit") and any(size >= EIGHT_BIT_FROM_ELEMENTS for size, _ in groups):
        total, resident = total + 2 * 1024, resident + 2 * 1024  # the two code books
    return total, resident


def step_temporary(sizes: Sizes) -> int:
    """Return the most bytes that the optimiser's step holds for itself."""
    name, item = sizes.request.optimizer, sizes.trained_itemsize
    largest = max(size for size, _ in sizes.trainable())
    if name == "adamw":
        if sizes.request.device == "cuda":  # the square roots of all second moments at once
            return sum(size * many for size, many in sizes.trainable()) * item
        return 2 * largest * item
    if name == "adafactor":
        # The update and its square in fp32, and fp32 copies of 16-bit values.
        return largest * (16 if item < 4 else 8)
    return 0


def _adafactor_state(sizes: Sizes, count: int) -> int:
    """Return one fp32 for each row and each column of a matrix, for each entry of a vector."""
    for rows, columns in _matrices(sizes):
        if rows * columns == count:
            return 4 * (rows + columns + 1)
    return 4 * (count + 1)


def _matrices(sizes: Sizes) -> list[tuple[int, int]]:
    shapes = [(sizes.v, sizes.h), (sizes.shapes.max_positions, sizes.h)]
    rank = sizes.request.rank
    for linear in sizes.linears:
        shapes += [
            (linear.out_features, linear.in_features),
            (rank, linear.in_features),
            (rank, linear.out_features),
        ]
    return [*shapes, (rank, sizes.v)]

"""The course's quick loss, held once against the loss of the model's own logits.

Families scale, cap or bend their logits in ways that no list of names keeps up with. So before a
run trains, a few of its rows go through the model both ways; where the two differ, the model's
own way is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from labs_lib.errors import LabError, last_line
from labs_lib.training.engine.evaluating import in_evaluation_mode, random_state_kept
from labs_lib.training.engine.layout import NOT_LEARNT, next_labels

QUICK = "head at the answers' tokens"
AT_ANSWERS = "model's logits at the answers' tokens"
ALL_LOGITS = "model's logits"
WAYS = (QUICK, AT_ANSWERS, ALL_LOGITS)

ROWS = 2
MULTIPLICATIONS = 2e9
"""How many weights × tokens the check may cost: a quarter of a second on a laptop."""

LEAST_TOKENS = 8
TOLERANCE = {torch.float32: 5e-4, torch.float64: 5e-4, torch.bfloat16: 1e-2, torch.float16: 5e-3}
"""By dtype, how far two ways may lie apart, as a share of the spread of the logits themselves:
rounding moves a logit by about this much of its size, whatever the model."""

ROUNDED = 0.05
"""The same for arithmetic that rounds elsewhere: a token's loss on the bundled model then moves by
0.03 of the spread, at random, and the few tokens of the check do not even that out."""

# What a model's forward pass raises that is called in a way it does not know; RuntimeError includes
# NotImplementedError. A name that does not exist is an author's slip.
_REFUSALS = (RuntimeError, ValueError, TypeError, LookupError)

SummedLoss = Callable[[Any, dict[str, Any], str], torch.Tensor]


def own_losses(model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, float]:
    """Return each answer token's loss (tokens,) by the model's own logits, and their spread.

    The spread is the standard deviation of the logits over the vocabulary, by which a difference
    is judged.
    """
    logits, targets = own_logits(model, inputs)
    answers = targets != NOT_LEARNT
    logits = logits[answers].float()
    losses = torch.nn.functional.cross_entropy(logits, targets[answers], reduction="none")
    return losses, float(logits.std(dim=-1).mean())


def own_logits(model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the model's logits (batch, length, vocabulary) and each position's label.

    Those of an adapter's vectors in front of the text are left out.
    """
    rows = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    logits = model(**rows, use_cache=False).logits
    return logits[:, -inputs["input_ids"].shape[1] :], next_labels(inputs["labels"])


def choose_way(
    model: Any,
    inputs: dict[str, Any],
    summed_loss: SummedLoss,
    speed_up: Callable[[], None],
    slow_down: Callable[[], None],
    dtype: torch.dtype,
) -> str:
    """Return the quickest of `WAYS` whose loss on `inputs` is that of the model's own logits.

    `summed_loss(model, inputs, way)` is the summed loss of the answers' tokens. `speed_up`
    changes the model for the quick way; where that way differs, `slow_down` takes it back.
    Weights, modes and the random state are as before. Raises `LabError` where the model itself
    refuses the rows.
    """
    with undisturbed(model), torch.no_grad():
        try:
            losses, spread = own_losses(model, inputs)
        except _REFUSALS as error:
            raise LabError(
                f"model: its forward pass refuses a row of text: {last_line(error)}"
            ) from error
        allowed = TOLERANCE.get(dtype, 5e-4) * max(spread, 1e-6) * len(losses)
        speed_up()
        for way in WAYS[:-1]:
            try:
                off = abs(float(summed_loss(model, inputs, way) - losses.sum()))
            except _REFUSALS:
                off = float("inf")
            if off <= allowed:
                return way
            slow_down()
    return ALL_LOGITS


def keep_if_near(
    model: Any,
    inputs: dict[str, Any],
    summed_loss: SummedLoss,
    change: Callable[[], None],
    take_back: Callable[[], None],
) -> bool:
    """Change how the quick way rounds, unless it moves the loss by more than that; say if it stays.

    Arguments as for `choose_way`, which must have chosen the quick way.
    """
    with undisturbed(model), torch.no_grad():
        before = summed_loss(model, inputs, QUICK)
        losses, spread = own_losses(model, inputs)
        change()
        moved = abs(float(summed_loss(model, inputs, QUICK) - before))
    if moved <= ROUNDED * spread * len(losses):
        return True
    take_back()
    return False


def probe_batch(dataset: Any, collate: Callable[[list[Any]], dict[str, Any]], model: Any) -> Any:
    """Return a micro-batch of a few rows of `dataset`, cut to what the check may cost.

    The rows are of unlike length, begin alike where the data's do, and each learns tokens, so
    that padding, packing and head are all in it.
    """
    weights = sum(parameter.numel() for parameter in model.parameters())
    room = max(LEAST_TOKENS, int(MULTIPLICATIONS / max(weights, 1)) // ROWS)
    rows = [dataset[at] for at in range(min(ROWS, len(dataset)))]
    cut = [_cut(row, room - 2 * at) for at, row in enumerate(rows)]
    return collate(cut)


def _cut(row: dict[str, Any], length: int) -> dict[str, Any]:
    ids, labels = list(row["input_ids"]), list(row["labels"])
    if len(ids) <= length:
        return {"input_ids": ids, "labels": labels}
    first = length // 2
    ids = ids[:first] + ids[len(ids) - (length - first) :]
    return {"input_ids": ids, "labels": [NOT_LEARNT] * first + ids[first:]}


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Run the block in evaluation mode; leave modes, random state and 4-bit layers as they were.

    A 4-bit layer takes its compute dtype from the first input that it sees.
    """
    compute = {
        module: (module.compute_type_is_set, module.compute_dtype)
        for module in model.modules()
        if hasattr(module, "compute_type_is_set") and hasattr(module, "compute_dtype")
    }
    try:
        with in_evaluation_mode(model), random_state_kept():
            yield
    finally:
        for module, (is_set, dtype) in compute.items():
            module.compute_type_is_set, module.compute_dtype = is_set, dtype

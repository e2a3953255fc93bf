"""How many steps a run of several epochs takes."""

from __future__ import annotations

import math
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

ROWS, BATCH, EPOCHS = 50, 8, 3
_STEPS = EPOCHS * math.ceil(ROWS / BATCH)


def _one_of(*numbers: float) -> Any:
    return lambda value: any(abs(value - number) < 0.01 for number in numbers)


COUNT_STEPS = Exercise(
    id="04.count-steps",
    title="How many steps will it take?",
    objective="train",
    difficulty="easy",
    task=(
        f"A set has {ROWS} rows. You train with `per_device_train_batch_size={BATCH}` and "
        f"`num_train_epochs={EPOCHS}` on one device. Set `steps` to the number of optimizer steps."
    ),
    answer="steps",
    hints=(
        "How many batches does one epoch have? A batch may be incomplete.",
        "The last batch of an epoch holds the two rows that are left over.",
    ),
    check=ValueCheck(
        observe=number_of("steps"),
        properties=(
            Property(_one_of(_STEPS), "That is not the number of steps: count one epoch first."),
        ),
        misconceptions=(
            Misconception(
                "batches-run-across-epochs",
                "You divided all rows of all epochs by the batch size. Each epoch ends with an "
                "incomplete batch of its own; the next one starts from the first row again.",
                when=_one_of(EPOCHS * ROWS / BATCH, math.ceil(EPOCHS * ROWS / BATCH)),
            ),
            Misconception(
                "last-batch-dropped",
                "You left out the incomplete batch. By default it is trained on too "
                "(`dataloader_drop_last=False`).",
                when=_one_of(EPOCHS * (ROWS // BATCH), EPOCHS * ROWS // BATCH),
            ),
            Misconception(
                "one-epoch",
                f"That is one epoch; the run has {EPOCHS}.",
                when=_one_of(math.ceil(ROWS / BATCH), ROWS / BATCH),
            ),
            Misconception(
                "a-step-a-row",
                f"That counts a step for each row. A step takes {BATCH} rows.",
                when=_one_of(EPOCHS * ROWS, ROWS),
            ),
        ),
    ),
    praise="Seven batches an epoch, the last one with two rows: 21 steps.",
)

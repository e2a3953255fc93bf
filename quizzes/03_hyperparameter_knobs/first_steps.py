"""Two numbers of one line each: the alpha that keeps a scaling, and the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of


def _near(expected: float) -> Callable[[float], bool]:
    return lambda value: math.isclose(value, expected, rel_tol=1e-6)


def _mistake(name: str, value: float, message: str) -> Misconception:
    return Misconception(name, message, when=_near(value))


SAME_SCALING = Exercise(
    id="03.same-scaling",
    title="The same scaling at another rank",
    objective="scaling",
    task=(
        "A run with `r=8` and `lora_alpha=24` went well. Set `new_alpha` to the `lora_alpha` that "
        "gives the same scaling at `r=32`, by plain LoRA's rule."
    ),
    answer="new_alpha",
    hints=(
        "Plain LoRA multiplies B·A by lora_alpha / r. What was that number in the first run?",
        "Set new_alpha / 32 equal to 24 / 8.",
    ),
    check=ValueCheck(
        observe=number_of("new_alpha"),
        properties=(
            Property(_near(96), "With that alpha the scaling is not 24/8 at rank 32."),
        ),
        misconceptions=(
            _mistake(
                "alpha-fixed", 24,
                "With alpha unchanged, the scaling falls to a quarter: the rank divides it.",
            ),
            _mistake(
                "twice-the-rank", 64,
                "Twice the rank gives a scaling of 2. The scaling of the first run was 3.",
            ),
            _mistake(
                "root-without-rslora", 48,
                "The square root belongs to rsLoRA. Plain LoRA divides by the rank itself.",
            ),
            _mistake(
                "upside-down", 6,
                "Upside down: a larger rank divides by more, so alpha has to grow with it.",
            ),
            _mistake(
                "returns-scaling", 3,
                "That is the scaling. Which alpha, divided by 32, gives it?",
            ),
        ),
    ),
    praise="24/8 = 96/32 = 3: rank and alpha grew by the same factor.",
    difficulty="easy",
)  # fmt: skip

COUNT_STEPS = Exercise(
    id="03.count-steps",
    title="How many optimizer steps?",
    objective="batch",
    task=(
        "6,400 rows, `per_device_train_batch_size=4`, `gradient_accumulation_steps=8`, "
        "`num_train_epochs=3`, one GPU. Set `optimizer_steps` to the number of times that the "
        "optimizer moves the adapter."
    ),
    answer="optimizer_steps",
    hints=(
        "Gradients of several batches are added up before the optimizer moves anything once.",
        "One step uses 4 × 8 rows. How many such steps are in 3 × 6,400 rows?",
    ),
    check=ValueCheck(
        observe=number_of("optimizer_steps"),
        properties=(
            Property(
                _near(600),
                "That is not the number of rows shown, divided by the rows in one step.",
            ),
        ),
        misconceptions=(
            _mistake(
                "accumulation-forgotten", 4800,
                "That counts batches of 4. Eight of them are accumulated for each step.",
            ),
            _mistake(
                "accumulation-as-batch", 2400,
                "That takes 8 rows for a step. Each of the 8 accumulated batches has 4 rows.",
            ),
            _mistake(
                "one-epoch", 200,
                "That is one epoch; the run goes through the rows three times.",
            ),
            _mistake(
                "accumulation-multiplied", 38400,
                "Accumulation makes a step larger, so there are fewer of them, not more.",
            ),
            _mistake(
                "rows-shown", 19200,
                "That is the number of rows shown. A step uses 32 of them at once.",
            ),
        ),
    ),
    praise="19,200 rows shown, 32 in each step; accumulation needs the memory of 4 rows only.",
    difficulty="easy",
)  # fmt: skip

"""Lesson 04x: the size of an adapter on GPT-2."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

LAYERS, HIDDEN, RANK = 12, 768, 4
_COUNT = LAYERS * RANK * (HIDDEN + 3 * HIDDEN)


def _is(*numbers: float) -> Any:
    return lambda value: any(abs(value - number) < 0.5 for number in numbers)


EXERCISES = [
    Exercise(
        id="04x.adapter-count",
        title="An adapter on GPT-2",
        objective="lora",
        difficulty="easy",
        task=(
            f"`gpt2` has {LAYERS} layers and hidden size {HIDDEN}. Set `trained` to the number of "
            f'parameters that `LoraConfig(r={RANK}, target_modules=["c_attn"])` trains on it.'
        ),
        answer="trained",
        hints=(
            "`c_attn` reads the hidden state and writes query, key and value, one after the other.",
            "So it maps 768 → 3 · 768. One adapter costs r × (d_in + d_out).",
        ),
        check=ValueCheck(
            observe=number_of("trained"),
            properties=(
                Property(_is(_COUNT), "That is not 12 × r × (d_in + d_out) with c_attn's shape."),
            ),
            misconceptions=(
                Misconception(
                    "square",
                    "You took c_attn for a square matrix. Its output holds query, key and value.",
                    when=_is(LAYERS * RANK * 2 * HIDDEN),
                ),
                Misconception(
                    "three-adapters",
                    "You gave query, key and value an adapter each. They are one matrix, so its "
                    "lora_A exists once.",
                    when=_is(LAYERS * RANK * 3 * 2 * HIDDEN),
                ),
                Misconception(
                    "one-layer",
                    f"That is one layer; there are {LAYERS}.",
                    when=_is(_COUNT / LAYERS),
                ),
                Misconception(
                    "full-matrix",
                    "Those are the frozen matrices. LoRA trains r × (d_in + d_out) for each.",
                    when=_is(LAYERS * 3 * HIDDEN * HIDDEN),
                ),
            ),
        ),
        praise="147,456, which print_trainable_parameters() shows for gpt2 too.",
    ),
]

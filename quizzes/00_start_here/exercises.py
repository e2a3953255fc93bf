"""Lesson 00: one small exercise, to see how checking works."""

from __future__ import annotations

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import number_of

TRAINED = 460_800
TOTAL = 134_515_008
_SHARE = 100 * TRAINED / TOTAL
# What lesson 00's own run trains: rank 8 on every linear layer.
RUN_TRAINED = 2_442_240
_RUN_SHARE = 100 * RUN_TRAINED / (TOTAL + RUN_TRAINED)


def _near(value: float, expected: float) -> bool:
    # 1 %: whether or not the adapter's own parameters are counted in the total.
    return abs(value - expected) <= 0.01 * expected


EXERCISES = [
    Exercise(
        id="00.trained-share",
        title="How little was trained?",
        objective="base-frozen",
        task=(
            f"A smaller adapter, of rank 8 on `q_proj` and `v_proj` alone, has {TRAINED:,} "
            f"parameters; the model has {TOTAL:,}. Set `share_percent` to the share that it "
            "would train, in percent."
        ),
        difficulty="easy",
        answer="share_percent",
        hints=(
            "A share is the part divided by the total.",
            "In percent, one hundredth is 1: multiply the share by 100.",
        ),
        check=ValueCheck(
            observe=number_of("share_percent"),
            properties=(
                Property(
                    lambda value: _near(value, _SHARE),
                    "That is not the share: divide the adapter's parameters by the model's, "
                    "times 100.",
                ),
            ),
            misconceptions=(
                Misconception(
                    "fraction-for-percent",
                    "That is the share as a fraction; in percent it is 100 times as much.",
                    when=lambda value: _near(value, _SHARE / 100),
                ),
                Misconception(
                    "share-of-the-run",
                    "That is the share of the run above. The adapter in the task has only "
                    f"{TRAINED:,} parameters.",
                    when=lambda value: _near(value, _RUN_SHARE),
                ),
                Misconception(
                    "upside-down",
                    "That is how many times the model is larger than the adapter. A share is "
                    "the part divided by the total.",
                    when=lambda value: (
                        _near(value, TOTAL / TRAINED) or _near(value, 100 * TOTAL / TRAINED)
                    ),
                ),
                Misconception(
                    "share-left-frozen",
                    "That is the share that stayed frozen; the question is what is trained.",
                    when=lambda value: abs(value - (100 - _SHARE)) < 0.01,
                ),
            ),
        ),
        praise="A third of one percent would be trained; everything else stays frozen.",
    ),
]

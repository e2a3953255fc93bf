"""What a lesson's prose says of its experiments is what its stored outputs show."""

from __future__ import annotations

import re

from tools import notebooks


def told_by(lesson: str) -> str:
    """Return the text of all stored outputs of a lesson."""
    notebook = notebooks.read(notebooks.FOLDER / f"{lesson}.ipynb")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(notebooks.text_of(output) for cell in code for output in cell.outputs)


def numbers_in(pattern: str, text: str) -> list[float]:
    """Return the numbers in the groups of a line that a lesson prints."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"no output says {pattern}"
    return [float(number) for number in found.groups()]


def test_only_two_zero_factors_learn_nothing_and_loras_start_is_the_base():
    told = told_by("02_lora_math")
    assert "3 of 4 starts learn; no progress from: both zero." in told
    (base,) = numbers_in(r"the base model's loss: ([\d.]+)", told)
    (first,) = numbers_in(r"^A random, B zero +[\d.]+ +[\d.]+ +([\d.]+) →", told)
    assert first == base


def test_merging_rounds_and_saves_time():
    told = told_by("02_lora_math")
    moved = {
        (bits, state): numbers_in(rf"^{bits} +{state} +(\d\.\de[+-]\d+)", told)[0]
        for bits in (16, 32)
        for state in ("unmerged", "merged")
    }
    (spread,) = numbers_in(r"spread of the logits: ([\d.]+)", told)
    assert moved[32, "unmerged"] == 0
    assert moved[32, "merged"] < 1e-3 * spread
    assert moved[16, "merged"] < 2 * moved[16, "unmerged"]
    (slower,) = numbers_in(r"^1 +\d+ ms +\d+ ms +([+-]\d+) %", told)
    assert slower > 2  # a trend, with room for a noisy machine


def test_a_change_is_closer_to_a_low_rank_than_a_weight():
    told = told_by("02x_why_low_rank")
    change, weight, random = (
        numbers_in(rf"Energy kept at rank 8: .*{kind} (\d+)% to (\d+)%", told)
        for kind in ("ΔW", "W", "random")
    )
    assert change[0] > 2 * weight[1]
    assert weight[0] - random[0] < change[0] - weight[0]


def test_the_sign_spreads_the_energy_and_the_cut_keeps_more_effect_than_energy():
    told = told_by("02x_why_low_rank")
    (gradient,) = numbers_in(r"^gradient +\d+% +(\d+)%", told)
    (sign,) = numbers_in(r"^its sign +\d+% +(\d+)%", told)
    assert sign < gradient - 10
    energy, effect = numbers_in(r"Rank 8 keeps (\d+)% of the energy and (\d+)% of the effect", told)
    assert effect > energy + 10

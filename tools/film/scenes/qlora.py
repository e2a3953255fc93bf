"""Scene 3: sixteen values from a bell, bits a weight, and a 70B on one card."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from statistics import NormalDist

from labs_lib.colors import INK, PAPER
from labs_lib.quantization.codebooks import NF4_OUTERMOST
from tools.film.facts import Facts
from tools.film.parts import (
    BASE,
    bar,
    legend,
    mixed_parts,
    parts_of,
    row,
    stage,
    tick,
)
from tools.film.shapes import Area, Dot, Line, Shape, Words, between, box, ease, faded, tint

BELL = NormalDist()
CENTER, SIGMA, GROUND, TALL = 640, 200, 260, 780  # pixels; pixels for a density of 1
WEIGHTS = (-1.55, 0.34, 1.12)  # the weights that are stored before our eyes, in sigmas
LEFT = 48
SEEN = ("weights", "adapter", "optimizer", "activations", "temporary")  # with an adapter


def draw_qlora(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    """Return the scene's shapes at a moment."""
    return [
        *faded(_bell(now, at, facts), stage(now, 0, at["scale"])),
        *faded(_bits(now, at, facts), stage(now, at["scale"], at["shrink"])),
        *faded(_shrinking(now, at, facts), stage(now, at["shrink"], at["seventy"])),
        *faded(_cards(now, at, facts), stage(now, at["seventy"])),
    ]


def _x(sigmas: float) -> float:
    return CENTER + SIGMA * sigmas


def _bell(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    grow = ease(now, 0.2, 1.6)
    outermost = BELL.inv_cdf(NF4_OUTERMOST)
    cuts = [value * outermost for value in facts.book]
    across = [-2.9 + 0.05 * step for step in range(117)]
    curve = tuple((_x(each), GROUND + TALL * BELL.pdf(each) * grow) for each in across)
    outline = Area((*curve, (_x(2.9), GROUND), (_x(-2.9), GROUND)), tint(BASE), BASE, 3)
    slices = ease(now, at["cut"], 1.2)
    shapes: list[Shape] = [outline]
    for number, (left, right) in enumerate(itertools.pairwise(cuts)):
        inside = [left + (right - left) * step / 8 for step in range(9)]
        top = tuple((_x(each), GROUND + TALL * BELL.pdf(each) * grow) for each in inside)
        area = Area(
            (*top, (_x(right), GROUND), (_x(left), GROUND)),
            tint(BASE, 0.95 if number % 2 else 0.55), PAPER, 1,
        )  # fmt: skip
        shapes += faded([area], ease(now, at["cut"] + 0.15 * number, 0.5))
    line = GROUND - 75
    shapes += [Line(((_x(-2.9), GROUND), (_x(2.9), GROUND)), INK, 2)]
    values: list[Shape] = [Line(((_x(cuts[0]), line), (_x(cuts[-1]), line)), INK, 2)]
    values += [Line(((_x(cut), line - 15), (_x(cut), line + 15)), INK, 4) for cut in cuts]
    values += [
        Words(_x(cuts[0]) - 20, line, "−1", 30, across="right"),
        Words(_x(cuts[-1]) + 20, line, "1", 30, across="left"),
        Words(_x(cuts[-1]) + 60, line, "16 values", 30, across="left"),
        Words(_x(cuts[0]) - 84, line, "NF4", 34, bold=True, across="right"),
    ]
    shapes += faded(values, slices)
    shapes += faded([Words(_x(0), GROUND - 30, "0", 30)], 1 - slices)
    shapes += _falling(now, at["snap"], cuts, line)
    return shapes


def _falling(now: float, start: float, cuts: list[float], line: float) -> list[Shape]:
    """Return the weights that fall onto the line and move to the nearest value."""
    shapes: list[Shape] = []
    for number, weight in enumerate(WEIGHTS):
        begin = start + 1.0 + 2.0 * number
        nearest = min(cuts, key=lambda cut: abs(cut - weight))
        height = GROUND + TALL * BELL.pdf(weight) * 0.5
        fall = ease(now, begin, 0.9)
        snap = ease(now, begin + 1.0, 0.35)
        x = between(_x(weight), _x(nearest), snap)
        shapes += faded([Dot(x, between(height, line, fall), 14, INK)], ease(now, begin - 0.6, 0.4))
        code = min(range(len(cuts)), key=lambda each: abs(cuts[each] - nearest))
        shapes += faded(
            [Words(_x(nearest), line - 42, f"{code:04b}", 30, bold=True)],
            ease(now, begin + 1.4, 0.4),
        )
    return shapes


def _bits(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    scale = 52
    plain, double = facts.bits
    start, second = at["scale"], at["double"]
    rows: tuple[tuple[str, float, float, float, str], ...] = (
        ("16 bits: bf16", 16, 0, start, "16"),
        ("NF4: a code of 4 bits, and a share of its block's scale", 4, plain - 4, start + 1.2,
         facts.words["bits"]),
        ("NF4 with double quantization", 4, double - 4, second, facts.words["double_bits"]),
    )  # fmt: skip
    shapes: list[Shape] = []
    for number, (label, code, share, begin, words) in enumerate(rows):
        y = 452 - 145 * number
        shrink = ease(now, begin + 0.8, 1.6) if number else 1.0
        before = (16, 0) if number == 1 else (4, plain - 4)
        code, share = (
            between(old, new, shrink) for old, new in zip(before, (code, share), strict=True)
        ) if number else (code, share)  # fmt: skip
        end = LEFT + (code + share) * scale
        drawn: list[Shape] = [
            Words(LEFT, y + 74, label, 32, across="left"),
            box(LEFT, y, code * scale, 46, BASE, PAPER, line=0.8),
            box(LEFT + code * scale, y, share * scale, 46, INK, INK, line=0.5),
            Words(end + 16, y + 23, f"{words} bits a weight" if shrink == 1 else "", 34,
                  bold=True, across="left"),
        ]  # fmt: skip
        shapes += faded(drawn, ease(now, begin, 0.6))
    return shapes


def _shrinking(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    scale = 58
    kinds = {name: parts_of(facts.steps[name]) for name in ("lora", "qlora", "saved")}
    shapes = legend(594, dict.fromkeys(SEEN, 1.0))
    rows = (
        ("lora", "lora", "7B with LoRA", at["shrink"]),
        ("qlora", "lora", "7B with QLoRA", at["shrink"] + 1.2),
        ("saved", "qlora", "QLoRA with gradient checkpointing", at["saved"]),
    )
    for number, (name, before, label, begin) in enumerate(rows):
        move = ease(now, begin + 0.9, 1.8) if number else 1.0
        parts = mixed_parts(kinds[before], kinds[name], move)
        total = f"{facts.words[name]} GB" if move == 1 else f"{sum(parts.values()):.1f} GB"
        drawn = row(LEFT, 462 - 140 * number, label, parts, scale, total)
        shapes += faded(drawn, ease(now, begin, 0.6))
    return shapes


def _cards(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    scale, left, start = 12.2, 178, at["seventy"]
    parts = parts_of(facts.steps["seventy"])
    shapes = legend(594, dict.fromkeys(SEEN, 1.0))
    for number, (size, room) in enumerate(facts.room.items()):
        y = 486 - 105 * number
        fill = ease(now, start + 0.6 + 0.7 * number, 1.2)
        grown = {kind: each * fill for kind, each in parts.items()}
        fits = facts.peak("seventy") <= room
        drawn: list[Shape] = [
            Words(left - 20, y + 28, f"{size} GB", 32, across="right"),
            box(left, y - 4, room * scale, 64, PAPER, INK, line=3),
            *bar(left, y + 5, grown, scale),
        ]
        told = Words(left + facts.peak("seventy") * scale * 0.45, y + 28,
                     f"{facts.words['seventy']} GB", 34, PAPER, bold=True)  # fmt: skip
        drawn += faded([told], ease(now, start + 1.4 + 0.7 * number, 0.4))
        mark = left + max(room, facts.peak("seventy")) * scale + 40
        shapes += faded(drawn, ease(now, start + 0.35 * number, 0.5))
        shapes += faded([tick(mark, y + 28, fits)], ease(now, start + 2.0 + 0.7 * number, 0.4))
    return shapes

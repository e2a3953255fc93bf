"""Scene 1: what a step of training holds in memory, and what LoRA takes away."""

from __future__ import annotations

from collections.abc import Mapping

from labs_lib.colors import MEMORY_COLORS
from tools.film.facts import Facts
from tools.film.parts import (
    ADAPTER,
    card_line,
    frozen,
    legend,
    mixed_parts,
    parts_of,
    row,
    scaled_parts,
    stage,
)
from tools.film.shapes import Shape, Words, between, box, ease, faded, tint

LEFT, SCALE = 48, 9.2  # pixels; pixels a GB
ROWS = (478, 374, 270, 166)  # the lower edges of the bars


def draw_title(now: float, words: str, under: str) -> list[Shape]:
    """Return the film's emblem, a frozen square with two strips that slide in, and two lines."""
    slide = ease(now, 0.8, 1.4)
    strips: list[Shape] = [
        box(between(1010, 932, slide), 260, 30, 240, tint(ADAPTER, 0.7), ADAPTER, line=3),
        box(between(1030, 980, slide), 470, 240, 30, tint(ADAPTER, 0.7), ADAPTER, line=3),
    ]
    grow = ease(now, -0.4, 1.0)
    strips = faded(strips, ease(now, 0.8, 1.2))
    size = 240 * grow
    return [
        *frozen(780 - size / 2, 380 - size / 2, size, size),
        *strips,
        Words(70, 430, words, 58, bold=True, across="left"),
        Words(70, 350, under, 36, across="left"),
    ]


def draw_bytes(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    """Return the scene's shapes at a moment."""
    if now < at["weights"]:
        shown = 1 - ease(now, at["weights"] - 0.5, 0.5)
        return faded(draw_title(now, "LoRA and QLoRA", "in four and a half minutes"), shown)
    return [
        *_legend(now, at),
        *_full(now, at, facts),
        *faded(_for_each_weight(now, at, facts), stage(now, at["weights"], at["card"])),
        *_others(now, at, facts),
        *_lora(now, at, facts),
        *_card(now, at, facts),
    ]


def _card(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    """Return the card's line across the bars that are there, its name below the last of them."""
    marks = ("card", "mixed", "small", "lora")
    there = [y for mark, y in zip(marks, ROWS, strict=True) if now >= at[mark] + 0.5]
    words_y = ROWS[0] - 28.0
    for mark, y in zip(marks[1:], ROWS[1:], strict=True):
        words_y = between(words_y, y - 28, ease(now, at[mark], 0.5))
    line = card_line(_room(facts), there or ROWS[:1], words_y, "room on a 24 GB card")
    return faded(line, ease(now, at["card"], 0.5))


def _room(facts: Facts) -> float:
    """Return the place on the axis of what a card of 24 GB has room for."""
    return LEFT + facts.room[24] * SCALE


def _for_each_weight(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    """Return the bytes that a step holds for one weight, a square a byte."""
    parts, weights = facts.steps["full"], facts.steps["full"]["weights"] / 2
    shapes: list[Shape] = [Words(LEFT, 372, "for each weight, in bytes", 32, across="left")]
    x = float(LEFT)
    for kind, mark in (("weights", "weights"), ("gradients", "gradients"), ("optimizer", "states")):
        for number in range(round(parts[kind] / weights)):
            arrives = ease(now, at[mark] + 0.5 + 0.35 * number, 0.5)
            y = 230 + 30 * (1 - arrives)
            square = box(x, y, 88, 88, tint(MEMORY_COLORS[kind], 0.8), MEMORY_COLORS[kind], line=3)
            shapes += faded([square], arrives)
            x += 98
        x += 24
    whole = round(sum(parts[kind] for kind in ("weights", "gradients", "optimizer")) / weights)
    told = f"{whole} bytes × {facts.words['billions']} billion = {facts.words['full']} GB"
    return [*shapes, *faded([Words(LEFT, 165, told, 38, bold=True, across="left")],
                            ease(now, at["peak"]))]  # fmt: skip


def _legend(now: float, at: Mapping[str, float]) -> list[Shape]:
    since = {
        "weights": at["weights"], "gradients": at["gradients"], "optimizer": at["states"],
        "temporary": at["small"] + 1, "adapter": at["lora"] + 1, "activations": at["lora"] + 1,
    }  # fmt: skip
    seen = {kind: ease(now, start) for kind, start in since.items()}
    return legend(594, seen)


def _full(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    parts = parts_of(facts.steps["full"])
    starts = {"weights": "weights", "gradients": "gradients", "optimizer": "states"}
    grown = {
        kind: size * (ease(now, at[starts[kind]] + 0.4, 2.2) if kind in starts else 1)
        for kind, size in parts.items()
    }
    total = facts.words["full"] if now >= at["peak"] else f"{sum(grown.values()):.1f}"
    return faded(
        row(LEFT, ROWS[0], "7B, everything in 16 bits", grown, SCALE, f"{total} GB"),
        ease(now, at["weights"]),
    )


def _others(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    shapes: list[Shape] = []
    for name, y, label in (
        ("mixed", ROWS[1], "7B, mixed precision"),
        ("small", ROWS[2], "1.7B, everything in 16 bits"),
    ):
        grow = ease(now, at[name] + 0.6, 1.8)
        parts = scaled_parts(parts_of(facts.steps[name]), grow)
        total = f"{facts.words[name]} GB" if grow == 1 else ""
        shown = row(LEFT, y, label, parts, SCALE, total, clear=_room(facts))
        shapes += faded(shown, ease(now, at[name] + 0.5, 0.5))
    return shapes


def _lora(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    move = ease(now, at["lora"] + 1.2, 2.4)
    parts = mixed_parts(parts_of(facts.steps["full"]), parts_of(facts.steps["lora"]), move)
    total = f"{facts.words['lora']} GB" if move == 1 else f"{sum(parts.values()):.1f} GB"
    label = "7B with LoRA, rank 8 on q and v"
    shown = row(LEFT, ROWS[3], label, parts, SCALE, total, clear=_room(facts))
    return faded(shown, ease(now, at["lora"] + 0.5, 0.5))

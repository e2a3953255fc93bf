"""Scene 4: adapters that are switched, what they take on a disk, and when to use which method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from labs_lib.colors import INK, PAPER
from tools.film.facts import TASKS, Facts
from tools.film.parts import ADAPTER, BASE, frozen, funnel, stage
from tools.film.scenes.bytes import draw_title
from tools.film.shapes import Line, Shape, Words, box, ease, faded, tint

CHOICES = (
    ("memory is short, or the tasks are many", "LoRA"),
    ("the base in 16 bits does not fit", "QLoRA"),
    ("the set is too large for an adapter", "full fine-tuning"),
)


def draw_use(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    """Return the scene's shapes at a moment."""
    end = draw_title(now - at["end"], "Your turn", "lesson 00: Start here")
    return [
        *faded(_swapping(now, at, facts), stage(now, 0, at["disk"])),
        *faded(_disk(now, at, facts), stage(now, at["disk"], at["choose"])),
        *faded(_choices(now, at), stage(now, at["choose"], at["quality"])),
        *faded(_quality(now, at, facts), stage(now, at["quality"], at["end"])),
        *faded(end, stage(now, at["end"])),
    ]


def _swapping(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    (voice, said), (order, json) = facts.samples.values()
    leave = ease(now, at["second"], 0.8)
    unplug = ease(now, at["unplug"], 0.8)
    shapes: list[Shape] = [
        Line(((60, 345), (100, 345), (100, 460), (520, 460), (520, 345), (560, 345))),
        *frozen(150, 400, 320, 120, "the base"),
        Words(40, 345, "x", 40, bold=True),
        Words(585, 345, "y", 40, bold=True),
    ]
    plugged = max(ease(now, 0.6, 0.8) * (1 - leave), ease(now, at["second"] + 0.8, 0.8)) * (
        1 - unplug
    )
    shapes += faded([Line(((100, 345), (100, 230), (520, 230), (520, 345)))], plugged)
    shapes += _adapter("captain", ease(now, 0.4, 1.0) * (1 - leave))
    shapes += _adapter("orders", ease(now, at["second"] + 0.6, 1.0) * (1 - unplug))
    asked = ((voice, said, ease(now, 1.6, 0.6) * (1 - leave)),
             (order, json, ease(now, at["second"] + 1.6, 0.6) * (1 - unplug)),
             (voice, "as before", ease(now, at["unplug"] + 1.0, 0.6)))  # fmt: skip
    for question, answer, alpha in asked:
        shapes += faded(_dialogue(question, answer), alpha)
    return shapes


def _adapter(name: str, share: float) -> list[Shape]:
    """Return an adapter that rises to its place in the second route."""
    y = 230 - 44 * (1 - share)
    return faded(
        [
            funnel(150, y, 120, 96, 24),
            funnel(350, y, 120, 24, 96),
            Words(310, y - 72, f"adapter “{name}”", 30, bold=True),
        ],
        share,
    )


def _dialogue(question: str, answer: str) -> list[Shape]:
    # JSON has no spaces to break a line at.
    pieces = textwrap.wrap(answer.replace(",", ", "), 30) if "{" in answer else [answer]
    lines = [piece.replace(", ", ",") for piece in pieces] if "{" in answer else pieces
    shapes: list[Shape] = [
        Words(660, 500, "asked", 28, color=INK, across="left"),
        Words(660, 455, question, 30, bold=True, across="left"),
        Words(660, 370, "answered", 28, across="left"),
    ]
    for number, line in enumerate(lines):
        shapes.append(Words(660, 325 - 44 * number, line, 30, bold=True, across="left"))
    return shapes


def _disk(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    start, side, gap = at["disk"], 96, 12
    shapes: list[Shape] = [Words(48, 565, "as ten models", 32, across="left")]
    for number in range(TASKS):
        x = 48 + number * (side + gap)
        shapes += faded(
            [box(x, 440, side, side, tint(BASE), BASE, line=3)],
            ease(now, start + 0.3 + 0.18 * number, 0.4),
        )
    shapes += faded(
        [Words(48, 400, f"{facts.words['as_models']} GB", 38, bold=True, across="left")],
        ease(now, start + 2.3, 0.5),
    )
    second = start + 3.2
    shapes += faded(
        [
            Words(48, 322, "as one base with ten adapters", 32, across="left"),
            box(48, 195, side, side, tint(BASE), BASE, line=3),
        ],
        ease(now, second, 0.5),
    )
    # An adapter's area is to the base's as its bytes are.
    share = (
        facts.shares["all linear layers, rank 16"][0] * 4 / (facts.steps["lora"]["weights"] * 1e9)
    )
    for number in range(TASKS):
        x = 48 + side + 24 + number * 30
        shapes += faded(
            [box(x, 195, side * share, side, ADAPTER, ADAPTER, line=0.8)],
            ease(now, second + 0.5 + 0.1 * number, 0.4),
        )
    total = f"{facts.words['as_adapters']} GB"
    shapes += faded(
        [
            Words(48, 152, total, 38, bold=True, across="left"),
            Words(232, 152, "adapters of rank 16 on all linear layers", 30, across="left"),
        ],
        ease(now, second + 1.8, 0.5),
    )
    return shapes


def _choices(now: float, at: Mapping[str, float]) -> list[Shape]:
    shapes: list[Shape] = []
    starts = (at["choose"] + 0.2, at["choose"] + 2.6, at["full"])
    for number, ((when, what), start) in enumerate(zip(CHOICES, starts, strict=True)):
        y = 500 - 130 * number
        slide = ease(now, start, 0.7)
        x = 48 + 60 * (1 - slide)
        shapes += faded(
            [
                box(x, y - 50, 1184 - 60 * (1 - slide), 100, PAPER, tint(BASE), line=2.5),
                Words(x + 28, y, when, 34, across="left"),
                Words(1204, y, what, 38, bold=True, across="right"),
            ],
            slide,
        )
    return shapes


def _quality(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    shapes: list[Shape] = []
    names = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
    for number, (method, share) in enumerate(facts.quality.items()):
        y = 470 - 105 * number
        grow = ease(now, at["quality"] + 0.3 + 0.5 * number, 1.2)
        shapes += [
            Words(330, y + 24, names[method], 34, across="right"),
            box(354, y, max(760 * share * grow, 0.1), 48, tint(INK, 0.6), INK, line=0.5),
        ]
        right = Words(354 + 760 * share * grow + 16, y + 24, facts.words[f"right_{method}"], 36,
                      bold=True, across="left")  # fmt: skip
        shapes += faded([right], ease(now, at["quality"] + 1.3 + 0.5 * number, 0.4))
    shapes += [
        Words(48, 590, "orders turned into JSON, exactly right", 32, across="left"),
        Words(48, 180, "SmolLM2-135M, rows held out, mean of three seeds", 30, across="left"),
    ]
    return shapes

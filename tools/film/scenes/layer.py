"""Scene 2: one layer with its second route, its numbers, its start, and what is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labs_lib.colors import INK, PAPER
from tools.film.facts import Facts
from tools.film.parts import ADAPTER, BASE, frozen, funnel, stage
from tools.film.scenes.grids import draw_training
from tools.film.shapes import Dot, Line, Point, Shape, Words, along, box, ease, faded

HIGH, LOW, MIDDLE = 470, 245, 358  # the heights of W's route, of the adapter's, of x and y
# The routes of one number, and how far a number is from their middle at each share of the way.
UPPER = ((110.0, MIDDLE), (190.0, MIDDLE), (190.0, HIGH), (1060.0, HIGH), (1060.0, MIDDLE))
LOWER = ((110.0, MIDDLE), (190.0, MIDDLE), (190.0, LOW), (1060.0, LOW), (1060.0, MIDDLE))
OUT = ((1060.0, MIDDLE), (1180.0, MIDDLE))
TALL, THIN = 150.0, 34.0
A_SPAN, B_SPAN = (290.0, 490.0), (600.0, 800.0)
PERIOD, TRAIN = 3.2, 7  # seconds a number takes; numbers that travel together


def draw_layer(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    """Return the scene's shapes at a moment."""
    return [
        *faded(_routes(now, at), stage(now, at["freeze"], at["count"])),
        *faded(_count(now, at, facts), stage(now, at["count"], at["zero"])),
        *faded(draw_training(now, at, facts.toy), stage(now, at["zero"], at["shares"])),
        *faded(_shares(now, at, facts), stage(now, at["shares"], at["resident"])),
        *faded(_resident(now, at, facts), stage(now, at["resident"])),
    ]


def _routes(now: float, at: Mapping[str, float]) -> list[Shape]:
    second = ease(now, at["route"], 1.0)
    adds = ease(now, at["sum"], 0.8)
    strength = ease(now, at["strength"] + 0.4, 0.8)
    lower: list[Shape] = [
        Line(LOWER[1:]),
        funnel(A_SPAN[0], LOW, A_SPAN[1] - A_SPAN[0], TALL, THIN),
        funnel(B_SPAN[0], LOW, B_SPAN[1] - B_SPAN[0], THIN, TALL),
    ]
    return [
        Line(UPPER),
        Line(OUT),
        *faded(lower, second),
        *frozen(290, HIGH - TALL / 2, 510, TALL),
        *_stream(now, UPPER, lambda _: 0.86, 1.0),
        *_stream(now, LOWER, _narrowed, second * ease(now, at["route"] + 1, 0.6)),
        Words(545, HIGH + TALL / 2 + 32, "W, frozen", 34, bold=True),
        *faded(
            [Words(390, LOW + 104, "A", 34, bold=True), Words(700, LOW + 104, "B", 34, bold=True)],
            second,
        ),
        *faded(_knobs(), strength),
        _knot(80, "x"),
        _knot(1210, "y"),
        *faded([box(1034, MIDDLE - 26, 52, 52), _knot(1060, "+")], adds),
        *faded(
            [
                Words(390, LOW - 98, "long to short", 30),
                Words(700, LOW - 98, "short to long", 30),
            ],
            adds * (1 - ease(now, at["strength"], 0.4)),
        ),
    ]


def _knobs() -> list[Shape]:
    return [
        box(872, LOW - 84, 116, 168, PAPER),
        Words(930, LOW, "× α/r", 32, bold=True),
        Line(((520, LOW - 24), (520, LOW - 64)), INK, 2),
        Words(545, LOW - 92, "rank r: the numbers in the middle", 30),
    ]


def _knot(x: float, name: str) -> Words:
    return Words(x, MIDDLE, name, 44, bold=True)


def _narrowed(x: float) -> float:
    """Return how much of a route's height the numbers take at x on the adapter's route."""
    if A_SPAN[0] < x < A_SPAN[1]:
        share = (x - A_SPAN[0]) / (A_SPAN[1] - A_SPAN[0])
        return 0.86 - 0.7 * share
    if A_SPAN[1] <= x <= B_SPAN[0]:
        return 0.16
    if B_SPAN[0] < x < B_SPAN[1]:
        share = (x - B_SPAN[0]) / (B_SPAN[1] - B_SPAN[0])
        return 0.16 + 0.7 * share
    return 0.86


def _stream(
    now: float, path: tuple[Point, ...], height: Callable[[float], float], alpha: float
) -> list[Shape]:
    """Return two columns of numbers on their way along a route."""
    dots: list[Shape] = []
    color = ADAPTER if path is LOWER else BASE
    for wave in range(2):
        share = (now / PERIOD + wave / 2) % 1.0
        x, y = along(path[1:], share)
        level = path[2][1]
        # On the way up or down, a column is a point; it spreads where the route is level.
        spread = min(1.0, max(0.0, min(x - 200, 1050 - x) / 60))
        tall = TALL * height(x) * spread
        for number in range(TRAIN):
            part = number / (TRAIN - 1) - 0.5
            up = y + part * tall if abs(y - level) < 1 else y
            dots.append(Dot(x, up, 7 if spread > 0.5 else 8, INK if color == BASE else color))
    return faded(dots, alpha)


def _count(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    start = at["count"]
    slide = ease(now, start + 1.5, 1.2)
    side, low, text = 330, 190, 850
    thin = side * 8 / 4096  # to scale: less than a pixel
    words = facts.words
    shown: list[Shape] = [
        *frozen(48, low, side, side, "W"),
        Words(48 + side / 2, low + side + 32, f"{words['wide']} × {words['wide']}", 30),
        Words(text, 500, words["square"], 50, bold=True, across="left"),
        Words(text, 450, "numbers in W", 32, across="left"),
    ]
    strips: list[Shape] = [
        box(424, low, thin, side, ADAPTER, ADAPTER, line=1),
        box(464, low + side, side, thin, ADAPTER, ADAPTER, line=1),
        Words(424, low + side + 32, "B", 32, bold=True),
        Words(464 + side / 2, low + side + 32, "A", 32, bold=True),
        Words(text, 370, words["strips"], 50, bold=True, across="left"),
        Words(text, 320, "in A and B, rank 8", 32, across="left"),
    ]
    share: list[Shape] = [
        Words(text, 226, f"that is {words['strips_percent']}", 44, bold=True, across="left"),
    ]
    return [*shown, *faded(strips, slide), *faded(share, ease(now, start + 3.6, 0.8))]


def _shares(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    wide, left = 1184, 48
    shapes: list[Shape] = []
    starts = (at["shares"], at["shares"] + 3.5, at["more"])
    for number, (label, (count, share)) in enumerate(facts.shares.items()):
        y = 462 - 142 * number
        grow = ease(now, starts[number] + 0.5, 1.8)
        percent = facts.words[("few", "twice", "many")[number] + "_percent"]
        shown: list[Shape] = [
            Words(left, y + 72, label, 32, across="left"),
            Words(left + wide, y + 72, f"{round(count * grow):,}: {percent}" if grow == 1
                  else f"{round(count * grow):,}", 34, bold=True, across="right"),
            box(left, y, wide, 40, BASE, BASE, line=0.5),
            box(left, y, max(wide * share * grow, 0.1), 40, ADAPTER, ADAPTER, line=0.5),
        ]  # fmt: skip
        shapes += faded(shown, ease(now, starts[number], 0.6))
    note = Words(left, 134, "grey: frozen   amber: trained, drawn to scale", 28, across="left")
    return [*shapes, note]


def _resident(now: float, at: Mapping[str, float], facts: Facts) -> list[Shape]:
    start, left, scale = at["resident"], 48, 60
    grow = ease(now, start + 0.2, 1.2)
    base = facts.steps["lora"]["weights"] * scale * grow
    adapter = facts.steps["lora"]["adapter"] * scale
    words = facts.words
    return [
        Words(left, 540, f"frozen base, in 16 bits: {words['base']} GB", 34, across="left"),
        box(left, 430, base, 70, BASE, BASE),
        Words(left, 360, f"adapter, in 32 bits: {words['adapter']} GB", 34, across="left"),
        box(left, 250, max(adapter, 1), 70, ADAPTER, ADAPTER, line=1),
        *faded(
            [Words(left, 180, "Only the adapter has gradients and optimizer states.", 34,
                   bold=True, across="left")],
            ease(now, start + 2.0),
        ),
    ]  # fmt: skip

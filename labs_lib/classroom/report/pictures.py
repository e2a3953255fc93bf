"""The report's pictures: inline SVG, colored by the page's variables, each with a text for ears."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 60, 28, 14, 44


def scatter(
    points: Sequence[tuple[float, float, str, bool]],
    label: str,
    x_title: str,
    y_title: str,
    y_range: tuple[float, float],
) -> str:
    """Return points of (x from 0 to 1, y, name, marked); a marked one carries its name."""
    low, high = y_range
    marks: list[str] = []
    for x, y, name, marked in points:
        at = f'cx="{_x(x):.1f}" cy="{_y((y - low) / (high - low)):.1f}"'
        kind = "marked" if marked else "dot"
        marks.append(f'<circle class="{kind}" {at} r="5"><title>{escape(name)}</title></circle>')
    ticks = [low + (high - low) * n / 4 for n in range(5)]
    return _frame(
        "".join(marks), label, x_title, y_title, [0, 0.25, 0.5, 0.75, 1], ticks, low, high
    )


def intervals(rows: Sequence[tuple[str, float, float, float]], label: str, y_title: str) -> str:
    """Return a column of (name, share, low, high) each: a bar, and its interval as a line."""
    step = (WIDTH - LEFT - RIGHT) / max(len(rows), 1)
    parts: list[str] = []
    for place, (name, share, low, high) in enumerate(rows):
        middle = LEFT + step * (place + 0.5)
        top, base = _y(share), _y(0)
        wide = min(step * 0.5, 90)
        parts.append(
            f'<rect class="bar" x="{middle - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" '
            f'height="{base - top:.1f}"/>'
            f'<line class="whisker" x1="{middle:.1f}" x2="{middle:.1f}" y1="{_y(low):.1f}" '
            f'y2="{_y(high):.1f}"/>'
            f'<text x="{middle:.1f}" y="{HEIGHT - 24}" text-anchor="middle">{escape(name)}</text>'
        )
    return _frame("".join(parts), label, "", y_title, [], [0, 0.25, 0.5, 0.75, 1], 0, 1)


def histogram(shares: Sequence[float], label: str, x_title: str, y_title: str) -> str:
    """Return how many of the shares, 0 to 1, fall into each tenth."""
    counts = [0] * 10
    for share in shares:
        counts[min(int(share * 10), 9)] += 1
    most = max([*counts, 1])
    parts = [
        f'<rect class="bar" x="{_x(n / 10) + 1:.1f}" y="{_y(count / most):.1f}" '
        f'width="{(WIDTH - LEFT - RIGHT) / 10 - 2:.1f}" '
        f'height="{_y(0) - _y(count / most):.1f}"><title>{count}</title></rect>'
        for n, count in enumerate(counts)
        if count
    ]
    ticks = sorted({0, most // 2, most})
    return _frame("".join(parts), label, x_title, y_title, [0, 0.25, 0.5, 0.75, 1],
                  [float(tick) for tick in ticks], 0, most, whole=True)  # fmt: skip


def line(values: Sequence[float], names: Sequence[str], most: float, label: str, y: str) -> str:
    """Return values in order as a line, from 0 to `most`; the first and last names stand below."""
    steps = max(len(values) - 1, 1)
    places = [(_x(n / steps), _y(value / most)) for n, value in enumerate(values)]
    path = " ".join(f"{x:.1f},{y_at:.1f}" for x, y_at in places)
    dots = "".join(
        f'<circle class="dot" cx="{x:.1f}" cy="{y_at:.1f}" r="4">'
        f"<title>{escape(name)}: {value:g}</title></circle>"
        for (x, y_at), name, value in zip(places, names, values, strict=True)
    )
    ends = f'<text x="{LEFT}" y="{HEIGHT - 24}">{escape(names[0])}</text>'
    if len(names) > 1:
        ends += (
            f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 24}" text-anchor="end">'
            f"{escape(names[-1])}</text>"
        )
    drawn = f'<polyline class="line" points="{path}"/>{dots}{ends}'
    return _frame(drawn, label, "", y, [], [0, most / 2, most], 0, most, whole=True)


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _frame(
    inside: str,
    label: str,
    x_title: str,
    y_title: str,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    low: float,
    high: float,
    *,
    whole: bool = False,
) -> str:
    lines: list[str] = []
    for tick in y_ticks:
        y = _y((tick - low) / (high - low))
        said = f"{tick:g}" if whole or low < 0 else f"{100 * tick:.0f} %"
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{said}</text>'
        )
    lines += [
        f'<text x="{_x(tick):.1f}" y="{HEIGHT - 26}" text-anchor="middle">{100 * tick:.0f} %</text>'
        for tick in x_ticks
    ]
    lines.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(x_title)}</text>"
        f'<text transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_title)}</text>'
    )
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(lines)}{inside}</svg>'
    )

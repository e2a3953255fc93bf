"""Pictures of forecasts: what a peak is made of, how it grows with tokens, which card holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labs_lib import figures
from labs_lib.colors import of_method
from labs_lib.memory.fitting import Card
from labs_lib.memory.result import GIB


def draw_parts(
    rows: Mapping[str, Mapping[str, float]], *, title: str, label: str, unit: float = 1.0
) -> figures.Picture:
    """Return a bar for each row, stacked by kind of memory in the course's own colors.

    `rows` maps a name to its values by kind ("weights", "adapter", …), each divided by `unit`;
    `label` says the unit on the axis.
    """
    fig, axes = figures.new_figure(title, label, "", height_inches=1.7 + 0.5 * len(rows))
    kinds = [
        kind for kind in figures.MEMORY_COLORS if any(kind in parts for parts in rows.values())
    ]
    left = [0.0] * len(rows)
    for kind in kinds:
        sizes = [parts.get(kind, 0.0) / unit for parts in rows.values()]
        color = figures.MEMORY_COLORS[kind]
        axes.barh(range(len(rows)), sizes, left=left, color=color, label=kind)
        left = [start + size for start, size in zip(left, sizes, strict=True)]
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.legend(ncols=2, loc="lower right")
    said = "; ".join(f"{name} {total:,.4g}" for name, total in zip(rows, left, strict=True))
    return figures.show(fig, alt=f"Stacked bars, {label}: {said}. {title}.")


def draw_peaks(
    curves: Mapping[str, Sequence[int]], tokens: Sequence[int], *, title: str, room: Card
) -> figures.Picture:
    """Return the peak against the tokens of a step, a line for each method, and the card's room.

    `curves` maps a name to its peaks in bytes, one for each number in `tokens`.
    """
    fig, axes = figures.new_figure(title, "tokens in one step", "peak (GiB)")
    used: list[str] = []
    for name, peaks in curves.items():
        heights = [peak / GIB for peak in peaks]
        color = of_method(name)
        axes.plot(tokens, heights, "--" if color in used else "-", color=color)
        used.append(color)
        end = (tokens[-1], heights[-1])
        axes.annotate(name, end, (6, 0), textcoords="offset points", va="center")
    usable = room.usable_bytes / GIB
    axes.axhline(usable, color=figures.INK, linestyle=":")
    words = f"{room.name}, usable"
    axes.annotate(words, (tokens[0], usable), (0, 5), textcoords="offset points")
    axes.set_ylim(bottom=0)
    alt = f"Peak in GiB against tokens, with a line at the {usable:.1f} GiB of {words}. {title}."
    return figures.show(fig, alt=alt)


def draw_ranges(
    ranges: Mapping[str, tuple[int, int]], cards: Sequence[Card], *, title: str
) -> figures.Picture:
    """Return a range of peaks for each name, on a logarithmic axis, with a line for each card.

    `ranges` maps a name to its lowest and highest peak in bytes.
    """
    fig, axes = figures.new_figure(title, "peak of one step (GiB)", "", height_inches=4.2)
    for row, (name, span) in enumerate(ranges.items()):
        ends = [peak / GIB for peak in span]
        axes.plot(ends, [row, row], "o-", color=of_method(name), linewidth=4)
    white = {"ha": "center", "fontsize": 9, "bbox": {"fc": "white", "ec": "none", "pad": 1}}
    for number, card in enumerate(cards):
        usable = card.usable_bytes / GIB
        axes.axvline(usable, color=figures.INK, linestyle="--", linewidth=1)
        axes.annotate(
            f"{card.memory_bytes / GIB:.0f} GB", (usable, -0.9 + 0.6 * (number % 2)), **white
        )
    axes.set_xscale("log")
    ticks = [
        2**power
        for power in range(1, 10)
        if 2**power < max(high for _, high in ranges.values()) / GIB
    ]
    axes.set_xticks(ticks, ticks)
    axes.minorticks_off()
    axes.set_yticks(range(len(ranges)), ranges)
    axes.set_ylim(len(ranges) - 0.5, -1.4)
    said = "; ".join(
        f"{name} {low / GIB:.1f} to {high / GIB:.1f}" for name, (low, high) in ranges.items()
    )
    return figures.show(fig, alt=f"Ranges of the peak in GiB, and cards as lines: {said}. {title}.")

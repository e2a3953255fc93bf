"""The course's colors are told apart, and have one place."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import labs_lib
from labs_lib import colors

HEX = re.compile(r"#[0-9a-fA-F]{6}\b")
LAB_DARK = "#111111"  # JupyterLab's --jp-layout-color0 in its dark theme
# How a color looks without one kind of cones: Machado et al. 2009, severity 1, on linear RGB.
SEEN = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)  # fmt: skip


def linear(color: str) -> np.ndarray:
    """Return linear red, green and blue (WCAG 2.2, relative luminance)."""
    parts = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return WCAG's contrast of two colors."""
    low, high = sorted(float(TO_XYZ[1] @ linear(color)) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(color: str, seen: tuple) -> np.ndarray:
    """Return CIELAB of a color as it is seen."""
    xyz = TO_XYZ @ np.clip(np.array(seen) @ linear(color), 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_no_other_file_names_a_color():
    room = Path(labs_lib.__file__).parent
    others = [path for path in room.rglob("*.py") if path != Path(colors.__file__)]
    assert len(others) > 100
    assert {path.name: HEX.findall(path.read_text("utf-8")) for path in others} == {
        path.name: [] for path in others
    }


def test_the_base_is_grey_and_every_part_of_a_step_is_seen_on_both_grounds():
    assert colors.MEMORY_COLORS["weights"] == colors.GREY
    low = {
        (part, ground): contrast(color, ground)
        for part, color in colors.MEMORY_COLORS.items()
        for ground in (colors.PAPER, LAB_DARK)
        if contrast(color, ground) < 3
    }
    assert low == {}


@pytest.mark.parametrize("eyes", SEEN)
def test_the_parts_of_a_step_are_told_apart(eyes: str):
    near = {
        pair: float(np.linalg.norm(np.subtract(*(lab(color, SEEN[eyes]) for color in pair))))
        for pair in itertools.combinations(colors.MEMORY_COLORS.values(), 2)
    }
    assert min(near.values()) > 9, near

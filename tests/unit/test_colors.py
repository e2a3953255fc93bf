"""The course's colors are told apart, and have one place."""

from __future__ import annotations

import re
from pathlib import Path

import labs_lib
from labs_lib import colors

HEX = re.compile(r"#[0-9a-fA-F]{6}\b")


def test_no_other_file_names_a_color():
    room = Path(labs_lib.__file__).parent
    others = [path for path in room.rglob("*.py") if path != Path(colors.__file__)]
    assert len(others) > 100
    assert {path.name: HEX.findall(path.read_text("utf-8")) for path in others} == {
        path.name: [] for path in others
    }


def test_each_kind_of_bytes_has_its_own():
    assert len(set(colors.MEMORY_COLORS.values())) == len(colors.MEMORY_COLORS)
    assert set(colors.MEMORY_COLORS.values()) <= set(colors.PALETTE)

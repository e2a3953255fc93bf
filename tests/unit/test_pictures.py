"""The lessons' pictures and tables say what their data say, in words too."""

from __future__ import annotations

import re

import pytest

from labs_lib.errors import LabError
from labs_lib.lowrank import draw_layer, draw_methods, drawing
from labs_lib.memory import card, draw_parts, draw_peaks, draw_ranges, published, published_table
from labs_lib.training import draw_seeds, recorded_comparison
from tools import notebooks
from tools.tables.lessons import lesson_of

GIB = 2**30


def test_a_layer_tells_its_shapes_and_that_its_routes_are_parallel():
    said = draw_layer(d_in=576, d_out=192, rank=8).alt
    assert "in parallel" in said
    assert all(shape in said for shape in ("192 × 576", "8 × 576", "192 × 8"))
    with pytest.raises(LabError, match="rank: 300 is above 192"):
        draw_layer(d_in=576, d_out=192, rank=300)


def test_lora_is_drawn_beside_its_matrix_and_not_behind_it():
    """A wire of its own leads to each B·A; the one through W does not touch it."""
    main = [wire for wire in drawing._WIRES if ((34, 36) in wire or (34, 8) in wire)]
    for x, y, _ in drawing._METHODS["LoRA"]:
        assert not any((x, y) in wire or any(place[1] == y for place in wire) for wire in main)
        assert any(sum(place[1] == y for place in wire) == 2 for wire in drawing._WIRES)
    assert "in parallel with W q" in draw_methods().alt


def test_every_published_row_is_shown_with_its_mechanism_and_what_is_left():
    rows = published_table().rows
    assert len(rows) == len(published())
    for row, (*_, difference, mechanism, left) in zip(published(), rows, strict=True):
        assert bool(mechanism) is not row.comparable
        assert bool(left) is bool(mechanism)
        if mechanism:
            nearest = max(2.0, abs(float(difference.rstrip("%"))))
            # A fitted factor is held to its own error, and of an excluded row a mechanism may be
            # named that is not computed.
            assert row.reserves or abs(float(left.rstrip("%"))) <= nearest
            if row.role != "excluded":
                assert abs(float(left.rstrip("%"))) < nearest


def test_bars_lines_and_ranges_say_their_numbers():
    parts = {"full": {"weights": 500.0, "optimizer": 1000.0}, "lora": {"weights": 500.0}}
    assert "full 1,500; lora 500" in draw_parts(parts, title="t", label="MB").alt
    on = card("RTX 4090")
    said = draw_peaks({"LoRA": [GIB, 2 * GIB]}, [128, 256], title="t", room=on).alt
    assert "22.6 GiB of RTX 4090" in said
    assert "7b 4.0 to 6.0" in draw_ranges({"7b": (4 * GIB, 6 * GIB)}, [on], title="t").alt
    assert "lora 79.0, 86.0" in draw_seeds({"lora": [79, 86]}, title="t", label="%").alt


def test_a_recorded_comparison_can_be_shown_without_its_seconds():
    recorded = recorded_comparison("structured-output")
    with_time, without = (str(recorded.table(timing=timing)) for timing in (True, False))
    assert "seconds a step" in with_time
    assert "tokens a second" in with_time
    assert "second" not in without
    assert "of what was known, kept (%)" in without


def test_lesson_00_names_every_lesson_of_the_course():
    first = next(path for path in notebooks.sources() if path.stem.startswith("00_"))
    text = first.read_text(encoding="utf-8")
    named = dict(re.findall(r"^# \| (\d\dx?) ([^|]+?) \|", text, re.MULTILINE))
    wanted = {each.number: each.title for each in map(lesson_of, notebooks.sources())}
    assert named == wanted

"""The memory planner and the byte bar: values, stillness, speed, and the trace that arrives."""

import time

from call_counting import calls_of

from labs_lib import figures
from labs_lib.memory import forecast
from labs_lib.widgets.memory_planner import ByteBar, MemoryPlanner, plan


def test_it_shows_what_the_closed_form_says():
    planner = MemoryPlanner(tracing=False, method="qlora", seq_len=1024, card="T4")
    expected = forecast("llama-2-7b", method="qlora", seq_len=1024)
    assert planner.figures.forecast == expected
    assert f"{expected.peak_bytes / 2**30:,.2f} GiB" in planner._table.value
    assert "fits" in planner.text
    planner.batch = 8
    assert planner.figures.forecast.peak_bytes > expected.peak_bytes
    assert "does not fit T4" in planner.text
    assert "change 1" in planner._table.value


def test_every_kind_of_bytes_is_drawn_in_its_color_and_named():
    planner = MemoryPlanner(tracing=False, method="full")
    for kind, color in figures.MEMORY_COLORS.items():
        assert color in planner._picture.value
        assert kind in planner._picture.value
    assert "RTX 3090: 22.56 GiB usable" in planner._picture.value
    assert "aria-label" in planner._picture.value


def test_a_mistake_is_shown_and_the_controls_go_on():
    planner = MemoryPlanner(tracing=False)
    planner.set(model="gpt2", targets="q_proj")
    assert "c_attn" in planner.trouble
    planner.targets = "q,v"
    assert planner.trouble == ""
    assert planner.text.startswith("MemoryPlanner: gpt2, lora")


def test_its_plain_text_is_one_stable_line():
    first, second = MemoryPlanner(tracing=False), MemoryPlanner(tracing=False)
    line = first._repr_mimebundle_()["text/plain"]
    assert line == second._repr_mimebundle_()["text/plain"]
    assert line == (
        "MemoryPlanner: llama-2-7b, lora, batch 1 x 512 tokens: peak 15.29 GiB, fits RTX 3090"
    )
    assert "<img" in first._repr_mimebundle_()["text/html"]


def test_the_byte_bar_is_the_same_instrument_with_three_controls():
    bar = ByteBar(tracing=False, method="full")
    assert bar.figures == plan(bar.request(), "RTX 3090")
    assert isinstance(bar, MemoryPlanner)


def test_a_slider_is_answered_by_few_calls():
    """Whether that is within a frame, `benchmarks/widgets.py` measures."""
    planner = MemoryPlanner(tracing=False)
    calls = [
        calls_of(lambda batch=batch: setattr(planner, "batch", batch)) for batch in range(2, 62)
    ]
    assert max(calls) < 8_000


def test_the_trace_arrives_after_a_change_and_not_for_a_state_that_has_passed():
    planner = MemoryPlanner(model="gpt2", seq_len=32)
    planner.rank = 4
    planner.rank = 16
    until = time.monotonic() + 120
    while not planner.traced_bytes and time.monotonic() < until:
        time.sleep(0.05)
    assert abs(planner.traced_bytes / planner.figures.forecast.peak_bytes - 1) < 0.03
    assert "Traced" in planner._arrived.value
    turn = planner._turn
    planner._tracing = False
    planner._show(turn - 1, 1, "")
    assert planner.traced_bytes != 1

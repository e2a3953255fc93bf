"""The simulation of paging: what moves, what fits, and that it says it is a simulation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs_lib.errors import LabError
from labs_lib.quantization import (
    PagingStep,
    simulate_paging,
    training_phases,
)

MB = 10**6


def test_nothing_moves_while_everything_fits():
    steps = training_phases(100 * MB, 10 * MB, [50 * MB, 50 * MB], ["m", "v"])
    report = simulate_paging(steps, {"m": 20 * MB, "v": 20 * MB}, limit_bytes=200 * MB)
    assert (report.transferred_bytes, report.fits, report.fits_without_paging) == (0, True, True)


def test_a_long_batch_pushes_the_states_out_and_the_optimizer_fetches_them():
    steps = training_phases(100 * MB, 10 * MB, [50 * MB, 90 * MB, 50 * MB], ["m", "v"])
    report = simulate_paging(steps, {"m": 20 * MB, "v": 20 * MB}, limit_bytes=200 * MB)
    assert report.fits
    assert not report.fits_without_paging
    moved = {s.name: (s.page_in_bytes, s.page_out_bytes) for s in report.steps}
    # Forward of the long batch: 100 + 90 + 40 is 30 too many, so both states go, whole.
    assert moved["step 2 forward"] == (0, 40 * MB)
    assert moved["step 2 optimizer m"] == (20 * MB, 0)
    assert moved["step 2 optimizer v"] == (20 * MB, 0)
    assert moved["step 3 forward"] == (0, 0)
    assert report.transferred_bytes == 80 * MB


def test_the_buffer_touched_longest_ago_leaves_first():
    steps = [
        PagingStep("touch a", 0, ("a",)),
        PagingStep("touch b", 0, ("b",)),
        PagingStep("squeeze", 15),
    ]
    report = simulate_paging(steps, {"a": 10, "b": 10}, limit_bytes=25)
    assert report.steps[2].paged_out == ("a",)
    again = [*steps[:2], PagingStep("touch a again", 0, ("a",)), PagingStep("squeeze", 15)]
    assert simulate_paging(again, {"a": 10, "b": 10}, limit_bytes=25).steps[3].paged_out == ("b",)


def test_what_paging_cannot_save_is_said():
    report = simulate_paging([PagingStep("huge", 300)], {"m": 10}, limit_bytes=200)
    assert not report.fits
    report = simulate_paging([PagingStep("touch", 195, ("m",))], {"m": 10}, limit_bytes=200)
    assert not report.fits


def test_it_is_labeled_as_a_simulation():
    report = simulate_paging([], {}, 1)
    assert report.simulated is True


@given(
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=5),
    moments=st.lists(
        st.tuples(st.integers(0, 120), st.sets(st.integers(0, 4), max_size=3)), max_size=20
    ),
    limit=st.integers(1, 200),
)
def test_bytes_are_conserved_and_the_limit_holds(sizes, moments, limit):
    buffers = {str(i): size for i, size in enumerate(sizes)}
    steps = [
        PagingStep(str(n), fixed, tuple(str(i) for i in sorted(touched) if str(i) in buffers))
        for n, (fixed, touched) in enumerate(moments)
    ]
    report = simulate_paging(steps, buffers, limit)
    resident = sum(sizes)
    for step in report.steps:
        resident += step.page_in_bytes - step.page_out_bytes
        assert step.resident_bytes == resident
        assert step.fits == (step.used_bytes <= limit)


@pytest.mark.parametrize(
    ("steps", "buffers", "limit", "words"),
    [
        ([], {}, 0, "limit_bytes: 0 is not a positive"),
        ([], {"m": -1}, 5, "buffers: m has -1 bytes"),
        ([PagingStep("x", -3)], {}, 5, "fixed_bytes: -3 in 'x'"),
        ([PagingStep("x", 3, ("adam_mm",))], {"adam_m": 1}, 5, "did you mean 'adam_m'"),
    ],
)
def test_bad_input_is_refused_in_one_line(steps, buffers, limit, words):
    with pytest.raises(LabError, match=words):
        simulate_paging(steps, buffers, limit)

"""Cards, the largest settings, what to turn; and the published rows."""

import pytest

from labs_lib.errors import LabError
from labs_lib.memory import (
    card,
    cards,
    describe,
    fit,
    forecast,
    published,
    published_sources,
    published_table,
    report,
    request_of,
)


def test_cards_hold_the_memory_that_their_names_say():
    sizes = {name: each.memory_bytes / 2**30 for name, each in cards().items()}
    assert sizes["T4"] == 16
    assert sizes["RTX 3060"] == 12
    assert sizes["RTX 3090"] == sizes["RTX 4090"] == sizes["L4"] == 24
    assert sizes["A100 40GB"] == 40
    assert sizes["A100 80GB"] == sizes["H100"] == 80
    assert all(each.usable_bytes < each.memory_bytes for each in cards().values())


def test_a_card_that_does_not_exist_names_the_nearest():
    assert card("rtx3090") is cards()["RTX 3090"]
    with pytest.raises(LabError, match="did you mean 'H100'"):
        card("H1000")


def test_the_largest_settings_fit_and_the_next_do_not():
    request = request_of("llama-2-7b", method="qlora", checkpointing=True)
    found = fit(request, "RTX 3060")
    room = cards()["RTX 3060"].usable_bytes
    assert found.fits
    for setting, largest in (
        ("batch", found.largest_batch),
        ("seq_len", found.largest_seq_len),
        ("rank", found.largest_rank),
    ):
        assert forecast(request.but(**{setting: largest})).peak_bytes <= room
        if largest < 4096:
            assert forecast(request.but(**{setting: largest + 1})).peak_bytes > room
    assert found.largest_model == "qwen2.5-14b"


def test_changes_win_the_bytes_they_name_until_it_fits():
    found = fit(request_of("llama-2-7b", method="full", batch=4, seq_len=2048), "RTX 3090")
    assert not found.fits
    assert found.spare_bytes < 0
    peak = found.forecast.peak_bytes
    for change in found.changes:
        assert change.saved_bytes > 0
        peak -= change.saved_bytes
        assert change.peak_bytes == peak
    assert peak <= found.card.usable_bytes
    assert all(change.peak_bytes > found.card.usable_bytes for change in found.changes[:-1])
    assert len(describe(found)) == 1 + len(found.changes)


def test_what_fits_nowhere_is_told_so():
    found = fit(request_of("llama-2-70b", method="full"), "RTX 3060")
    assert (found.largest_batch, found.largest_seq_len) == (0, 0)
    assert "Even then it does not fit" in describe(found)[-1]


def test_comparable_published_rows_are_within_3_percent():
    rows = [row for row in report() if row.row.comparable]
    assert len(rows) >= 6
    assert {row.row.request.model for row in rows} >= {"llama-2-7b", "llama-2-13b", "mistral-7b"}
    worst = max(rows, key=lambda row: abs(row.difference))
    assert abs(worst.difference) < 0.03, worst


def test_a_row_that_does_not_fit_names_its_mechanism_and_comes_closer_by_it():
    others = [row for row in report() if not row.row.comparable]
    assert others
    for each in others:
        assert len(each.row.remark) > 40
        if each.row.loss_chunks > 1 or each.row.keeps_inputs:
            assert abs(each.explained_difference) < abs(each.difference)


def test_it_is_within_3_percent_of_every_peak_whose_mechanisms_are_computed():
    found = [row for row in report() if row.row.role != "excluded"]
    assert len(published()) >= 80
    assert len(found) >= 70
    differences = [abs(row.explained_difference) for row in found]
    assert sum(differences) / len(differences) < 0.01
    assert max(differences) < 0.03
    held_out = [row for row in found if row.row.role == "holdout"]
    assert len(held_out) >= 40


def test_an_excluded_row_says_what_is_not_computed():
    excluded = [row for row in published() if row.role == "excluded"]
    assert excluded
    assert all("not computed" in row.remark for row in excluded)
    assert {row.role for row in published()} == {"calibration", "holdout", "excluded"}


def test_the_sources_are_shown_with_their_errors_and_a_long_table_is_folded():
    sources = published_sources()
    assert sum(int(row[2]) for row in sources.rows) == len(published())
    fit_check = published_table("FitCheck")
    assert len(fit_check.rows) == 71
    page = fit_check.folded("71 peaks")._repr_html_()
    assert page.startswith("<details><summary>71 peaks</summary><table>")
    assert str(fit_check.folded("71 peaks")).startswith("71 peaks\nsource")
    with pytest.raises(LabError, match="did you mean 'FitCheck'"):
        published_table("FitChek")


def test_every_published_row_says_where_it_is_from():
    for row in published():
        assert row.url.startswith("https://")
        assert row.source
        assert row.hardware
        assert row.settings
        assert row.versions

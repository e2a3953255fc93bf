"""What the allocator reserves, as a range; the verdict and the exit status that follow."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from labs_lib.cli import labs
from labs_lib.memory import Reserved, card, fit, forecast, published, report, request_of
from labs_lib.memory.fitting import DOES_NOT_FIT, FITS, UNCERTAIN
from labs_lib.memory.reserving import FACTOR_ERROR, reserved_for, reserved_of

GIB = 2**30


def _errors(role):
    return [
        reserved_for(each.row.request, each.explained_bytes).likely_bytes / reserved - 1
        for each in report()
        if (reserved := each.row.reserved_bytes) and each.row.role == role
    ]


def test_the_factor_was_fitted_to_calibration_rows_and_holds_for_the_others():
    fitted, held_out = _errors("calibration"), _errors("holdout")
    assert (len(fitted), len(held_out)) == (29, 42)
    for errors in (fitted, held_out):
        assert sum(map(abs, errors)) / len(errors) < 0.06
        assert max(map(abs, errors)) <= FACTOR_ERROR + 0.001


def test_the_range_holds_the_peak_and_what_was_measured():
    for each in report():
        if not each.row.reserved_bytes:
            continue
        found = reserved_for(each.row.request, each.explained_bytes)
        assert each.explained_bytes <= found.least_bytes <= found.likely_bytes <= found.most_bytes
        assert found.least_bytes <= 1.01 * each.row.reserved_bytes
        assert each.row.reserved_bytes <= 1.01 * found.most_bytes


def test_a_replay_counts_where_there_is_one_and_holds_every_row(root):
    found = forecast("qwen2.5-1.5b", method="qlora", seq_len=1024)
    assert reserved_of(found).how == "factor"
    recorded = json.loads((root / "benchmarks/results/reserved.json").read_text("utf-8"))["rows"]
    for row in recorded:
        replayed = replace(found, peak_bytes=0, reserved_bytes=row["replay_bytes"])
        assert reserved_of(replayed).how == "replay"
        least, most = reserved_of(replayed).range_bytes
        assert least <= row["measured_bytes"] <= most


def test_a_card_says_which_of_three_it_is():
    t4 = card("T4")
    for least, most, verdict in (
        (10, 14, FITS),
        (10, 15.5, UNCERTAIN),
        (15.5, 18, UNCERTAIN),
        (15.9, 18, DOES_NOT_FIT),
    ):
        found = Reserved("factor", int(least * GIB), int(least * GIB), int(most * GIB))
        assert t4.verdict(found) == verdict


def test_every_measured_run_that_went_through_is_not_called_impossible():
    t4 = card("T4")
    for row in published():
        if row.hardware != "Tesla T4":
            continue
        found = reserved_for(row.request, row.measured_bytes)
        assert t4.verdict(found) != DOES_NOT_FIT


def test_a_verdict_is_in_the_fit_and_its_words():
    found = fit(request_of("llama-2-7b", seq_len=256, checkpointing=True), "T4")
    assert found.verdict in (FITS, UNCERTAIN)
    assert found.as_dict()["reserved"]["how"] == "factor"


@pytest.mark.parametrize(
    ("on", "status", "words"),
    [
        ("RTX 4090", 3, "Uncertain on RTX 4090"),
        ("A100 40GB", 0, "Fits A100 40GB"),
        ("RTX 3060", 1, "Does not fit RTX 3060"),
    ],
)
def test_the_command_ends_with_the_verdict(on, status, words):
    arguments = ["memory", "llama-3-8b", "--card", on]
    done = CliRunner().invoke(labs, arguments)
    assert done.exit_code == status
    assert words in " ".join(done.output.split())
    content = json.loads(CliRunner().invoke(labs, [*arguments, "--json"]).output)
    assert content["fit"]["card"] == on
    assert content["fit"]["reserved"]["most_bytes"] > content["peak_bytes"]

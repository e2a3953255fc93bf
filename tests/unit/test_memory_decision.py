"""The decision: what is chosen, and that each figure in its reasons is the forecast's."""

from __future__ import annotations

import re

import pytest

from labs_lib.errors import LabError
from labs_lib.memory import PRIORITIES, card, decide, forecast, format_bytes


@pytest.mark.parametrize(
    ("model", "on", "priorities", "method", "checkpointing"),
    [
        ("llama-2-7b", "RTX 4090", [], "lora", False),
        ("llama-2-7b", "T4", [], "lora", True),
        ("llama-2-13b", "RTX 4090", [], "qlora", False),
        ("llama-33b", "RTX 4090", [], "qlora", True),
        ("llama-2-70b", "A6000", [], "qlora", True),
        ("llama-2-7b", "RTX 4090", ["length"], "lora", True),
        ("llama-2-7b", "H100", ["capacity"], "full", False),
        ("llama-2-7b", "RTX 4090", ["capacity"], "lora", False),
        ("llama-2-7b", "H100", ["capacity", "variants"], "lora", False),
        ("llama-2-7b", "H100", ["capacity", "retention"], "lora", False),
        ("smollm2-1.7b-instruct", "H100", [], "lora", False),
    ],
)
def test_the_choice(model, on, priorities, method, checkpointing):
    found = decide(model, on, priorities)
    assert found.method == method
    assert found.chosen is not None
    assert found.chosen.fits
    assert found.chosen.request.checkpointing is checkpointing


def test_what_was_preferred_and_left_did_not_fit():
    found = decide("llama-33b", "RTX 4090")
    assert found.chosen is not None
    asked = found.options[: found.options.index(found.chosen)]
    assert [each.name for each in asked] == ["LoRA", "LoRA with checkpointing", "QLoRA"]
    assert not any(each.fits for each in asked)


def test_every_figure_of_a_reason_is_the_forecasts():
    found = decide("llama-2-13b", "RTX 4090", ["variants", "retention"])
    assert found.chosen is not None
    usable = card("RTX 4090").usable_bytes
    lora = forecast("llama-2-13b", optimizer="adamw_fused")
    text = str(found)
    for bytes_ in (lora.peak_bytes, lora.peak_bytes - usable, usable, lora.weights_bytes):
        assert format_bytes(bytes_) in text
    qlora = forecast("llama-2-13b", method="qlora", optimizer="adamw_fused")
    assert found.chosen.forecast == qlora
    known = {format_bytes(each.forecast.peak_bytes) for each in found.options}
    known |= {format_bytes(abs(each.spare_bytes)) for each in found.options}
    known |= {format_bytes(each.forecast.weights_bytes) for each in found.options}
    known |= {format_bytes(usable), format_bytes(2 * 13_015_864_320)}
    known.add(format_bytes(qlora.adapter_bytes, "MiB"))
    assert set(re.findall(r"[\d,.]+ [GM]iB", text)) <= known


def test_length_takes_the_one_with_the_longest_texts_and_says_so():
    found = decide("llama-2-13b", "RTX 4090", ["length"])
    assert found.chosen is not None
    fitting = [each for each in found.options if each.fits]
    assert found.chosen.longest == max(each.longest for each in fitting)
    assert "Not QLoRA: it fits" in str(found)


def test_where_nothing_fits_it_names_a_card_and_a_model_that_would():
    found = decide("llama-2-70b", "RTX 4090")
    assert (found.method, found.chosen) == ("none", None)
    assert "no method fits" in found.answer
    assert "A100 40GB" in str(found)
    assert "qwen2.5-32b" in str(found)
    least = decide("llama-2-70b", "A100 40GB").chosen
    assert least is not None
    assert least.method == "qlora"


def test_a_conflict_of_priorities_is_named():
    assert "pull two ways" in str(decide("llama-2-7b", "H100", ["capacity", "retention"]))
    assert "pull two ways" not in str(decide("llama-2-7b", "H100", ["capacity"]))


def test_settings_of_the_step_hold_for_every_option():
    found = decide("llama-2-7b", "L40S", rank=16, targets="all-linear", batch=2, seq_len=1024)
    for each in found.options:
        assert (each.request.batch, each.request.seq_len, each.request.rank) == (2, 1024, 16)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("llama-2-7b", "RTX 4090", ["retension"]), "did you mean 'retention'"),
        (("llama-2-7b", "RTX 4900"), "did you mean"),
        (("llama-7b", "RTX 4090"), "did you mean"),
    ],
)
def test_a_misspelt_name_is_one_line(arguments, words):
    with pytest.raises(LabError, match=words):
        decide(*arguments)


def test_every_priority_changes_the_reasons():
    plain = str(decide("llama-2-7b", "H100"))
    for each in PRIORITIES:
        assert str(decide("llama-2-7b", "H100", each)) != plain

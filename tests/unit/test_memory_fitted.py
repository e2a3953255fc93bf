"""Polynomials fitted to traces: they are the trace's own figures, at once, for any architecture."""

import json
import random
import sys

import pytest

from labs_lib import paths
from labs_lib.errors import LabError
from labs_lib.memory import curves, estimate, fitted, shipped_fits, trace
from labs_lib.memory.request import request_of
from labs_lib.step.optimizers import OPTIMIZERS
from tools import memory_fits

WITHIN = 0.03
METHODS = (
    {"method": "full"},
    {"method": "lora"},
    {"method": "lora", "targets": "all-linear", "checkpointing": True},
    {"method": "qlora", "targets": "all-linear", "precision": "mixed", "prepare_kbit": True},
)
FIGURES = ("weights_bytes", "adapter_bytes", "gradients_bytes", "optimizer_bytes")
PLAIN = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 128,
    "max_position_embeddings": 4096,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
# What one tiny configuration each shows.
SMALL = {
    "two kinds of layers, and a window": {"model_type": "gemma3_text", "sliding_window": 64},
    "experts in every third layer": {
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "decoder_sparse_step": 3,
    },
    "text beside a vision tower": {
        "model_type": "gemma3",
        "text_config": PLAIN,
        "vision_config": VISION,
        "mm_tokens_per_image": 4,
    },
    "scores with a sink": {"model_type": "gpt_oss", "num_local_experts": 4, "sliding_window": 32},
}


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch, tmp_path):
    """Let every test fit for itself."""
    monkeypatch.setattr(paths, "own_cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(curves, "_IN_MEMORY", {})


def write(folder, fields):
    path = folder / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return str(path)


def held_against_the_trace(model, **fields):
    """Return the relative difference of the peaks, the figures that must be equal being so."""
    request = request_of(model, **fields)
    found, traced = fitted(request), trace(request)
    for name in (*FIGURES, "trainable_parameters", "total_parameters"):
        assert getattr(found, name) == getattr(traced, name), (name, model, fields)
    assert sum(found.at_peak.values()) == found.peak_bytes
    return found.peak_bytes / traced.peak_bytes - 1


@pytest.mark.seconds
@pytest.mark.parametrize("name", SMALL)
def test_it_is_the_trace_at_any_length_batch_and_rank(name, tmp_path):
    path = write(tmp_path, {**PLAIN, **SMALL[name]})
    for fields in (
        {"seq_len": 24, "rank": 3},
        {"seq_len": 700, "batch": 5, "rank": 64, "optimizer": "adamw_8bit"},
    ):
        assert abs(held_against_the_trace(path, targets="all-linear", **fields)) < 1e-3, fields


@pytest.mark.seconds
def test_a_text_as_long_as_the_window_takes_the_way_of_longer_ones(tmp_path):
    path = write(tmp_path, {**PLAIN, **SMALL["two kinds of layers, and a window"]})
    assert abs(held_against_the_trace(path, seq_len=64)) < 1e-3


@pytest.mark.seconds
def test_full_fine_tuning_of_a_model_with_an_idle_tower(tmp_path):
    path = write(tmp_path, {**PLAIN, **SMALL["text beside a vision tower"]})
    difference = held_against_the_trace(path, method="full", optimizer="adamw", seq_len=24)
    assert abs(difference) < 1e-3


@pytest.mark.seconds
def test_it_is_within_3_percent_of_the_trace_on_a_sample_of_the_catalogue():
    """`benchmarks/memory_families.py` holds every model, method and setting against the trace."""
    drawn = random.Random(19)
    for model in drawn.sample(memory_fits.NEWER, 2):
        fields = dict(drawn.choice(METHODS), rank=drawn.choice((4, 16, 64)))
        fields |= {"seq_len": drawn.choice((96, 512, 2000)), "batch": 1}
        fields["optimizer"] = drawn.choice(list(OPTIMIZERS))
        assert abs(held_against_the_trace(model, **fields)) < WITHIN, (model, fields)


# What is kept --------------------------------------------------------------------------------


def test_a_second_answer_needs_no_trace_and_another_process_no_torch(tmp_path, monkeypatch):
    path = write(tmp_path, {**PLAIN, **SMALL["experts in every third layer"]})
    first = estimate(path, seq_len=24)
    assert first.source == "fitted"
    assert first.notes[0].startswith("Fitted to traces: ")
    monkeypatch.setattr(curves, "_IN_MEMORY", {})
    monkeypatch.setitem(sys.modules, "labs_lib.memory.fitting_traces", None)  # would be an error
    assert estimate(path, seq_len=24) == first
    assert estimate(path, seq_len=48, rank=20).peak_bytes > first.peak_bytes


def test_what_is_kept_and_cannot_be_read_is_made_anew(tmp_path, monkeypatch):
    path = write(tmp_path, {**PLAIN, "model_type": "qwen3", "num_hidden_layers": 2})
    first = fitted(request_of(path, seq_len=24))
    (kept,) = (paths.own_cache_dir() / "memory").iterdir()
    for text in ("{", "[]", '{"regions": {"x": {}}, "windows": [], "longest": 9}'):
        kept.write_text(text, encoding="utf-8")
        monkeypatch.setattr(curves, "_IN_MEMORY", {})
        assert fitted(request_of(path, seq_len=24)) == first


def test_a_changed_configuration_is_another_one(tmp_path):
    peaks = set()
    for inner in (64, 96):
        path = write(
            tmp_path,
            {**PLAIN, "model_type": "qwen3", "num_hidden_layers": 2, "intermediate_size": inner},
        )
        peaks.add(fitted(request_of(path, seq_len=24)).peak_bytes)
    assert len(peaks) == 2


# Experts, and what cannot be run -----------------------------------------------------------------


@pytest.mark.seconds
def test_it_is_said_that_the_experts_are_not_quantized(tmp_path):
    path = write(tmp_path, {**PLAIN, **SMALL["experts in every third layer"]})
    plain, quantized = (estimate(path, method=method, seq_len=24) for method in ("lora", "qlora"))
    experts = 2 * 3 * 4 * 16 * 32
    assert plain.weights_bytes > quantized.weights_bytes > 2 * experts
    assert any("experts are not quantized" in note for note in quantized.notes)
    assert not any("experts" in note for note in plain.notes)


def test_what_cannot_be_run_says_where_and_what_it_takes_at_the_least(tmp_path):
    fields = {
        "model_type": "jetmoe",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "kv_channels": 8,
        "num_local_experts": 4,
        "vocab_size": 128,
    }
    path = write(tmp_path, fields)
    for ask in (estimate, trace):
        with pytest.raises(LabError, match="depends on values") as caught:
            ask(path, seq_len=16)
        said = str(caught.value)
        assert "layers.0" in said
        assert "the formula's lower bound is" in said
        assert "\n" not in said


# What ships ------------------------------------------------------------------------------------


@pytest.fixture
def shipping(monkeypatch, tmp_path):
    """Ship the fits of a small configuration alone; returns its path."""
    path = write(tmp_path, {**PLAIN, "model_type": "qwen3", "num_hidden_layers": 2})
    key, kept = memory_fits.kept_of(request_of(path, seq_len=16))
    package = tmp_path / "package"
    package.mkdir()
    shipped_fits.write_shipped(package / shipped_fits.FILE, {key: kept})
    monkeypatch.setattr(shipped_fits.resources, "files", lambda _name: package)
    monkeypatch.setattr(paths, "own_cache_dir", lambda: tmp_path / "empty")
    monkeypatch.setattr(curves, "_IN_MEMORY", {})
    return path


def test_what_ships_answers_without_a_trace(shipping, monkeypatch):
    monkeypatch.setitem(sys.modules, "labs_lib.memory.fitting_traces", None)  # would be an error
    for fields in (
        {"batch": 1, "rank": 3},
        {"batch": 4, "seq_len": 700, "optimizer": "adamw_8bit"},
    ):
        assert fitted(request_of(shipping, **fields)).source == "fitted"


def test_what_ships_is_of_these_settings_and_versions_alone(shipping, monkeypatch):
    monkeypatch.setitem(sys.modules, "labs_lib.memory.fitting_traces", None)
    with pytest.raises(ImportError):
        fitted(request_of(shipping, method="qlora"))
    monkeypatch.setattr(curves, "_IN_MEMORY", {})
    monkeypatch.setattr(curves, "_version", lambda name: f"1.0 of {name}")
    with pytest.raises(ImportError):
        fitted(request_of(shipping))


def test_the_same_fits_are_the_same_file(tmp_path):
    for name in ("one", "other"):
        shipped_fits.write_shipped(tmp_path / name, {"b": {"regions": {}}, "a": {"regions": {}}})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_what_ships_is_what_todays_code_traces(monkeypatch):
    monkeypatch.undo()  # the package's own file
    drawn = random.Random(21)
    shipped = [
        request
        for model in memory_fits.NEWER
        for request in memory_fits.requests(model)
        if shipped_fits.read_shipped(curves.shipped_key(curves._fields_of(request), request))
    ]
    assert shipped
    monkeypatch.setitem(sys.modules, "labs_lib.memory.fitting_traces", None)
    for request in drawn.sample(shipped, 2):
        at = request.but(seq_len=drawn.choice((96, 700)), batch=drawn.choice((1, 3)), rank=12)
        assert fitted(at).peak_bytes == pytest.approx(trace(at).peak_bytes, rel=1e-3), at

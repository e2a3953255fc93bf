"""The trace: depth by extrapolation, reference figures, and real tensors of every family."""

import importlib
import json

import pytest

from labs_lib.errors import LabError
from labs_lib.memory import measure, trace
from labs_lib.memory.architecture import config_of
from labs_lib.memory.building import plan_of
from labs_lib.memory.depth import extrapolated
from labs_lib.memory.recorder import StepRecorder
from labs_lib.memory.request import request_of
from labs_lib.memory.stacks import Pattern
from labs_lib.memory.tracing import _forecast, snapshot, with_targets

DEPTH = 6


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("smollm2-135m-instruct", {"method": "lora"}),
        ("smollm2-135m-instruct", {"method": "full", "checkpointing": True, "optimizer": "sgd"}),
        ("qwen2.5-0.5b", {"method": "qlora", "checkpointing": True, "accumulation": 2}),
        ("gpt2", {"method": "full", "optimizer": "adamw_8bit", "precision": "mixed"}),
        ("falcon-7b", {"method": "lora", "targets": "all-linear", "dora": True}),
    ],
)
def test_two_shallow_traces_give_the_deep_one_to_the_byte(model, fields):
    request = with_targets(request_of(model, seq_len=64, **fields))
    config = config_of(model)
    plan = plan_of(config, request)
    assert plan.pattern == Pattern(0, 1, config.num_hidden_layers)
    low, high, deep = (snapshot(config, request, range(n)) for n in (2, 3, DEPTH))
    figures = extrapolated(low, high, Pattern(0, 1, DEPTH))
    assert figures is not None
    quick = _forecast(plan, figures, config.model_type, ())
    slow = _forecast(plan, deep, config.model_type, ())
    assert quick.peak_bytes == slow.peak_bytes
    assert quick.at_peak == slow.at_peak
    assert quick.moments == slow.moments
    assert quick.alive == slow.alive
    # What the allocator reserves takes every layer.
    others = {"peak_moment": "", "reserved_bytes": None}
    assert quick.as_dict() | others == slow.as_dict() | others


@pytest.mark.parametrize(
    ("fields", "gib"),
    [
        ({"method": "lora"}, 15.34),
        ({"method": "full"}, 62.76),
        ({"method": "qlora", "double_quant": False}, 6.67),
        ({"method": "lora", "checkpointing": True}, 12.95),
    ],
)
def test_llama_2_7b_at_512_tokens(fields, gib):
    assert trace("llama-2-7b", **fields).peak_bytes / 2**30 == pytest.approx(gib, rel=0.01)


def test_storages_that_end_together_end_in_the_order_of_their_beginnings():
    recorder = StepRecorder()
    recorder.events = [(1, 0), (1, 1), (1, 2), (-1, 2), (-1, 0), (0, 0), (-1, 1), (1, 3)]
    recorder.sort_ends()
    assert recorder.events == [(1, 0), (1, 1), (1, 2), (-1, 0), (-1, 2), (0, 0), (-1, 1), (1, 3)]


def test_what_is_alive_at_the_peak_adds_up_to_it():
    found = trace("llama-2-7b", method="lora", seq_len=1304)
    assert sum(row.size_bytes for row in found.alive) == found.peak_bytes
    assert sum(found.at_peak.values()) == found.peak_bytes
    assert found.moments["after load"]["weights"] == found.weights_bytes
    assert found.moments["after the step"]["gradients"] == 0
    assert found.peak_bytes == pytest.approx(21.30e9, rel=0.03)


def test_the_timeline_peaks_where_the_forecast_does():
    found = trace("gpt2", whole=True, seq_len=64)
    assert found.timeline is not None
    totals = [sum(point.live.values()) for point in found.timeline.points]
    assert max(totals) == found.peak_bytes == found.timeline.peak_bytes


def test_a_run_in_another_thread_keeps_its_own_optimizer_and_masks():
    import torch

    from labs_lib.memory.fakes import steps_without_values

    with steps_without_values(request_of("gpt2")):
        # torch.optim hides its modules' names once it is imported.
        adam = importlib.import_module("torch.optim.adam")
        assert adam._get_value(torch.tensor(7.0)) == 7.0


# Real tensors ------------------------------------------------------------------------------

TINY = {
    "gqa-tied": {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
    },
    "large-vocabulary": {
        "model_type": "qwen2",
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 20_000,
        "max_position_embeddings": 256,
        "tie_word_embeddings": False,
    },
    "conv1d": {
        "model_type": "gpt2",
        "n_embd": 64,
        "n_layer": 4,
        "n_head": 4,
        "vocab_size": 512,
        "n_positions": 256,
    },
    "fused-qkv": {
        "model_type": "falcon",
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "multi_query": True,
        "parallel_attn": True,
        "new_decoder_architecture": False,
        "bias": False,
        "alibi": False,
        "vocab_size": 512,
        "max_position_embeddings": 256,
    },
    "no-closed-form": {
        "model_type": "opt",
        "hidden_size": 64,
        "ffn_dim": 160,
        "word_embed_proj_dim": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "vocab_size": 512,
        "max_position_embeddings": 256,
    },
}


@pytest.mark.seconds
@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(
    "fields",
    [
        {"method": "full", "precision": "fp32"},
        {"method": "lora", "targets": "all-linear", "precision": "bf16"},
        {"method": "qlora", "targets": "all-linear", "precision": "fp32", "checkpointing": True},
        {"method": "full", "precision": "mixed", "optimizer": "adafactor"},
    ],
    ids=lambda fields: "-".join(str(value) for value in fields.values()),
)
def test_a_real_step_of_a_small_model_peaks_where_the_trace_says(name, fields, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(TINY[name]))
    found = measure(str(config), batch=2, seq_len=64, **fields)
    assert found.peak_bytes == pytest.approx(found.forecast.peak_bytes, rel=0.001)


@pytest.mark.seconds
def test_the_allocator_itself_reports_the_same_peak(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(TINY["large-vocabulary"]))
    found = measure(str(config), batch=2, seq_len=128, precision="fp32", ask_allocator=True)
    assert found.allocator_bytes == pytest.approx(found.forecast.peak_bytes, rel=0.01)


def test_what_does_not_fit_is_not_run():
    with pytest.raises(LabError, match="this machine has"):
        measure("llama-2-70b", method="full")


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("seq_len", [64, 256])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_real_steps_of_smollm2_are_within_3_percent(method, batch, seq_len, checkpointing):
    found = measure(
        "smollm2-135m-instruct",
        method=method,
        batch=batch,
        seq_len=seq_len,
        checkpointing=checkpointing,
        precision="fp32",
    )
    assert abs(found.difference) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_real_steps_of_smollm2_in_bf16_are_within_3_percent(method):
    found = measure("smollm2-135m-instruct", method=method, seq_len=64, targets="all-linear")
    assert abs(found.difference) < 0.03

"""What a step takes of each of several GPUs, held against two processes on the CPU."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs_lib.errors import LabError
from labs_lib.memory import published_on_several, request_of, shard, trace

MIB = 2**20
TINY = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 5,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 2048,
    "tie_word_embeddings": False,
    "max_position_embeddings": 2048,
}


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TINY))
    return str(path)


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("method", "checkpointing", "strategy"),
    [("full", True, "fsdp"), ("qlora", False, "fsdp"), ("lora", True, "ddp")],
)
def test_two_processes_take_what_is_forecast(tiny, method, checkpointing, strategy):
    request = request_of(
        tiny,
        method=method,
        rank=16,
        targets=None if method == "full" else ("q_proj", "v_proj"),
        batch=2,
        seq_len=128,
        checkpointing=checkpointing,
        device="cpu",
        adapter_precision="bf16",
    )
    measured = _measured(request, strategy)
    found = shard(request, gpus=2, strategy=strategy)
    assert found.held_bytes == pytest.approx(measured["held"], rel=0.01)
    assert found.peak_bytes == pytest.approx(measured["peak"], rel=0.02)
    assert sum(found.at_peak.values()) == found.peak_bytes


def _measured(request, strategy):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    program += [f"--master-port={port}", str(Path(__file__).with_name("sharded_step.py"))]
    done = subprocess.run(
        [*program, request.model_dump_json(), strategy],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stderr[:4000]
    return json.loads(lines[0])


def test_one_gpu_takes_what_the_trace_says_and_sends_nothing(tiny):
    alone = shard(tiny, gpus=1, method="lora", seq_len=64)
    assert alone.peak_bytes == trace(tiny, method="lora", seq_len=64).peak_bytes
    assert alone.sent_bytes == 0


def test_more_gpus_hold_less_each_and_offload_holds_it_in_the_computer(tiny):
    peaks = [shard(tiny, gpus=n, method="full", seq_len=32).peak_bytes for n in (2, 4, 8)]
    assert peaks == sorted(peaks, reverse=True)
    one, off = (shard(tiny, gpus=2, method="full", seq_len=32, offload=o) for o in (False, True))
    assert off.held_bytes < one.held_bytes / 50
    assert one.host_bytes == 0
    # Two bytes each for a weight, its gradient and its two states.
    assert off.host_bytes == pytest.approx(
        4 * 2 * trace(tiny, seq_len=32).total_parameters, rel=0.05
    )


def test_statistics_of_a_4bit_base_are_not_cut_up(tiny):
    held = [
        shard(tiny, gpus=n, method="qlora", seq_len=32).at_peak["weights"] for n in (1, 2, 1000)
    ]
    statistics = held[2]
    assert held[1] - statistics == pytest.approx((held[0] - statistics) / 2, rel=0.02)
    assert statistics > 0


def test_what_does_not_exist_is_refused_in_one_line(tiny):
    refused: list[tuple[dict[str, Any], str]] = [
        ({"gpus": 0}, "gpus: 0: give a whole number from 1"),
        ({"gpus": 2, "strategy": "fsdp3"}, "did you mean 'fsdp'"),
        ({"gpus": 2, "strategy": "ddp", "offload": True}, "offload: DDP has all of the model"),
    ]
    for fields, says in refused:
        with pytest.raises(LabError, match=says):
            shard(tiny, **fields)


@pytest.mark.seconds
def test_published_peaks_of_several_gpus_are_shown_and_the_allocated_ones_are_close():
    table = published_on_several()
    assert len(table.rows) >= 14
    allocated = [row for row in table.rows if row[4] == "allocated"]
    assert len(allocated) == 2
    assert all(abs(float(row[-1].rstrip("%"))) < 5 for row in allocated)

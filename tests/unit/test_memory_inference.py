"""What answering takes: the cache of keys and values, by the model's own code."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from labs_lib.cli import labs
from labs_lib.memory import serve
from labs_lib.memory.architecture import architecture

KIB = 2**10


@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "llama-3.2-1b"])
def test_the_cache_is_keys_and_values_of_every_layer(model):
    shapes = architecture(model)
    found = serve(model, method="full", batch=2, seq_len=64)
    a_token = 2 * shapes.layers * shapes.key_value_heads * shapes.head_size * 2  # K and V in bf16
    assert found.cache_bytes == a_token * 2 * 64
    assert found.cache_bytes_per_token == a_token
    assert found.weights_bytes + found.cache_bytes < found.peak_bytes


def test_the_cache_grows_with_batch_and_length_and_the_base_does_not():
    small = serve("smollm2-135m-instruct", method="full", batch=1, seq_len=64)
    more = serve("smollm2-135m-instruct", method="full", batch=4, seq_len=128)
    assert more.cache_bytes == 8 * small.cache_bytes
    assert more.weights_bytes == small.weights_bytes


def test_a_4bit_base_serves_in_less_and_keeps_its_adapter():
    full = serve("smollm2-135m-instruct", method="full", seq_len=64)
    quantized = serve("smollm2-135m-instruct", method="qlora", rank=8, seq_len=64)
    assert quantized.weights_bytes < 0.6 * full.weights_bytes
    assert quantized.adapter_bytes > 0 == full.adapter_bytes
    assert quantized.cache_bytes == full.cache_bytes


def test_the_logits_of_the_prompt_are_not_made():
    shapes = architecture("smollm2-135m-instruct")
    found = serve("smollm2-135m-instruct", method="full", batch=1, seq_len=2048)
    rest = found.peak_bytes - found.weights_bytes - found.cache_bytes
    assert rest < 2 * 2048 * shapes.vocab_size


def test_training_and_answering_are_one_question():
    arguments = ["memory", "smollm2-135m-instruct", "--serve", "--seq-len", "128"]
    done = CliRunner().invoke(labs, arguments)
    assert "22.5 KiB a token" in " ".join(done.output.split())
    content = json.loads(CliRunner().invoke(labs, [*arguments, "--json"]).output)
    assert content["serving"]["cache_bytes"] == 128 * 22.5 * KIB

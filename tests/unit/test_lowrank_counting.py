"""Counts, exact to the unit against PEFT on the meta device, for the whole catalogue."""

import gc
import warnings

import pytest
from peft import LoraConfig, get_peft_model

from labs_lib.errors import LabError
from labs_lib.lowrank import (
    adapter_bytes,
    count_bias_parameters,
    count_lora_parameters,
    meta_model,
    target_shapes,
)
from labs_lib.models import catalogue, config_of, entry, resolve_targets

RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256]


def query_and_value(name):
    """{q, v}, or the fused matrix where the model has no other."""
    modules = [linear.name for linear in entry(name).linears]
    return ["q_proj", "v_proj"] if "v_proj" in modules else [modules[0]]


def peft_counts(model, targets, ranks):
    """Trainable parameters by rank, as PEFT builds them on the meta device at full depth."""
    counts = {}
    for rank in ranks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GPT-2's Conv1D turns its weight round
            config = LoraConfig(r=rank, target_modules=targets, task_type="CAUSAL_LM")
            wrapped = get_peft_model(model, config, low_cpu_mem_usage=True)
        counts[rank] = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
        wrapped.unload()
    return counts


def with_layers(name, layers):
    """The catalogue's entry and configuration, cut to so many layers."""
    config = config_of(name)
    key = next(key for key in ("num_hidden_layers", "n_layer") if key in entry(name).config)
    setattr(config, key, layers)
    return entry(name).model_copy(update={"config": {**entry(name).config, key: layers}}), config


def target_sets(name):
    """Pairs of our name and PEFT's: {q, v}, the attention, every linear map."""
    return [
        (query_and_value(name), query_and_value(name)),
        ("attention", resolve_targets(name, "attention")),
        ("all-linear", "all-linear"),
    ]


# A family's layers are alike in all of its sizes: the smallest model stands for it.
SMALLEST = {
    model.family.model_type: name
    for name, model in sorted(catalogue().items(), key=lambda item: -item[1].parameters)
}


@pytest.mark.seconds
@pytest.mark.parametrize("name", SMALLEST.values())
def test_counts_equal_pefts_to_the_unit(name):
    """At full depth for one rank, and at every rank for two layers: wrapping 80 layers is slow.

    A mixture has up to 128 experts in a layer: two layers and two ranks are as many maps as 80.
    """
    mixture = bool(entry(name).family.experts)
    ranks = [1, 8] if mixture else RANKS
    whole = None if mixture else meta_model(config_of(name))
    small_entry, small_config = with_layers(name, 2)
    small = meta_model(small_config)
    for ours, theirs in target_sets(name):
        if whole is not None:
            assert peft_counts(whole, theirs, [16]) == {16: count_lora_parameters(name, ours, 16)}
        counts = {rank: count_lora_parameters(small_entry, ours, rank) for rank in ranks}
        assert peft_counts(small, theirs, ranks) == counts
        # From two layers and one rank to any: the count is a product of both. A mixture's first
        # layer may have no experts: there it is a product of the rank alone.
        at_rank_1 = counts[1] * entry(name).layers // 2
        if mixture:
            at_rank_1 = count_lora_parameters(name, ours, 1)
        for rank in (2, 16, 256) if mixture else range(1, 257):
            expected = at_rank_1 * rank
            assert count_lora_parameters(name, ours, rank) == expected
    del whole
    gc.collect()


@pytest.mark.parametrize("name", ["gpt2", "falcon-7b", "qwen2.5-0.5b", "smollm2-135m-instruct"])
@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
@pytest.mark.parametrize("targets", ["attention", "mlp"])
def test_trained_biases_equal_pefts_to_the_unit(name, bias, targets):
    """One model of each kind: biases on every map, on the norms only, on q, k and v, nowhere."""
    model = meta_model(config_of(name))
    modules = resolve_targets(name, targets)
    config = LoraConfig(r=1, target_modules=modules, bias=bias, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = get_peft_model(model, config, low_cpu_mem_usage=True)
    trained = sum(
        p.numel() for n, p in wrapped.named_parameters() if p.requires_grad and "lora_" not in n
    )
    assert count_bias_parameters(name, targets, bias) == trained
    assert (trained == 0) == (
        bias == "none"
        or name.startswith("smollm2")
        or (name, bias) == ("falcon-7b", "lora_only")
        or (name, bias, targets) == ("qwen2.5-0.5b", "lora_only", "mlp")
    )


def test_an_unknown_bias_setting_is_explained():
    with pytest.raises(LabError, match="'lora' is not one of none, lora_only, all"):
        count_bias_parameters("gpt2", "attention", "lora")


def test_the_counts_that_papers_and_readmes_print():
    assert count_lora_parameters("llama-2-7b", "q_proj,v_proj", 8) == 4_194_304
    assert count_lora_parameters("llama-2-7b", ["q_proj", "v_proj"], 16) == 8_388_608
    share = count_lora_parameters("llama-2-7b", "all-linear", 16) / entry("llama-2-7b").parameters
    assert share == pytest.approx(0.0059, abs=5e-5)


@pytest.mark.parametrize("name", ["gpt2", "smollm2-135m-instruct"])
def test_entry_configuration_and_model_agree(name):
    config = config_of(name)
    for targets in ("all-linear", "attention", ["lm_head"]):
        expected = target_shapes(name, targets)
        assert expected == target_shapes(entry(name), targets)
        assert (
            expected == target_shapes(config, targets) == target_shapes(meta_model(config), targets)
        )
    assert len(target_shapes(name, "all-linear")) == len(entry(name).linears) * entry(name).layers


def test_adapter_bytes_are_four_a_parameter():
    assert adapter_bytes(10) == 40
    assert adapter_bytes(10, bits=16) == 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("llama-2-7b", "q_proj", 0), "rank: 0 is not legal"),
        (("llama-2-7b", "q_proj", -1), "rank: -1"),
        (("llama-2-7b", "q_prj", 8), "did you mean 'q_proj'?"),
        (("llama-2-7", "q_proj", 8), "did you mean 'llama-2-7b'?"),
        (("gpt2", "q_proj", 8), "'c_attn' holds q, k and v in one matrix"),
    ],
)
def test_what_cannot_be_counted_is_explained_in_one_line(arguments, words):
    with pytest.raises(LabError) as caught:
        count_lora_parameters(*arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)

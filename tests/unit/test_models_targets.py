"""From a word to module names, on catalogue entries and on real modules alike."""

import pytest

from labs_lib.errors import LabError
from labs_lib.models import catalogue, config_of, entry, resolve_targets

LLAMA_ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = [
    ("llama-2-7b", "all-linear", LLAMA_ALL),
    ("llama-2-7b", "attention", LLAMA_ALL[:4]),
    ("llama-2-7b", "mlp", LLAMA_ALL[4:]),
    ("llama-2-7b", "q,v", ["q_proj", "v_proj"]),
    ("llama-2-7b", " v , q ", ["q_proj", "v_proj"]),
    ("llama-2-7b", "q_proj,v_proj", ["q_proj", "v_proj"]),
    ("llama-2-7b", ["v_proj", "q_proj", "v_proj"], ["q_proj", "v_proj"]),
    ("llama-2-7b", ["self_attn.q_proj", "mlp"], ["q_proj", *LLAMA_ALL[4:]]),
    ("llama-2-7b", "lm_head", ["lm_head"]),
    ("qwen2.5-0.5b", "gate,up,down", LLAMA_ALL[4:]),
    ("gpt2", "all-linear", ["c_attn", "c_proj", "c_fc"]),
    ("gpt2", "attention", ["c_attn", "attn.c_proj"]),
    ("gpt2", "mlp", ["c_fc", "mlp.c_proj"]),
    ("gpt2", "q,k,v", ["c_attn"]),
    ("gpt2", "o", ["attn.c_proj"]),
    ("gpt2", "c_attn", ["c_attn"]),
    ("gpt2", "c_proj", ["c_proj"]),
    ("falcon-7b", "all-linear", ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]),
    ("falcon-7b", "attention", ["query_key_value", "dense"]),
]


@pytest.fixture(scope="module")
def small():
    """Build a one-layer model of an entry's family on the meta device."""
    import torch
    from transformers import AutoModelForCausalLM

    def build(name):
        config = config_of(name)
        config.num_hidden_layers = 1
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)

    return build


@pytest.mark.parametrize(("name", "targets", "expected"), CASES)
def test_entry_and_loaded_model_agree(name, targets, expected, small):
    assert resolve_targets(entry(name), targets) == expected
    assert resolve_targets(name, targets) == expected
    assert resolve_targets(small(name), targets) == expected


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "gpt2", "falcon-7b", "qwen2.5-0.5b"])
@pytest.mark.parametrize("group", ["all-linear", "attention", "mlp"])
def test_peft_applies_exactly_these(name, group, small):
    from peft import LoraConfig, get_peft_model

    shapes, model = entry(name), small(name)
    config = LoraConfig(
        target_modules=resolve_targets(model, group), fan_in_fan_out=shapes.fan_in_fan_out
    )
    wrapped = get_peft_model(model, config)
    adapted = {
        path.split("layers.0.")[-1].split("h.0.")[-1]
        for path, module in wrapped.named_modules()
        if hasattr(module, "lora_A")
    }
    expected = {linear.module for linear in shapes.linears if group in ("all-linear", linear.role)}
    assert adapted == expected
    assert resolve_targets(wrapped, group) == resolve_targets(shapes, group)


@pytest.mark.parametrize(
    ("name", "targets", "message"),
    [
        ("llama-2-7b", "q_porj", "did you mean 'q_proj'"),
        ("llama-2-7b", ["q_proj", "v_prj"], "'v_prj'.*did you mean 'v_proj'"),
        ("llama-2-7b", "all-linaer", "did you mean 'all-linear'"),
        ("llama-2-7b", "c_attn", "'c_attn' is not one of q_proj"),
        ("gpt2", "q_proj", "'c_attn' holds q, k and v in one matrix"),
        ("gpt2", "q,v", "'c_attn' holds q, k and v in one matrix"),
        ("gpt2", "gate", "'gate' is not one of"),
        ("falcon-7b", ["v_proj"], "'query_key_value' holds q, k and v in one matrix"),
        ("gpt2", "", "empty"),
        ("gpt2", [], "empty"),
        ("gpt2", [3], "3 is not a module name"),
        ("gpt2", None, "neither a name nor a list"),
    ],
)
def test_mistakes_get_one_line(name, targets, message, small):
    for model in (entry(name), small(name)):
        with pytest.raises(LabError, match=message) as caught:
            resolve_targets(model, targets)
        assert "\n" not in str(caught.value)


def test_every_entry_resolves():
    for model in catalogue().values():
        assert len(resolve_targets(model, "all-linear")) >= 3

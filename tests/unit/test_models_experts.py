"""Targets on many architectures, mixtures of experts among them: the count is PEFT's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs_lib.errors import LabError
from labs_lib.lowrank import count_lora_parameters, inject
from labs_lib.models import resolve_targets

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
OLD = {"n_embd": 32, "n_layer": 2, "n_head": 4}
# model type → what its configuration needs besides
FAMILIES: dict[str, dict[str, Any]] = {
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "moe_intermediate_size": 16, "head_dim": 8},
    "qwen2_moe": {
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "gpt_oss": {"num_local_experts": 4, "head_dim": 8},
    "deepseek_v3": {
        "n_routed_experts": 4,
        "n_group": 1,
        "topk_group": 1,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
        "q_lora_rank": 8,
        "kv_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 8,
        "num_key_value_heads": 4,
    },
    "gpt_neox": {},
    "phi3": {},
    "phi": {},
    "falcon": {},
    "gpt2": OLD,
    "bloom": {"n_layer": 2, "n_head": 4},
    "gptj": {**OLD, "rotary_dim": 4},
    "gpt_bigcode": OLD,
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2},
    "gemma2": {"head_dim": 8},
    "gemma3_text": {"head_dim": 8},
    "qwen3": {"head_dim": 8},
    "starcoder2": {},
    "cohere": {},
    "glm": {"head_dim": 8},
}
EXPERTS = ["olmoe", "mixtral", "qwen3_moe", "deepseek_v3"]
# model type → the fused matrix that stands for q, k and v
FUSED = {
    "gpt_neox": "query_key_value",
    "phi3": "qkv_proj",
    "falcon": "query_key_value",
    "gpt2": "c_attn",
    "bloom": "query_key_value",
    "gpt_bigcode": "c_attn",
    "mpt": "Wqkv",
}


def config_of(kind: str) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(kind, **{**SIZES, **FAMILIES[kind]})


def build(kind: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config_of(kind))


def pefts_count(kind: str, targets: Any, rank: int) -> int:
    import torch
    from peft import LoraConfig, get_peft_model

    model = build(kind)
    with torch.device("meta"):
        config = LoraConfig(r=rank, target_modules=targets, task_type="CAUSAL_LM")
        wrapped: Any = get_peft_model(model, config)
    return wrapped.get_nb_trainable_parameters()[0]


@pytest.mark.parametrize("kind", FAMILIES)
def test_all_linear_is_what_peft_takes_it_for(kind: str) -> None:
    expected = pefts_count(kind, "all-linear", 8)
    assert count_lora_parameters(config_of(kind), "all-linear", 8) == expected
    model = build(kind)
    assert count_lora_parameters(model, "all-linear", 8) == expected
    assert pefts_count(kind, resolve_targets(model, "all-linear"), 8) == expected


def test_the_experts_are_most_of_an_olmoe() -> None:
    everything = count_lora_parameters(config_of("olmoe"), "all-linear", 8)
    attention = count_lora_parameters(config_of("olmoe"), "attention", 8)
    experts = count_lora_parameters(config_of("olmoe"), "mlp", 8)
    assert attention + experts == everything
    assert experts > 5 * attention


@pytest.mark.parametrize("kind", EXPERTS)
def test_half_a_fused_pair_is_refused(kind: str) -> None:
    half = "w1" if kind == "mixtral" else "up_proj"
    with pytest.raises(LabError, match="fused into gate_up_proj"):
        resolve_targets(build(kind), ["q_a_proj" if kind == "deepseek_v3" else "q_proj", half])


def test_the_courses_own_layer_does_not_take_experts_for_linear_maps() -> None:
    import torch

    from labs_lib.lowrank import adapters

    model = build("olmoe").to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    with pytest.raises(LabError, match="stacked parameters"):
        inject(model, 2, 4, "all-linear")
    assert not adapters(model)
    assert inject(model, 2, 4, "attention")


@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], "q,v", "q_proj"])
def test_the_usual_targets_name_the_fused_matrix(kind: str, targets: Any) -> None:
    with pytest.raises(LabError, match=f"{FUSED[kind]!r} holds q, k and v in one matrix"):
        resolve_targets(build(kind), targets)
    assert resolve_targets(build(kind), "q,k,v") == [FUSED[kind]]


def test_other_names_are_listed() -> None:
    with pytest.raises(LabError, match="not one of q_a_proj, q_b_proj, kv_a_proj_with_mqa"):
        resolve_targets(build("deepseek_v3"), ["q_proj", "v_proj"])


@pytest.mark.parametrize("kind", ["olmoe", "mixtral"])
def test_an_adapter_on_experts_is_loaded_and_merged(kind: str, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from labs_lib.training.adapter.loading import load_adapter
    from labs_lib.training.adapter.merged import merged_from
    from labs_lib.training.engine.folding import folded_in

    def base() -> Any:
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config_of(kind)).eval()

    ids = torch.tensor([[1, 5, 9, 33]])
    model = base()
    config = LoraConfig(
        r=4, target_modules=resolve_targets(model, "all-linear"), task_type="CAUSAL_LM"
    )
    wrapped: Any = get_peft_model(model, config).eval()
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    with torch.no_grad():
        expected = wrapped(input_ids=ids).logits
        assert not torch.allclose(expected, base()(input_ids=ids).logits, atol=1e-4)
    wrapped.save_pretrained(str(tmp_path / "adapter"))
    loaded = load_adapter(base(), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(loaded(input_ids=ids).logits, expected)
        with folded_in(loaded):
            torch.testing.assert_close(loaded(input_ids=ids).logits, expected)
        merged = merged_from(loaded)
        torch.testing.assert_close(merged(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-4)

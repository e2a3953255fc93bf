"""Checks of what is said about target modules, on PEFT and models of shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.ledger import tiny
from labs_lib.ledger.finding import Finding
from labs_lib.lowrank import count_lora_parameters
from labs_lib.models import config_of, entry
from labs_lib.training import recorded

SMOLLM = "smollm2-135m-instruct"
GROUPS = ("q,v", "attention", "mlp", "all-linear")


def only_the_targets_get_adapters() -> Finding:
    """Wrap a small Llama and list the layers that got an adapter."""
    wrapped = tiny.with_lora(tiny.tiny_llama(), target_modules=["q_proj", "v_proj"])
    adapted = sorted(
        {name.split(".")[-1] for name, part in wrapped.named_modules() if hasattr(part, "lora_A")}
    )
    return Finding(
        f'target_modules=["q_proj", "v_proj"]: adapters on {", ".join(adapted)}',
        {"those layers and no others": adapted == ["q_proj", "v_proj"]},
    )


def query_and_value_are_usual() -> Finding:
    """Read which modules PEFT adapts by default in a few families."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    families = ("llama", "mistral", "qwen2", "gpt2", "falcon", "phi3")
    chosen = {family: list(DEFAULTS[family]) for family in families if family in DEFAULTS}
    return Finding(
        "PEFT's defaults: " + "; ".join(f"{name}: {', '.join(m)}" for name, m in chosen.items()),
        {
            f"{name}: q_proj and v_proj": modules == ["q_proj", "v_proj"]
            for name, modules in chosen.items()
        },
    )


def query_and_value_suffice() -> Finding:
    """Compare the recorded held-out losses of four sets of targets at rank 8."""
    sweep = recorded("targets")
    spreads = dict(zip(GROUPS, sweep.spread("loss"), strict=True))
    narrow, wide = spreads["q,v"], spreads["all-linear"]
    return Finding(
        f"held-out loss, {sweep.loss_before:.2f} before: "
        + ", ".join(f"{name} {spread.text()}" for name, spread in spreads.items())
        + f" ({sweep.provenance()})",
        {
            "q and v learn the task in part": narrow.high < (sweep.loss_before or 0),
            "q and v end as low as all linear maps": narrow.versus(wide) != "clearly higher than",
        },
    )


def more_modules_more_capacity() -> Finding:
    """Count the adapters of four sets of targets, and compare their recorded losses."""
    counts = [count_lora_parameters(SMOLLM, group, 8) for group in GROUPS]
    losses = recorded("targets").spread("loss")
    return Finding(
        "; ".join(
            f"{group}: {count:,} parameters, loss {loss.text()}"
            for group, count, loss in zip(GROUPS, counts, losses, strict=True)
        )
        + f" ({recorded('targets').provenance()})",
        {
            f"{GROUPS[n]} over {GROUPS[n - 1]}: more parameters and a lower loss": (
                counts[n] > counts[n - 1]
                and losses[n].versus(losses[n - 1]) == "clearly lower than"
            )
            for n in range(1, len(GROUPS))
        },
    )


def falcon_has_q_proj() -> Finding:
    """Wrap Falcon-7B, shapes alone, by the published targets and by its own."""
    import torch

    from labs_lib.lowrank import meta_model

    names = ["q_proj", "v_proj"]
    config = config_of("falcon-7b")
    with torch.device("meta"):
        refused = _refusal(lambda: tiny.with_lora(meta_model(config), target_modules=names))
        right = tiny.with_lora(meta_model(config), target_modules=["query_key_value"])
    trained, total = right.get_nb_trainable_parameters()
    inputs, outputs = next(
        (part.in_features, part.out_features)
        for name, part in right.named_modules()
        if name.endswith("query_key_value")
    )
    return Finding(
        f'q_proj, v_proj: "{refused}"; query_key_value ({inputs} → {outputs}) trains {trained:,} '
        f"of {total:,} ({trained / total:.4%})",
        {"PEFT finds q_proj and v_proj in Falcon-7B": refused is None},
    )


def a_comma_list_in_a_string() -> Finding:
    """Wrap a small Llama by a string with a comma, by a list and by a regular expression."""
    forms: dict[str, Any] = {
        '"q_proj,v_proj"': "q_proj,v_proj",
        "a list": ["q_proj", "v_proj"],
        "a regular expression": r".*\.(q_proj|v_proj)",
    }
    refusals = {
        name: _refusal(lambda form=form: tiny.with_lora(tiny.tiny_llama(), target_modules=form))
        for name, form in forms.items()
    }
    return Finding(
        "; ".join(f"{name}: {said or 'wraps'}" for name, said in refusals.items()),
        {'"q_proj,v_proj" names two modules': refusals['"q_proj,v_proj"'] is None},
    )


def target_modules_can_be_left_out() -> Finding:
    """Wrap three small models without `target_modules`."""
    from transformers import AutoModelForCausalLM, Olmo2Config

    auto: Any = AutoModelForCausalLM
    olmo2 = Olmo2Config(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    makers: dict[str, Callable[[], Any]] = {
        "Llama": tiny.tiny_llama,
        "OLMo 2": lambda: auto.from_config(olmo2),
    }
    refusals = {
        name: _refusal(lambda make=make: tiny.with_lora(make(), target_modules=None))
        for name, make in makers.items()
    }
    return Finding(
        "; ".join(f"{name}: {said or 'wraps'}" for name, said in refusals.items())
        + f"; on Llama-2-7B the default is q, v: {count_lora_parameters('llama-2-7b', 'q,v', 8):,} "
        f"at r=8 of {_total('llama-2-7b'):,} with the adapter",
        {f"{name}: PEFT has a default": said is None for name, said in refusals.items()},
    )


def gpt2_has_q_proj() -> Finding:
    """Wrap a small GPT-2 by q_proj and by its own c_attn, and look at the layer."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from labs_lib.quiet import quiet_libraries

    config = GPT2Config(
        n_layer=1,
        n_embd=32,
        n_head=2,
        vocab_size=64,
        n_positions=32,
        bos_token_id=2,
        eos_token_id=2,
    )
    refused = _refusal(
        lambda: tiny.with_lora(GPT2LMHeadModel(config), target_modules=["q_proj", "v_proj"])
    )
    with quiet_libraries():
        wrapped = tiny.with_lora(
            GPT2LMHeadModel(config), target_modules=["c_attn"], fan_in_fan_out=True
        )
    layer = wrapped.base_model.model.transformer.h[0].attn.c_attn
    stored = tuple(layer.base_layer.weight.shape)
    made = tuple((layer.lora_B["default"].weight @ layer.lora_A["default"].weight).shape)
    delta = tuple(layer.get_delta_weight("default").shape)
    return Finding(
        f'q_proj: "{refused}"; c_attn is a {type(layer.base_layer).__name__} that stores its '
        f"weight as {stored}: with fan_in_fan_out=True the update {made} becomes {delta}",
        {"PEFT finds q_proj and v_proj in GPT-2": refused is None},
    )


def all_linear_skips_the_output_layer() -> Finding:
    """Wrap a small Llama by "all-linear" and list the layers that got an adapter."""
    import torch

    plain = tiny.tiny_llama()
    linear = {
        name.split(".")[-1]
        for name, part in plain.named_modules()
        if isinstance(part, torch.nn.Linear)
    }
    wrapped = tiny.with_lora(tiny.tiny_llama(), target_modules="all-linear")
    adapted = {
        name.split(".")[-1] for name, part in wrapped.named_modules() if hasattr(part, "lora_A")
    }
    return Finding(
        f'"all-linear" adapts {", ".join(sorted(adapted))}, not {", ".join(linear - adapted)}',
        {"every linear layer but the output layer": linear - adapted == {"lm_head"}},
    )


def all_linear_takes_more_than_attention() -> Finding:
    """Wrap a small Llama by two forms of targets and look for adapters outside attention."""
    outside = {}
    for form in (["q_proj", "v_proj"], "all-linear"):
        wrapped = tiny.with_lora(tiny.tiny_llama(), target_modules=form)
        adapted = [name for name, part in wrapped.named_modules() if hasattr(part, "lora_A")]
        outside[str(form)] = sum("mlp" in name for name in adapted)
    return Finding(
        "; ".join(f"{form}: {count} adapters in the MLP" for form, count in outside.items()),
        {f"{form}: attention alone": count == 0 for form, count in outside.items()},
    )


def _refusal(wrap: Callable[[], Any]) -> str | None:
    """Return the first sentence of PEFT's refusal, None where it wraps the model."""
    try:
        wrap()
    except ValueError as error:
        return str(error).split(". ")[0].split("\n")[0]
    return None


def _total(model: str) -> int:
    return entry(model).parameters + count_lora_parameters(model, "q,v", 8)

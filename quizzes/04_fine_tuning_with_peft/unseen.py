"""A configuration of LoRA for a model of an unknown architecture."""

from __future__ import annotations

from typing import Any

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.configuration import lora_effect, nothing_else
from labs_lib.assessment.exercises.tiny_models import repeatable_model

RANK = 8
SCALING = 2.0
_ATTENTION = ("query_key_value", "dense")
LAYERS = 5
# Dropout was not asked for, and does no harm: it is off outside training.
_MOST_DROPOUT = 0.5


def unseen_model() -> Any:
    """Return a tiny random causal language model of an architecture the course does not use.

    5 layers, hidden size 48; built from its configuration, the same weights every time, and the
    caller's random state is left alone.
    """
    from transformers import GPTNeoXConfig

    config = GPTNeoXConfig(
        vocab_size=128,
        hidden_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
    )
    return repeatable_model(config)


def _wrapped(value: Any) -> dict[str, Any]:
    """Return what a configuration does to the unseen model."""
    return lora_effect(value, unseen_model, (_llama_names, _gpt2_names))


def _names(seen: Any) -> set[str]:
    """Return the target names, whether PEFT could use them or not."""
    targets = seen["fields"].get("target_modules") or []
    return {targets} if isinstance(targets, str) else {str(name) for name in targets}


def _llama_names(seen: Any) -> bool:
    return bool(_names(seen) & {"q_proj", "k_proj", "v_proj", "o_proj", "out_proj"})


def _gpt2_names(seen: Any) -> bool:
    return bool(_names(seen) & {"c_attn", "c_proj"})


def _seen(field: str, expected: Any) -> Any:
    return lambda observed: observed[field] == expected


CONFIG = Exercise(
    id="04.lora-config",
    title="Configure LoRA for a model you have never seen",
    objective="configure",
    task=(
        "`model = material('04.lora-config')` is a small model of an architecture new to you. "
        "Print it and read its module names. Then set `config` to a `LoraConfig` for causal "
        f"language modeling that adapts **every matrix of the attention blocks and nothing "
        f"else**, with rank {RANK} and an effective scaling of {SCALING:g}."
    ),
    answer="config",
    hints=(
        "Look inside `attention`: it holds two Linear layers. `target_modules` takes the last "
        "part of their names.",
        "A name is matched whole, so `dense` does not catch `dense_h_to_4h`.",
        "The scaling that PEFT applies is lora_alpha / r.",
    ),
    check=ValueCheck(
        observe=_wrapped,
        properties=(
            nothing_else(),
            Property(
                lambda seen: seen["adapted"] == sorted(_ATTENTION) and seen["count"] == 2 * LAYERS,
                "The adapted modules are not exactly those of the attention blocks, in all "
                "layers; compare your target_modules with print(model).",
            ),
            Property(_seen("ranks", [RANK]), f"The rank should be {RANK} everywhere: r={RANK}."),
            Property(
                _seen("scalings", [SCALING]),
                f"The adapter's update is not scaled by {SCALING:g}; what does PEFT divide "
                "lora_alpha by?",
            ),
            Property(
                lambda seen: 0 <= seen["fields"].get("lora_dropout", 0) <= _MOST_DROPOUT,
                f"A dropout above {_MOST_DROPOUT:.0%} leaves little of the adapter; none was "
                "asked for.",
            ),
            Property(
                _seen("beside", []),
                "Something other than the adapter would be trained; look at bias and "
                "modules_to_save.",
            ),
            Property(
                _seen("causal", True),
                'The model is wrapped without its task; set task_type="CAUSAL_LM".',
            ),
        ),
        misconceptions=(
            Misconception(
                "llama-names",
                "q_proj and v_proj are Llama's names. This model keeps query, key and "
                "value in one matrix under another name: print(model) shows it.",
                when=_llama_names,
            ),
            Misconception(
                "gpt2-names",
                "c_attn and c_proj are GPT-2's names; print(model) shows this model's own.",
                when=_gpt2_names,
            ),
            Misconception(
                "no-targets",
                "Without target_modules PEFT falls back on its own list for a known "
                "architecture, which adapts less than every attention matrix: name them.",
                when=lambda seen: not _names(seen),
            ),
            Misconception(
                "all-linear",
                "That adapts the MLP too (dense_h_to_4h, dense_4h_to_h); only the attention "
                "blocks were asked for.",
                when=lambda seen: bool(
                    set(seen["adapted"])
                    & {"dense_h_to_4h", "dense_4h_to_h", "lm_head", "embed_out"}
                ),
            ),
            Misconception(
                "forgot-output-projection",
                "The attention block has a second matrix: its output projection, dense.",
                when=_seen("adapted", ["query_key_value"]),
            ),
            Misconception(
                "forgot-query-key-value",
                "Only the output projection is adapted; query, key and value are in "
                "query_key_value.",
                when=_seen("adapted", ["dense"]),
            ),
            Misconception(
                "alpha-is-scaling",
                "You set lora_alpha to the scaling itself. What is applied is lora_alpha / r, "
                "so here it is a quarter of 1.",
                when=lambda seen: (
                    seen["ranks"] == [RANK] and seen["scalings"] == [round(SCALING / RANK, 6)]
                ),
            ),
            Misconception(
                "default-alpha",
                "The scaling is 1: lora_alpha equals r (8 is also PEFT's default for both). "
                "For a scaling of 2, lora_alpha must be twice r.",
                when=_seen("scalings", [1.0]),
            ),
            Misconception(
                "trains-bias",
                "With this bias setting the base model's bias terms are trained too; "
                'bias="none" leaves them frozen.',
                when=lambda seen: "bias" in seen["fields"],
            ),
            Misconception(
                "inference-mode",
                "inference_mode=True freezes the adapter as well: nothing would be trained.",
                when=lambda seen: bool(seen["fields"].get("inference_mode")),
            ),
            Misconception(
                "trains-more",
                "Something other than the adapter would be trained or changed: leave out "
                "modules_to_save, trainable_token_indices and lora_bias.",
                when=lambda seen: bool(
                    seen["fields"].keys()
                    & {"modules_to_save", "trainable_token_indices", "lora_bias"}
                ),
            ),
        ),
    ),
    praise="Those are the attention matrices, all of them and nothing else, scaled by 2.",
    material=unseen_model,
)

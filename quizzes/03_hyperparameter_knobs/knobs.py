"""A configuration with every knob set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.configuration import lora_effect, nothing_else
from labs_lib.assessment.exercises.tiny_models import decoder_config, repeatable_model

RANK, SCALING, DROPOUT = 16, 2.0, 0.05
_TARGETS = {"q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"}
_LAYERS = 3


def biased_model() -> Any:
    """Return a tiny random Qwen2: 3 layers, hidden size 64, biases on query, key and value.

    The same weights every time; the caller's random state is left alone.
    """
    from transformers import Qwen2Config

    return repeatable_model(
        decoder_config(Qwen2Config, layers=_LAYERS, hidden_size=64, heads=4, vocab_size=128)
    )


def _effect(value: Any) -> dict[str, Any]:
    """Return what a configuration does to the biased model."""
    return lora_effect(value, biased_model, (_as_percentage, _as_share_kept))


def _field(name: str, default: Any = None) -> Callable[[Any], Any]:
    return lambda seen: seen["fields"].get(name, default)


_alpha, _dropout = _field("lora_alpha", 8), _field("lora_dropout", 0.0)
_rslora = _field("use_rslora")


def _as_percentage(seen: Any) -> bool:
    return _dropout(seen) >= 1


def _as_share_kept(seen: Any) -> bool:
    return math.isclose(_dropout(seen), 1 - DROPOUT)


def _is(field: str, expected: Any) -> Callable[[Any], bool]:
    return lambda seen: seen[field] == expected


CONFIG = Exercise(
    id="03.every-knob",
    title="Set every knob",
    objective="configure",
    task=(
        "`material('03.every-knob')` is a small Qwen2: its query, key and value maps have biases. "
        f"Set `config` to a `LoraConfig` for causal language modeling with rank {RANK} on "
        "**query, value and the three MLP maps**, by the rule of **rsLoRA** with an effective "
        f"scaling of **{SCALING:g}**, with {DROPOUT:.0%} dropout on the adapters, and with the "
        "biases of the **adapted** layers trained, no others."
    ),
    answer="config",
    hints=(
        "Six arguments beside task_type: r, lora_alpha, use_rslora, target_modules, lora_dropout "
        "and bias.",
        "rsLoRA's scaling is lora_alpha / √r, and √16 is 4.",
        "bias knows three words: none, all, and one for the adapted layers.",
    ),
    check=ValueCheck(
        observe=_effect,
        properties=(
            nothing_else(),
            Property(
                lambda seen: set(seen["adapted"]) == _TARGETS,
                "The adapted maps are not exactly query, value, gate, up and down; compare your "
                "target_modules with print(model).",
            ),
            Property(
                _is("count", _LAYERS * len(_TARGETS)),
                f"Some layers have no adapter: all {_LAYERS} of them were meant.",
            ),
            Property(_is("ranks", [RANK]), f"The rank should be {RANK} everywhere: r={RANK}."),
            Property(
                lambda seen: _rslora(seen) in (True, 1),
                "rsLoRA is not switched on: use_rslora=True.",
            ),
            Property(
                _is("scalings", [SCALING]),
                f"The update is not scaled by {SCALING:g} everywhere; rsLoRA applies "
                "lora_alpha / √r.",
            ),
            Property(
                lambda seen: math.isclose(_dropout(seen), DROPOUT, rel_tol=1e-6),
                f"The dropout is not {DROPOUT:.0%}.",
            ),
            Property(
                lambda seen: (
                    {name.split(".")[-2] for name in seen["beside"]} == {"q_proj", "v_proj"}
                    and all(name.endswith(".bias") for name in seen["beside"])
                ),
                "The biases that train are not exactly those of the adapted layers.",
            ),
            Property(
                _is("causal", True),
                'The model is wrapped without its task; set task_type="CAUSAL_LM".',
            ),
        ),
        misconceptions=(
            Misconception(
                "dropout-in-percent",
                "lora_dropout is a share from 0 to below 1, not a percentage.",
                when=_as_percentage,
            ),
            Misconception(
                "dropout-kept",
                "lora_dropout is the share that is dropped, not the share that is kept.",
                when=_as_share_kept,
            ),
            Misconception(
                "all-linear",
                "That adapts key and the output projection too; name the five maps.",
                when=lambda seen: bool({"k_proj", "o_proj"} & set(seen["adapted"])),
            ),
            Misconception(
                "mlp-forgotten",
                "The MLP's maps have no adapter: gate_proj, up_proj, down_proj.",
                when=lambda seen: set(seen["adapted"]) <= {"q_proj", "v_proj"},
            ),
            Misconception(
                "root-forgotten",
                "Your alpha gives a scaling of 2 by the plain rule. rsLoRA divides it by √r only, "
                "so the update is four times too strong.",
                when=lambda seen: _rslora(seen) and _alpha(seen) == SCALING * RANK,
            ),
            Misconception(
                "plain-rule",
                "The scaling is right, but by plain LoRA's rule; use_rslora=True was asked for, "
                "and alpha with it.",
                when=lambda seen: not _rslora(seen) and seen["scalings"] == [SCALING],
            ),
            Misconception(
                "alpha-is-scaling",
                "You set lora_alpha to the scaling itself; it is divided by √r before it is "
                "applied.",
                when=lambda seen: _alpha(seen) == SCALING,
            ),
            Misconception(
                "bias-all",
                'bias="all" trains the key\'s bias too, though the key has no adapter.',
                when=lambda seen: _field("bias")(seen) == "all",
            ),
            Misconception(
                "bias-none",
                'bias="none" is the default: every bias stays frozen.',
                when=lambda seen: "bias" not in seen["fields"] and not seen["strays"],
            ),
        ),
    ),
    praise="Every knob is set as asked, biases included.",
    material=biased_model,
)

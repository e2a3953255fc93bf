"""QLoRA's configuration for a card that cannot multiply in bf16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.configuration import nothing_else, plain_setting
from labs_lib.assessment.exercises.reading import WrongFormError
from labs_lib.errors import kind_of

_JUDGED = {
    "type": "bnb_4bit_quant_type",
    "double": "bnb_4bit_use_double_quant",
    "compute": "bnb_4bit_compute_dtype",
}
_LOADING = ("load_in_4bit", "load_in_8bit")


def _settings(config: Any) -> dict[str, Any]:
    """Return what a BitsAndBytesConfig asks for, as plain values."""
    from transformers import BitsAndBytesConfig

    if not isinstance(config, BitsAndBytesConfig):
        raise WrongFormError(f"config should be a BitsAndBytesConfig, not {kind_of(config)}")
    judged = {name: str(getattr(config, field)) for name, field in _JUDGED.items()}
    loading = {name: bool(getattr(config, name)) for name in _LOADING}
    default = BitsAndBytesConfig(load_in_4bit=True)
    known = {*_JUDGED.values(), *_LOADING, *(f"_{name}" for name in _LOADING)}
    # Its fields are set in an `__init__` of its own, so it counts as no ordinary dataclass.
    strays = {
        name: plain_setting(value)
        for name, value in vars(config).items()
        if name not in known and value != getattr(default, name, None)
    }
    return {**judged, **loading, "strays": strays}


def _is(name: str, value: Any) -> Callable[[Any], bool]:
    return lambda seen: seen[name] == value


OLDER_CARD = Exercise(
    id="05.older-card",
    title="Configure QLoRA for an older card",
    objective="set-up",
    difficulty="easy",
    task=(
        "A T4 multiplies fast in fp16 but has no bf16 instructions. Set `config` to the "
        "`BitsAndBytesConfig` that loads a base for QLoRA on it, and change nothing else."
    ),
    answer="config",
    hints=(
        "Four arguments: 4 bits, the type, double quantization, the compute dtype.",
        "Only the compute dtype differs from the configuration of this lesson.",
    ),
    check=ValueCheck(
        observe=_settings,
        properties=(
            Property(
                _is("load_in_4bit", True), "The base should be loaded in 4 bits: load_in_4bit=True."
            ),
            Property(_is("type", "nf4"), "The type should be nf4, not fp4."),
            Property(_is("double", "True"), "Double quantization should be on."),
            Property(_is("compute", "torch.float16"), "The compute dtype should be torch.float16."),
            nothing_else(),
        ),
        misconceptions=(
            Misconception(
                "eight-bits",
                "That loads the base in 8 bits, which is LLM.int8() and not QLoRA.",
                when=_is("load_in_8bit", True),
            ),
            Misconception(
                "defaults-are-qlora",
                "The defaults are not QLoRA: they are fp4, no double quantization and fp32.",
                when=lambda seen: (
                    (seen["load_in_4bit"], seen["type"], seen["double"], seen["compute"])
                    == (True, "fp4", "False", "torch.float32")
                ),
            ),
            Misconception(
                "compute-in-bf16",
                "This card has no bf16 instructions; products should be computed in fp16.",
                when=_is("compute", "torch.bfloat16"),
            ),
            Misconception(
                "compute-left-out",
                "Without a compute dtype every product runs in fp32, which is slow on this card.",
                when=_is("compute", "torch.float32"),
            ),
        ),
    ),
    praise="NF4, double quantization, and products in a precision that the card is fast in.",
)

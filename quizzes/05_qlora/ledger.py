"""How each part of a QLoRA layer is stored, and which of them get a gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, Misconception, Property, ValueCheck
from labs_lib.assessment.exercises.reading import WrongFormError, truth_of
from labs_lib.assessment.numbers import plain_number
from labs_lib.errors import kind_of, shorten

_LEDGER_RIGHT = {
    "base weight": (4, False),
    "block scales": (8, False),
    "lora_A": (32, True),
    "lora_B": (32, True),
}


def _ledger_problem(value: Any) -> Any:
    """Return the ledger as {entry: (bits, gradient)}; a message for what is not one."""
    if not isinstance(value, Mapping):
        raise WrongFormError(f"ledger should be a dictionary, not {kind_of(value)}")
    entries = {_entry_name(name): pair for name, pair in value.items()}
    if missing := [name for name in _LEDGER_RIGHT if name not in entries]:
        raise WrongFormError(f"ledger has no entry {missing[0]!r}")
    if extra := [name for name in entries if name not in _LEDGER_RIGHT]:
        raise WrongFormError(f"ledger has an entry {shorten(extra[0])}, which was not asked for")
    ledger = {}
    for name, pair in entries.items():
        parts = list(pair)[:3] if isinstance(pair, (tuple, list)) or hasattr(pair, "tolist") else []
        bits = plain_number(parts[0]) if len(parts) == 2 else None
        if bits is None or isinstance(bits, bool):
            raise WrongFormError(f"{name!r} should be (bits, gradient), such as (16, True)")
        gradient = truth_of(parts[1])
        if gradient is None:
            raise WrongFormError(f"{name!r}: whether it gets a gradient is True or False")
        ledger[name] = (bits, gradient)
    return ledger


def _entry_name(name: Any) -> str:
    """Return an entry's name in the task's spelling: capitals and underscores do not matter."""
    usual = {name.lower().replace("_", " "): name for name in _LEDGER_RIGHT}
    return usual.get(str(name).strip().lower().replace("_", " "), str(name))


def _bits_of(*names: str, among: tuple[int, ...]) -> Callable[[Any], bool]:
    return lambda ledger: any(ledger[name][0] in among for name in names)


LEDGER = Exercise(
    id="05.ledger",
    title="What is stored how, and what gets a gradient?",
    objective="flow",
    difficulty="easy",
    task=(
        "For the adapted layer that you watched, set `ledger` to a dictionary with the entries "
        "`'base weight'`, `'block scales'`, `'lora_A'` and `'lora_B'`. Each is a pair such as "
        "`(16, True)`: the bits in which **one** weight's code, **one** absmax or **one** number "
        "of the adapter is stored, and whether its `.grad` was set by the backward pass. A "
        "gradient of zeros counts as set."
    ),
    answer="ledger",
    hints=(
        "The listing of the layer's parts gives dtypes; a uint8 byte of the base holds two codes.",
        "`lora_A` had a gradient of zeros after the first step; the base had None.",
    ),
    check=ValueCheck(
        observe=_ledger_problem,
        properties=(
            Property(
                lambda ledger: (
                    {name: tuple(pair) for name, pair in ledger.items()} == _LEDGER_RIGHT
                ),
                "Not every entry agrees with what the cells above printed: look at the dtypes and "
                "at .grad again.",
            ),
        ),
        misconceptions=(
            Misconception(
                "gradient-in-base",
                "The 4-bit base and its scales get no gradient: they are frozen, and .grad stayed "
                "None. Only the two matrices of the adapter learn.",
                when=lambda ledger: ledger["base weight"][1] or ledger["block scales"][1],
            ),
            Misconception(
                "adapters-quantized",
                "The adapters are not quantized. What is trained needs small steps, so lora_A "
                "and lora_B are stored as floating-point numbers: look at their dtype.",
                when=_bits_of("lora_A", "lora_B", among=(4, 8)),
            ),
            Misconception(
                "base-in-16-bits",
                "16 or 32 bits is the precision that the base is *multiplied* in. In memory are the"
                " codes.",
                when=_bits_of("base weight", among=(16, 32)),
            ),
            Misconception(
                "byte-is-a-code",
                "The packed tensor is uint8, but each byte holds two codes.",
                when=_bits_of("base weight", among=(8,)),
            ),
            Misconception(
                "scales-in-32",
                "An absmax has 32 bits before double quantization. Here it was on.",
                when=_bits_of("block scales", among=(32,)),
            ),
            Misconception(
                "scales-in-4",
                "The scales are not in 4 bits: double quantization stores them in 8.",
                when=_bits_of("block scales", among=(4,)),
            ),
            Misconception(
                "zero-is-none",
                "In the first step lora_B is zero, so the gradient of lora_A is zero everywhere. "
                "But it is set: zero is not None.",
                when=lambda ledger: not ledger["lora_A"][1],
            ),
            Misconception(
                "adapters-in-16",
                "Some set-ups keep adapters in 16 bits. Here PEFT made them in the precision that "
                "the table shows.",
                when=_bits_of("lora_A", "lora_B", among=(16,)),
            ),
        ),
    ),
    praise="Frozen in four and eight bits, learning in thirty-two: that is a QLoRA layer.",
)

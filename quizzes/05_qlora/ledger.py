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
    title="Who is stored how, and who gets a gradient?",
    objective="flow",
    task=(
        "For the adapted layer that you watched, set `ledger` to a dictionary with the entries "
        "`'base weight'`, `'block scales'`, `'lora_A'` and `'lora_B'`. Each is a pair: the bits "
        "in which one of its numbers is **stored**, and whether a **gradient** arrives there in "
        "the first step, as in `(16, True)`."
    ),
    answer="ledger",
    hints=(
        "The listing of the layer's parts gives dtypes; a uint8 byte of the base holds two codes.",
        "A gradient arrives where `.grad` was not None after backward, even if it was zero.",
    ),
    check=ValueCheck(
        observe=_ledger_problem,
        properties=(
            Property(
                lambda ledger: (
                    {name: tuple(pair) for name, pair in ledger.items()} == _LEDGER_RIGHT
                ),
                "Not every entry agrees with what the cells above printed; look at the dtypes and "
                "at .grad once more.",
            ),
        ),
        misconceptions=(
            Misconception(
                "gradient-in-base",
                "No gradient arrives in the 4-bit base or in its scales: they are frozen, and "
                ".grad stayed None. Only the adapter's two matrices learn.",
                when=lambda ledger: ledger["base weight"][1] or ledger["block scales"][1],
            ),
            Misconception(
                "adapters-quantised",
                "The adapters are not quantised. What is trained needs small steps, so lora_A "
                "and lora_B are stored as floating-point numbers: look at their dtype.",
                when=_bits_of("lora_A", "lora_B", among=(4, 8)),
            ),
            Misconception(
                "base-in-16-bits",
                "16 or 32 bits is what the base is *computed* in, for the moment of one product. "
                "Stored are the codes.",
                when=_bits_of("base weight", among=(16, 32)),
            ),
            Misconception(
                "byte-is-a-code",
                "The packed tensor is uint8, but each byte holds two codes.",
                when=_bits_of("base weight", among=(8,)),
            ),
            Misconception(
                "scales-in-32",
                "32 bits is the absmax before double quantisation, which was on here.",
                when=_bits_of("block scales", among=(32,)),
            ),
            Misconception(
                "scales-in-4",
                "The scales are not in 4 bits: double quantisation stores them in 8.",
                when=_bits_of("block scales", among=(4,)),
            ),
            Misconception(
                "zero-is-none",
                "At the first step lora_B is zero, so the gradient of lora_A *is* zero, but it "
                "arrives: zero is not None.",
                when=lambda ledger: not ledger["lora_A"][1],
            ),
            Misconception(
                "adapters-in-16",
                "Some set-ups keep adapters in 16 bits. Here the base was prepared first, and "
                "PEFT made them in what the listing says.",
                when=_bits_of("lora_A", "lora_B", among=(16,)),
            ),
        ),
    ),
    praise="Four bits and eight, frozen; thirty-two, learning. That is a QLoRA layer.",
)

"""Lesson 01: count the bytes of a recipe, by hand and by function; choose a method five times."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from labs_lib.assessment.exercises.base import (
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    ValueCheck,
)
from labs_lib.assessment.exercises.reading import WrongFormError, number_of
from labs_lib.errors import kind_of, shorten

_PARAMETERS = 3e9
# bf16 weights and gradients, an fp32 master copy, two fp32 Adam states (arXiv 1910.02054, 3.1).
_BYTES_EACH = 2 + 2 + 4 + 2 * 4
_RIGHT_GB = _PARAMETERS * _BYTES_EACH / 1e9


def _is_gb(gigabytes: float) -> Any:
    return lambda value: abs(float(value) - gigabytes) < 0.005 * gigabytes


def _is_bytes_each(each: int) -> Any:
    return _is_gb(_PARAMETERS * each / 1e9)


_BY_HAND = Exercise(
    id="01.bytes-by-hand",
    title="Count a training recipe by hand",
    objective="bytes",
    difficulty="easy",
    task=(
        "A model of **3 billion** parameters is fully fine-tuned. Weights and gradients are in "
        "bf16. The optimizer also keeps an fp32 master copy of the weights, and Adam's two states "
        "in fp32. How much memory do these take together, in **GB** (10⁹ bytes), before "
        "any activation? Set `total_gb`."
    ),
    answer="total_gb",
    hints=(
        "List the parts: weights, gradients, master copy, and Adam's states. Write down the "
        "bytes of each.",
        "Adam keeps two running averages for each parameter.",
        "A billion parameters at one byte each is one GB, so no power of ten is left to convert.",
    ),
    check=ValueCheck(
        observe=number_of("total_gb"),
        properties=(
            Property(
                _is_gb(_RIGHT_GB),
                "Not the number: add bf16 weights, bf16 gradients, the fp32 master copy and "
                "Adam's two fp32 states for one parameter, then multiply by 3 billion.",
            ),
        ),
        misconceptions=(
            Misconception(
                "gib-for-gb",
                "That is the number in GiB (2³⁰ bytes). GB means 10⁹ bytes, which gives a number "
                "7 % larger.",
                when=_is_gb(_PARAMETERS * _BYTES_EACH / 2**30),
            ),
            Misconception(
                "plain-bytes",
                "That is in bytes; a GB is 10⁹ of them.",
                when=_is_gb(_PARAMETERS * _BYTES_EACH),
            ),
            Misconception(
                "forgets-gradients",
                "Two bytes a parameter are missing. Training needs the weights and, as large "
                "again, one gradient for each of them.",
                when=_is_bytes_each(_BYTES_EACH - 2),
            ),
            Misconception(
                # Three roads lead to this one number.
                "one-state-or-no-masters",
                "Four bytes a parameter are missing: Adam keeps two states, not one, each of them "
                "in fp32 here, and there is an fp32 master copy as well as the bf16 weights.",
                when=_is_bytes_each(_BYTES_EACH - 4),
            ),
            Misconception(
                "everything-in-16-bits",
                "You counted everything at 2 bytes. This recipe keeps the states, and a second "
                "copy of the weights, in fp32: 4 bytes each.",
                when=lambda value: any(_is_bytes_each(each)(value) for each in (8, 10)),
            ),
            Misconception(
                "no-optimizer",
                "That leaves out what the optimizer keeps, three quarters of the total: the "
                "master copy and two states.",
                when=_is_bytes_each(4),
            ),
            Misconception(
                "weights-only",
                "That is the weights alone: enough to load the model, not to train it.",
                when=_is_bytes_each(2),
            ),
        ),
    ),
    praise="48 GB, at 16 bytes for each parameter: no card of 24 or 40 GB holds it.",
)


def _bytes_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [
        (0, 1_000, 2, 4, 4),
        (7_000, 100, 2, 4, 2),
        (6_000, 50, 0.5, 4, 1),
    ]
    for _ in range(20):
        cases.append(
            (
                generator.randint(10**6, 10**10),
                generator.randint(10**6, 10**9),
                generator.choice([0.5, 1, 2, 4]),
                generator.choice([2, 4]),
                generator.choice([1, 2, 4]),
            )
        )
    return cases


def _training_bytes(
    frozen: int, trained: int, frozen_bytes: float, trained_bytes: int, state_bytes: int
) -> float:
    return frozen * frozen_bytes + trained * (2 * trained_bytes + 2 * state_bytes)


_FUNCTION = Exercise(
    id="01.training-bytes",
    title="A function for the bytes that parameters hold",
    objective="bytes",
    task=(
        "Write `training_bytes(frozen, trained, frozen_bytes, trained_bytes, state_bytes)`: the "
        "bytes of weights, gradients and Adam's states, without the activations.\n\n"
        "- `frozen` parameters take `frozen_bytes` each and are never updated;\n"
        "- `trained` parameters, and their gradients, take `trained_bytes` each;\n"
        "- one Adam state of a parameter takes `state_bytes`."
    ),
    answer="training_bytes",
    hints=(
        "A frozen parameter has a weight, no gradient and no state.",
        "A trained one needs a weight, a gradient as large as the weight, and Adam's two states.",
        "frozen * frozen_bytes + trained * (weight + gradient + states)",
    ),
    check=FunctionCheck(
        cases=_bytes_cases,
        reference=_training_bytes,
        relative_tolerance=1e-6,
        misconceptions=(
            Misconception(
                "base-not-resident",
                "The frozen parameters are missing. They are in memory too: every forward pass "
                "goes through them.",
                wrong=lambda _f, t, _fb, tb, sb: t * (2 * tb + 2 * sb),
            ),
            Misconception(
                "forgets-gradients",
                "Once trained_bytes is missing: each trained parameter has a weight and, as large "
                "again, a gradient.",
                wrong=lambda f, t, fb, tb, sb: f * fb + t * (tb + 2 * sb),
            ),
            Misconception(
                "one-adam-state",
                "You count one Adam state. There are two: a running average of the gradient, and "
                "one of its square.",
                wrong=lambda f, t, fb, tb, sb: f * fb + t * (2 * tb + sb),
            ),
            Misconception(
                "no-adam-states",
                "Adam's two states for each trained parameter are missing.",
                wrong=lambda f, t, fb, tb, _sb: f * fb + t * 2 * tb,
            ),
            Misconception(
                "states-for-frozen",
                "You give the frozen parameters Adam states. They have none, which is what PEFT "
                "saves.",
                wrong=lambda f, t, fb, tb, sb: f * (fb + 2 * sb) + t * (2 * tb + 2 * sb),
            ),
            Misconception(
                "gradients-for-frozen",
                "You give the frozen parameters gradients. Nothing updates them, so none is kept.",
                wrong=lambda f, t, fb, tb, sb: f * 2 * fb + t * (2 * tb + 2 * sb),
            ),
            Misconception(
                "everything-for-frozen",
                "You count the frozen parameters as if they were trained: gradient and states "
                "belong to the trained ones alone.",
                wrong=lambda f, t, fb, tb, sb: f * (2 * fb + 2 * sb) + t * (2 * tb + 2 * sb),
            ),
            Misconception(
                "in-gb",
                "That is in GB; the function should return bytes.",
                wrong=lambda *case: _training_bytes(*case) / 1e9,
            ),
            Misconception(
                "in-gib",
                "That is in GiB; the function should return bytes.",
                wrong=lambda *case: _training_bytes(*case) / 2**30,
            ),
        ),
    ),
    praise=(
        "One function for all three: full fine-tuning has frozen = 0, QLoRA about half a byte "
        "for a frozen parameter."
    ),
)

LETTERS = "ABCDE"
METHODS = ("full", "lora", "qlora", "none")
RIGHT_CHOICES = dict(zip(LETTERS, ("lora", "qlora", "none", "full", "lora"), strict=True))
# What a student may call them, in small letters and without spaces or signs.
_SPELLINGS = {
    "full": ("fullfinetuning", "fullfinetune", "fullft", "fft", "finetuning", "fulltraining"),
    "lora": ("lora16bit", "lorabf16"),
    "qlora": ("loranf4", "qloranf4", "lora4bit", "qlora4bit"),
    "none": ("neither", "nothing", "no", "noone", "noneofthem", "noneofthese", "noneofthethree",
             "noneofthethreefits", "nomethod", "nonefits"),
}  # fmt: skip


def _choices(value: Any) -> dict[str, str]:
    """Return a student's five choices by letter, in the course's spelling."""
    if isinstance(value, (list, tuple)):
        if len(value) != len(LETTERS):
            raise WrongFormError(f"five choices are needed, A to E; there are {len(value)}")
        pairs = all(isinstance(each, (list, tuple)) and len(each) == 2 for each in value)
        value = dict(value) if pairs else dict(zip(LETTERS, value, strict=True))
    if not isinstance(value, Mapping):
        raise WrongFormError(
            f'choices should be a dict such as {{"A": "lora"}}, not {kind_of(value)}'
        )
    letters = [_letter(letter) for letter in value]
    if twice := [letter for letter in letters if letters.count(letter) > 1]:
        raise WrongFormError(f"there are two choices for {shorten(twice[0], 30)}: leave one")
    by_letter = dict(zip(letters, value.values(), strict=True))
    if extra := [letter for letter in by_letter if letter not in LETTERS]:
        raise WrongFormError(f"there is no case {shorten(extra[0], 30)}: the cases are A to E")
    missing = [
        letter
        for letter in LETTERS
        if letter not in by_letter or by_letter[letter] is ... or by_letter[letter] == ""
    ]
    if missing:
        raise WrongFormError(f"no choice yet for {', '.join(missing)}")
    return {letter: _method(letter, by_letter[letter]) for letter in LETTERS}


def _letter(name: Any) -> str:
    return str(name).strip().upper().removeprefix("CASE").strip(" .:")


def _method(letter: str, chosen: Any) -> str:
    """Return a choice in the course's spelling; None is what Python calls none."""
    word = "none" if chosen is None else chosen
    if not isinstance(word, str):
        raise WrongFormError(f"{letter}: {kind_of(chosen)} is none of {', '.join(METHODS)}")
    bare = "".join(sign for sign in word.lower() if sign.isalnum())
    for method, spellings in _SPELLINGS.items():
        if bare == method or bare in spellings:
            return method
    raise WrongFormError(f"{letter}: {shorten(word, 30)} is none of {', '.join(METHODS)}")


def _chose(letter: str, *methods: str) -> Any:
    return lambda choices: choices[letter] in methods


_FIVE = Exercise(
    id="01.five-cases",
    title="Five cases, five decisions",
    objective="choose",
    task=(
        'For each case choose `"full"`, `"lora"`, `"qlora"` or `"none"` (none of the three fits '
        "the card). All in bf16, batch 1, 512 tokens; gradient checkpointing and an 8-bit or "
        "paged optimizer are allowed. LoRA and QLoRA have rank 8 on q and v. If several fit, take "
        "the one that costs the least in rounding and speed and still does the job.\n\n"
        "- **A** Llama-2-7B on an RTX 4090 (24 GB): a few thousand instructions, one task.\n"
        "- **B** Llama-2-13B on the same card, the same data.\n"
        "- **C** Llama-2-70B on the same card, the same data.\n"
        "- **D** SmolLM2-1.7B on an H100 (80 GB): a billion tokens of a language that the model "
        "hardly knows; quality is all that counts.\n"
        "- **E** Llama-3-8B on an L40S (48 GB), which must also serve it: thirty customers, each "
        "with a style of its own.\n\n"
        'Set `choices`, as in `{"A": "…", "B": "…", "C": "…", "D": "…", "E": "…"}`.'
    ),
    answer="choices",
    hints=(
        'forecast("llama-2-13b", method="lora", checkpointing=True).peak_bytes against '
        'card("RTX 4090").usable_bytes: do this for each case before you choose.',
        "Ask in this order: is full fine-tuning worth it and does it fit; does LoRA fit; does "
        "QLoRA fit.",
        "In one case the number of models to keep decides, in another how far the data are from "
        "what the model knows.",
    ),
    check=ValueCheck(
        observe=_choices,
        properties=tuple(
            Property(
                _chose(letter, right),
                f"Case {letter} is not decided well yet: forecast each method's peak and "
                "compare it with the card's usable bytes.",
            )
            for letter, right in RIGHT_CHOICES.items()
        ),
        misconceptions=(
            Misconception(
                "full-fits-any-card",
                "Case A: full fine-tuning of the 7B does not fit 24 GB. Weights and gradients in "
                "bf16 alone are 25.1 GiB, and 22.6 are usable.",
                when=_chose("A", "full"),
            ),
            Misconception(
                "qlora-by-default",
                "Case A: QLoRA would fit, but so does LoRA (15.3 GiB). Then 4 bits cost you a "
                "rounded base and slower steps, and gain nothing that you need.",
                when=_chose("A", "qlora"),
            ),
            Misconception(
                "sixteen-bit-base-fits",
                "Case B: the 13B's weights in bf16 are 24.2 GiB before anything else; 22.6 are "
                "usable.",
                when=_chose("B", "lora", "full"),
            ),
            Misconception(
                "qlora-fits-everything",
                "Case C: even in NF4 the 70B's weights are 33.9 GiB. QLoRA of a 70B takes a card "
                "of 48 GB; on one of 40 GB it is tight.",
                when=_chose("C", "lora", "qlora", "full"),
            ),
            Misconception(
                "peft-for-pretraining",
                "Case D: it fits in full (the 1.7B's weights, gradients and Adam states are 12.8 "
                "GiB in bf16), and a billion tokens of something new is where LoRA was measured "
                "to fall behind (arXiv 2405.09673).",
                when=_chose("D", "lora", "qlora"),
            ),
            Misconception(
                "a-model-a-customer",
                "Case E: thirty fully fine-tuned copies are thirty times 16 GB. With one frozen "
                "base, a customer is an adapter of some megabytes.",
                when=_chose("E", "full"),
            ),
            Misconception(
                "four-bits-although-it-fits",
                "Case E: LoRA on the 16-bit base takes 18.4 GiB of 45.1. Nothing forces you to "
                "4 bits.",
                when=_chose("E", "qlora"),
            ),
            Misconception(
                "gives-up",
                "You answered none where something fits; forecast LoRA and QLoRA there, with "
                "checkpointing.",
                when=lambda choices: any(choices[each] == "none" for each in "ABDE"),
            ),
        ),
    ),
    praise="All five: what fits decides three of them, what the model is for the other two.",
)

EXERCISES = [_BY_HAND, _FUNCTION, _FIVE]

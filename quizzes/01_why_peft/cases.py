"""Cases of lesson 01's exercises."""

from __future__ import annotations

import functools
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build, torch_loaded

HAND, BYTES, FIVE = "01.bytes-by-hand", "01.training-bytes", "01.five-cases"


def by_parts(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
    weights = frozen * frozen_bytes + trained * trained_bytes
    gradients = trained * trained_bytes
    first_moment = second_moment = trained * state_bytes
    return float(sum([weights, gradients, first_moment, second_moment]))


def with_numpy(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
    import numpy as np

    counts = np.array([frozen, trained, trained, trained, trained], dtype=float)
    sizes = [frozen_bytes, trained_bytes, trained_bytes, state_bytes, state_bytes]
    return np.dot(counts, np.array(sizes, dtype=float))


def with_torch(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
    import torch

    counts = torch.tensor([frozen, 2 * trained, 2 * trained], dtype=torch.float64)
    sizes = torch.tensor([frozen_bytes, trained_bytes, state_bytes], dtype=torch.float64)
    return counts @ sizes


class Bytes:
    """A callable class in place of a function."""

    states = 2

    def __call__(self, frozen, trained, *sizes):
        frozen_bytes, trained_bytes, state_bytes = sizes
        return frozen * frozen_bytes + trained * (2 * trained_bytes + self.states * state_bytes)


def remembered(function):
    """Decorate a function, as functools.lru_cache does."""
    return functools.lru_cache(maxsize=None)(function)


def by_adding_up(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
    return sum(
        count * size
        for count, size in (
            (frozen, frozen_bytes),
            *[(trained, trained_bytes)] * 2,
            *[(trained, state_bytes)] * 2,
        )
    )


def numpy_gb() -> Any:
    import numpy as np

    return np.int64(48)


def tensor_gb() -> Any:
    import torch

    return torch.tensor(48.0)


def short_names(f, t, fb, tb, sb):
    return 2 * t * (tb + sb) + f * fb


def wrong(*, base: Any = 1, weight: Any = 1, gradient: Any = 1, states: Any = 2, extra: Any = None):
    """Return a training_bytes that counts some part another number of times."""

    def function(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
        more = extra(frozen, frozen_bytes, state_bytes) if extra else 0
        each = (weight + gradient) * trained_bytes + states * state_bytes
        return base * frozen * frozen_bytes + trained * each + more

    return function


def scaled(size):
    return lambda *case: short_names(*case) / size


def forgets_return(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
    total = frozen * frozen_bytes + trained * 2 * (trained_bytes + state_bytes)  # noqa: F841


def chosen(**changes: str) -> dict[str, str]:
    """Return the right five choices with some of them changed."""
    return {"A": "lora", "B": "qlora", "C": "none", "D": "full", "E": "lora", **changes}


def by_forecast() -> dict[str, str]:
    """Decide by the forecast alone: what the task says besides the bytes is `worth_it`."""
    from labs_lib.memory import card, forecast

    cases = {
        "A": ("llama-2-7b", "RTX 4090", False),
        "B": ("llama-2-13b", "RTX 4090", False),
        "C": ("llama-2-70b", "RTX 4090", False),
        "D": ("smollm2-1.7b-instruct", "H100", True),
        "E": ("llama-3-8b", "L40S", False),
    }

    def decide(model: str, on: str, worth_it: bool) -> str:
        for method in ("full", "lora", "qlora"):
            least = forecast(
                model, method=method, checkpointing=True, optimizer="paged_adamw_8bit"
            ).peak_bytes
            if least <= card(on).usable_bytes and (method != "full" or worth_it):
                return method
        return "none"

    return {letter: decide(*case) for letter, case in cases.items()}


CASES: list[Case] = [
    (HAND, 48, "correct", "48 GB"),
    (HAND, 3 * 16.0, "correct", "48 GB"),
    (HAND, 3_000_000_000 * sum([2, 2, 4, 4, 4]) / 10**9, "correct", "48 GB"),
    (HAND, build(numpy_gb), "correct", "48 GB"),
    (HAND, build(tensor_gb), "correct", "48 GB"),
    (HAND, Decimal("48.0"), "correct", "48 GB"),
    (HAND, 47.9, "correct", "48 GB"),
    (HAND, "48", "error", "should be a number, not a str"),
    (HAND, [48], "error", "should be a number, not a list"),
    (HAND, 48j, "error", "should be a number, not a complex"),
    (HAND, 48_000, "incorrect", "Not the number"),
    (HAND, -48, "incorrect", "Not the number"),
    (HAND, float("nan"), "incorrect", "Not the number"),
    (HAND, build(lambda: 2**10**5), "incorrect", "Not the number"),
    (HAND, 3e9 * 16 / 2**30, "incorrect", "in GiB"),
    (HAND, 44.7, "incorrect", "in GiB"),
    (HAND, 48_000_000_000, "incorrect", "in bytes"),
    (HAND, 42, "incorrect", "one gradient for each"),
    (HAND, 3 * (2 + 2 + 4 + 4), "incorrect", "two states, not one"),
    (HAND, 3 * (2 + 2 + 8), "incorrect", "there is an fp32 master copy"),
    (HAND, 24, "incorrect", "everything at 2 bytes"),
    (HAND, 30, "incorrect", "everything at 2 bytes"),
    (HAND, 12, "incorrect", "what the optimizer keeps"),
    (HAND, 6, "incorrect", "weights alone"),
    (HAND, 70, "incorrect", "Not the number"),
    (HAND, 0, "incorrect", "Not the number"),
    (HAND, "48 GB", "error", "should be a number, not a str"),
    (BYTES, by_parts, "correct", "One function for all three"),
    (BYTES, with_numpy, "correct", "One function for all three"),
    (BYTES, short_names, "correct", "One function for all three"),
    (BYTES, torch_loaded(with_torch), "correct", "One function for all three"),
    (BYTES, lambda *case: int(short_names(*case)), "correct", "One function for all three"),
    (BYTES, lambda *case: round(short_names(*case)), "correct", "One function for all three"),
    (BYTES, Bytes(), "correct", "One function for all three"),
    (BYTES, remembered(short_names), "correct", "One function for all three"),
    (BYTES, by_adding_up, "correct", "One function for all three"),
    (BYTES, lambda *case: short_names(*case) + 1, "incorrect", "expected"),
    (BYTES, lambda *case: short_names(*case) * 1.00005, "incorrect", "expected"),
    (BYTES, lambda *case: 12_000, "incorrect", "expected"),
    (BYTES, lambda f, t, fb, tb, sb: f * int(fb) + 2 * t * (tb + sb), "incorrect", "expected"),
    (BYTES, lambda f, t, fb, tb, sb: f * fb + 2 * t * (tb + 4), "incorrect", "expected"),
    (BYTES, lambda f, t, fb, tb, sb: f * fb + t * 16, "incorrect", "expected"),
    (BYTES, wrong(base=0), "incorrect", "frozen parameters are missing"),
    (BYTES, wrong(gradient=0), "incorrect", "Once trained_bytes is missing"),
    (BYTES, wrong(weight=0), "incorrect", "Once trained_bytes is missing"),
    (BYTES, wrong(states=1), "incorrect", "one Adam state"),
    (BYTES, wrong(states=0), "incorrect", "two states for each trained parameter are missing"),
    (BYTES, wrong(extra=lambda f, fb, sb: 2 * f * sb), "incorrect", "frozen parameters Adam"),
    (BYTES, wrong(extra=lambda f, fb, sb: f * fb), "incorrect", "frozen parameters gradients"),
    (BYTES, wrong(extra=lambda f, fb, sb: f * (fb + 2 * sb)), "incorrect", "as if they were"),
    (BYTES, scaled(1e9), "incorrect", "That is in GB"),
    (BYTES, scaled(2**30), "incorrect", "That is in GiB"),
    (BYTES, wrong(states=3), "incorrect", "expected"),
    (BYTES, forgets_return, "incorrect", "return"),
    (BYTES, lambda *case: case[0] / 0, "error", "ZeroDivisionError"),
    (BYTES, 48.0, "error", "should be a function"),
    (FIVE, build(by_forecast), "correct", "All five"),
    (FIVE, {**chosen(), "a": "full"}, "error", "two choices for 'A'"),
    (FIVE, ["LoRA", "QLoRA", "None", "full fine-tuning", "LoRA"], "correct", "All five"),
    (FIVE, {each.lower(): method for each, method in chosen().items()}, "correct", "All five"),
    (FIVE, chosen() | {"C": None}, "correct", "All five"),
    (FIVE, ("lora", "qlora", None, "full", "lora"), "correct", "All five"),
    (FIVE, list(chosen().items()), "correct", "All five"),
    (FIVE, MappingProxyType(chosen()), "correct", "All five"),
    (FIVE, chosen(A=" LoRA ", B="Q-LoRA", C="None of them", D="Full Fine-Tuning"), "correct", ""),
    (FIVE, chosen(C="neither", D="full_ft"), "correct", "All five"),
    (FIVE, {f"Case {letter}": method for letter, method in chosen().items()}, "correct", ""),
    (FIVE, dict.fromkeys("ABCDE"), "incorrect", "none where something fits"),
    (FIVE, dict.fromkeys("ABCDE", "qlora"), "incorrect", "Case A"),
    (FIVE, chosen() | {"C": ...}, "error", "no choice yet for C"),
    (FIVE, chosen(F="lora"), "error", "no case 'F'"),
    (FIVE, chosen() | {"C": 0}, "error", "C: an int is none of"),
    (FIVE, chosen() | {"A": ["lora", "qlora"]}, "error", "A: a list is none of"),
    (FIVE, set(chosen().values()), "error", "should be a dict"),
    (FIVE, chosen(A="lora or qlora"), "error", "is none of"),
    (FIVE, chosen(A="full"), "incorrect", "Case A: full fine-tuning"),
    (FIVE, chosen(A="qlora"), "incorrect", "Case A: QLoRA would fit"),
    (FIVE, chosen(B="lora"), "incorrect", "Case B: the 13B's weights"),
    (FIVE, chosen(B="full"), "incorrect", "Case B: the 13B's weights"),
    (FIVE, chosen(C="qlora"), "incorrect", "Case C: even in NF4"),
    (FIVE, chosen(D="lora"), "incorrect", "Case D: it fits in full"),
    (FIVE, chosen(D="qlora"), "incorrect", "Case D: it fits in full"),
    (FIVE, chosen(E="full"), "incorrect", "Case E: thirty fully"),
    (FIVE, chosen(E="qlora"), "incorrect", "Case E: LoRA on the 16-bit base"),
    (FIVE, chosen(A="none"), "incorrect", "none where something fits"),
    (FIVE, chosen(A="full", C="qlora"), "incorrect", "Case A"),
    (FIVE, {"A": "lora", "B": "qlora"}, "error", "no choice yet for C, D, E"),
    (FIVE, ["lora", "qlora"], "error", "five choices are needed"),
    (FIVE, chosen(A="lorra"), "error", "none of full, lora, qlora, none"),
    (FIVE, "lora", "error", "should be a dict"),
]

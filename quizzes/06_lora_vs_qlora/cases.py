"""Cases of lesson 06's exercises."""

from __future__ import annotations

import functools
from collections import namedtuple
from types import MappingProxyType
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build, torch_loaded

GAIN, BENCH, SAVED, CARD = (
    "06.improvement",
    "06.fair-bench",
    "06.saved-gb",
    "06.smallest-card",
)
PARTS = ("weights", "adapter", "gradients", "optimizer", "activations")


# ---- improvement --------------------------------------------------------------------------------


def peak(run, parts=PARTS):
    return sum(run[f"{part}_bytes"] for part in parts)


def saved(full, other, parts=PARTS):
    return 100 * (1 - peak(other, parts) / peak(full, parts))


def faster(full, other):
    return (full["seconds"] / full["steps"]) / (other["seconds"] / other["steps"])


def by_loop(full, other):
    peaks, each_step = [], []
    for run in (full, other):
        total = 0
        for key, value in run.items():
            if key.endswith("_bytes"):
                total += value
        peaks.append(total)
        each_step.append(run["seconds"] / run["steps"])
    return [100 - 100 * peaks[1] / peaks[0], each_step[0] / each_step[1]]


def with_numpy(full, other):
    import numpy as np

    before, after = (np.sum([run[f"{part}_bytes"] for part in PARTS]) for run in (full, other))
    return np.array([(before - after) / before * 100, faster(full, other)])


def gain(first: Any = saved, second: Any = faster):
    """Return an improvement with one of its two numbers computed another way."""
    return lambda full, other: (first(full, other), second(full, other))


def weights_only(full, other):
    return saved(full, other, ("weights",))


def no_activations(full, other):
    return saved(full, other, PARTS[:-1])


def of_the_smaller(full, other):
    return 100 * (peak(full) - peak(other)) / peak(other)


Gain = namedtuple("Gain", "saved_percent times_as_fast")


def named_pair(full, other):
    return Gain(saved(full, other), faster(full, other))


def with_torch(full, other):
    import torch

    return torch.tensor([saved(full, other), faster(full, other)])


def pops_its_runs(full, other):
    paces = [run.pop("steps") / run.pop("seconds") for run in (full, other)]
    peaks = [sum(run.values()) for run in (full, other)]
    return 100 * (peaks[0] - peaks[1]) / peaks[0], paces[1] / paces[0]


# ---- a fair bench -------------------------------------------------------------------------------


def bench(lora: dict[str, Any] | None = None, **qlora: Any) -> dict[str, dict[str, Any]]:
    """Return a fair plan with some keys of the arms changed."""
    fair = {"rank": 16, "learning_rate": 1e-3, "steps": 64, "batch_size": 4,
            "seeds": [0, 1, 2], "scored_on": "test"}  # fmt: skip
    return {
        "lora": {"method": "lora", **fair, **(lora or {})},
        "qlora": {"method": "qlora", **fair, **qlora},
    }


def both(**changes: Any) -> dict[str, dict[str, Any]]:
    """Return a fair plan with some keys changed in both arms alike."""
    return bench(changes, **changes)


def numpy_bench() -> Any:
    import numpy as np

    changes = {"rank": np.int64(16), "learning_rate": np.float32(1e-3), "steps": np.int32(64),
               "seeds": np.arange(3)}  # fmt: skip
    return both(**changes)


def flawed() -> dict[str, dict[str, Any]]:
    from .bench_plan import flawed_plan

    return flawed_plan()


EVERY = {"seeds": [4, 5, 6, 7], "steps": 24}
TRAINED_ON = {"scored_on": "train"}
FEW = {"seeds": [0, 1]}

# ---- saved --------------------------------------------------------------------------------------

WEIGHTS = 6_476_005_376


def numpy_gb() -> Any:
    import numpy as np

    return np.float32(WEIGHTS * 11.873 / 8e9)


# ---- cards --------------------------------------------------------------------------------------


def by_sorting(peak_bytes, cards):
    for card in sorted(cards):
        if peak_bytes <= card * 1024**3 * 94 / 100:
            return card


def sorts_in_place(peak_bytes, cards):
    cards.sort()
    while cards and cards[0] * 2**30 * 0.94 < peak_bytes:
        cards.pop(0)
    return cards[0] if cards else None


def numpy_card(peak_bytes, cards):
    import numpy as np

    fitting = np.array(cards)[np.array(cards) * 2**30 * 0.94 >= peak_bytes]
    return fitting.min() if fitting.size else None


def by_generator(peak_bytes, cards):
    def fitting():
        yield from (card for card in sorted(cards) if peak_bytes <= 0.94 * card * 2**30)

    return next(fitting(), None)


def by_floats(peak_bytes, cards):
    needed = peak_bytes / 2**30 / 0.94
    fitting = [card for card in cards if needed <= card]
    return float(min(fitting)) if fitting else None


def smallest(share=0.94, unit=2**30, pick: Any = min):
    """Return a smallest_card with another share, unit or choice."""

    def function(peak_bytes, cards):
        fitting = [card for card in cards if share * card * unit >= peak_bytes]
        return pick(fitting) if fitting else None

    return function


def always_eighty(peak_bytes, cards):
    return 80


CASES: list[Case] = [
    (GAIN, by_loop, "correct", "share of what there was"),
    (GAIN, with_numpy, "correct", "share of what there was"),
    (GAIN, gain(), "correct", "share of what there was"),
    (GAIN, lambda f, o: tuple(round(each, 2) for each in gain()(f, o)), "correct", "what there"),
    (GAIN, lambda f, o: [float(f"{each:.2f}") for each in gain()(f, o)], "correct", "what there"),
    (GAIN, named_pair, "correct", "what there"),
    (GAIN, torch_loaded(with_torch), "correct", "what there"),
    (GAIN, functools.partial(lambda parts, f, o: (saved(f, o, parts), faster(f, o)), PARTS),
     "correct", "what there"),
    (GAIN, pops_its_runs, "correct", "what there"),
    (GAIN, gain(lambda f, o: saved(f, o) * 1.02), "incorrect", "expected"),
    (GAIN, gain(lambda f, o: 100 * (1 - peak(o, PARTS[:-2]) / peak(f, PARTS[:-2]))), "incorrect",
     "expected"),
    (GAIN, gain(second=lambda f, o: o["steps"] / f["steps"]), "incorrect", "expected"),
    (GAIN, lambda f, o: (faster(f, o), saved(f, o)), "incorrect", "expected"),
    (GAIN, lambda f, o: (62.5, 1.5), "incorrect", "expected"),
    (GAIN, gain(weights_only), "incorrect", "weights alone"),
    (GAIN, gain(no_activations), "incorrect", "activations are missing"),
    (GAIN, gain(of_the_smaller), "incorrect", "divided by the other method's peak"),
    (GAIN, gain(lambda f, o: 100 * peak(o) / peak(f)), "incorrect", "share that remains"),
    (GAIN, gain(lambda f, o: saved(f, o) / 100), "incorrect", "is a fraction"),
    (GAIN, gain(lambda f, o: peak(f) / peak(o)), "incorrect", "how many times smaller"),
    (GAIN, gain(second=lambda f, o: f["seconds"] / o["seconds"]), "incorrect",
     "different numbers of steps"),
    (GAIN, gain(second=lambda f, o: 1 / faster(f, o)), "incorrect", "upside down"),
    (GAIN, gain(second=lambda f, o: 1 - 1 / faster(f, o)), "incorrect", "share of time"),
    (GAIN, gain(second=lambda f, o: 100 - 100 / faster(f, o)), "incorrect", "share of time"),
    (GAIN, gain(lambda f, o: 0), "incorrect", "expected"),
    (GAIN, lambda full, other: saved(full, other), "incorrect", "expected"),
    (GAIN, lambda full, other: full["peak"], "error", "KeyError"),
    (GAIN, 3.1, "error", "should be a function"),
    (BENCH, bench(), "correct", "One difference"),
    (BENCH, bench(EVERY, **EVERY), "correct", "One difference"),
    (BENCH, bench(seeds=(2, 1, 0)), "correct", "One difference"),
    (BENCH, bench({"method": "LoRA"}, method="QLoRA"), "correct", "One difference"),
    (BENCH, both(scored_on="Test"), "correct", "One difference"),
    (BENCH, both(scored_on="test rows"), "correct", "One difference"),
    (BENCH, both(seeds=range(5)), "correct", "One difference"),
    (BENCH, both(seeds={7, 8, 9}), "correct", "One difference"),
    (BENCH, both(steps=64.0, rank=8.0), "correct", "One difference"),
    (BENCH, build(numpy_bench), "correct", "One difference"),
    (BENCH, dict(reversed(bench().items())), "correct", "One difference"),
    (BENCH, MappingProxyType(bench()), "correct", "One difference"),
    (BENCH, both(steps=0), "incorrect", "fewer than 10 steps"),
    (BENCH, both(steps=-64), "incorrect", "fewer than 10 steps"),
    (BENCH, both(steps=1), "incorrect", "fewer than 10 steps"),
    (BENCH, both(steps=10**9), "incorrect", "cannot be run"),
    (BENCH, both(rank=0), "incorrect", "cannot be run"),
    (BENCH, both(rank=-16), "incorrect", "cannot be run"),
    (BENCH, both(batch_size=0), "incorrect", "cannot be run"),
    (BENCH, both(learning_rate=0), "incorrect", "neither arm learns"),
    (BENCH, both(learning_rate=-1e-3), "incorrect", "neither arm learns"),
    (BENCH, both(learning_rate=1), "incorrect", "neither arm learns"),
    (BENCH, both(learning_rate=float("nan")), "incorrect", ""),
    (BENCH, both(seeds=[0, 0, 0]), "incorrect", "One or two seeds"),
    (BENCH, both(seeds=[0, 0, 1]), "incorrect", "One or two seeds"),
    (BENCH, both(seeds=[]), "incorrect", "One or two seeds"),
    (BENCH, both(scored_on="validation"), "incorrect", "the test rows"),
    (BENCH, both(quantized=True), "incorrect", "'quantized'"),
    (BENCH, both(method="qlora"), "incorrect", "nothing is compared"),
    (BENCH, bench({"method": "qlora"}, method="lora"), "incorrect", "methods should be"),
    (BENCH, both(seeds="012"), "error", "list of whole numbers"),
    (BENCH, both(seeds=[0.5, 1, 2]), "error", "list of whole numbers"),
    (BENCH, both(seeds=[-1, 1, 2]), "error", "list of whole numbers"),
    (BENCH, both(seeds=None), "error", "list of whole numbers"),
    (BENCH, both(steps="64"), "error", "steps should be a whole number, not '64'"),
    (BENCH, both(steps=64.5), "error", "steps should be a whole number"),
    (BENCH, both(steps=True), "error", "steps should be a whole number"),
    (BENCH, both(learning_rate="1e-3"), "error", "learning_rate should be a number"),
    (BENCH, both(scored_on=None), "error", "scored_on should be a word"),
    (BENCH, {**bench(), "full": bench()["lora"]}, "error", "an arm 'full'"),
    (BENCH, list(bench().values()), "error", "should be a dictionary"),
    (BENCH, flawed(), "incorrect", "different numbers of steps"),
    (BENCH, bench(steps=24), "incorrect", "different numbers of steps"),
    (BENCH, bench(batch_size=8), "incorrect", "different numbers of steps"),
    (BENCH, bench(rank=64), "incorrect", "different ranks"),
    (BENCH, bench(learning_rate=2e-4), "incorrect", "learning rates differ"),
    (BENCH, bench(scored_on="train"), "incorrect", "trained on"),
    (BENCH, bench(TRAINED_ON, **TRAINED_ON), "incorrect", "trained on"),
    (BENCH, bench(FEW, **FEW), "incorrect", "One or two seeds"),
    (BENCH, bench(seeds=3), "incorrect", "One or two seeds"),
    (BENCH, bench(seeds=[3, 4, 5]), "incorrect", "its own seeds"),
    (BENCH, bench(method="lora"), "incorrect", "nothing is compared"),
    (BENCH, bench({"method": "full"}), "incorrect", 'should be "lora" and "qlora"'),
    (BENCH, bench(dropout=0.1), "incorrect", "more than their method"),
    (BENCH, {"lora": bench()["lora"]}, "error", "no arm 'qlora'"),
    (BENCH, {"lora": {}, "qlora": {}}, "error", "lacks 'method'"),
    (BENCH, "fair", "error", "should be a dictionary, not a str"),
    (SAVED, WEIGHTS * (16 - 4.127) / 8 / 1e9, "correct", "9.6 GB"),
    (SAVED, WEIGHTS * 2 / 1e9 - WEIGHTS * 4.127 / 8 / 1e9, "correct", "9.6 GB"),
    (SAVED, 9.6, "correct", "9.6 GB"),
    (SAVED, build(numpy_gb), "correct", "9.6 GB"),
    (SAVED, WEIGHTS * 4.127 / 8e9, "incorrect", "take afterwards"),
    (SAVED, 12.95, "incorrect", "in bf16. Subtract"),
    (SAVED, WEIGHTS * 11.873 / 1e9, "incorrect", "gigabits"),
    (SAVED, WEIGHTS * 11.873 / 8 / 2**30, "incorrect", "in GiB"),
    (SAVED, WEIGHTS * 11.873 / 8, "incorrect", "in bytes"),
    (SAVED, WEIGHTS * 12 / 8e9, "incorrect", "scales of the blocks"),
    (SAVED, WEIGHTS * (32 - 4.127) / 8e9, "incorrect", "started from 32 bits"),
    (SAVED, 10, "incorrect", "Not the number"),
    (SAVED, -9.6, "incorrect", "Not the number"),
    (SAVED, float("nan"), "incorrect", "Not the number"),
    (SAVED, "9.6 GB", "error", "should be a number, not a str"),
    (SAVED, [9.6], "error", "should be a number, not a list"),
    (CARD, by_sorting, "correct", "Units first"),
    (CARD, by_floats, "correct", "Units first"),
    (CARD, smallest(), "correct", "Units first"),
    (CARD, sorts_in_place, "correct", "Units first"),
    (CARD, numpy_card, "correct", "Units first"),
    (CARD, by_generator, "correct", "Units first"),
    (CARD, lambda p, c: smallest(pick=lambda f: sorted(f)[0])(p, tuple(c)), "correct", "Units"),
    (CARD, lambda p, c: min([g for g in c if g * 2**30 * 0.94 >= p], default=None), "correct",
     "Units first"),
    (CARD, smallest(unit=1), "incorrect", "multiply the card's GiB"),
    (CARD, smallest(unit=1, share=1), "incorrect", "multiply the card's GiB"),
    (CARD, smallest(unit=2**20), "incorrect", "by 2**30"),
    (CARD, smallest(share=0.9), "incorrect", "expected"),
    (CARD, lambda p, c: smallest()(p, c) or 0, "incorrect", "expected None"),
    (CARD, lambda p, c: smallest()(p, c) or max(c), "incorrect", "expected None"),
    (CARD, lambda p, c: str(smallest()(p, c)), "error", "should return a number"),
    (CARD, lambda p, c: c.index(smallest()(p, c)) if smallest()(p, c) else None, "incorrect",
     "expected"),
    (CARD, smallest(unit=10**9), "incorrect", "took a GiB for"),
    (CARD, smallest(share=1), "incorrect", "use the whole card"),
    (CARD, smallest(share=1, unit=10**9), "incorrect", "Two things at once"),
    (CARD, smallest(share=1 / 0.94), "incorrect", "divide by 0.94"),
    (CARD, smallest(pick=lambda fitting: fitting[0]), "incorrect", "first card that fits"),
    (CARD, smallest(pick=max), "incorrect", "the largest card"),
    (CARD, lambda p, c: (smallest()(p, c) or 0) * 2**30, "incorrect", "card in bytes"),
    (CARD, always_eighty, "incorrect", "expected"),
    (CARD, lambda p, c: min(x for x in c if x * 2**30 * 0.94 >= p), "error", "ValueError"),
    (CARD, 24, "error", "should be a function"),
]  # fmt: skip

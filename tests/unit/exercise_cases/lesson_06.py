"""Cases of lesson 06's exercises."""

from __future__ import annotations

from typing import Any

from exercise_cases.base import Case

GAIN, BENCH, BYTES, CARD = (
    "06.improvement",
    "06.fair-bench",
    "06.qlora-bytes",
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


# ---- a fair bench -------------------------------------------------------------------------------


def bench(lora: dict[str, Any] | None = None, **qlora: Any) -> dict[str, dict[str, Any]]:
    """Return a fair plan with some keys of the arms changed."""
    fair = {"rank": 16, "learning_rate": 1e-3, "steps": 64, "batch_size": 4,
            "seeds": [0, 1, 2], "scored_on": "test"}  # fmt: skip
    return {
        "lora": {"method": "lora", **fair, **(lora or {})},
        "qlora": {"method": "qlora", **fair, **qlora},
    }


def flawed() -> dict[str, dict[str, Any]]:
    from labs_lib.assessment.exercises.lesson_06 import flawed_plan

    return flawed_plan()


EVERY = {"seeds": [4, 5, 6, 7], "steps": 24}
TRAINED_ON = {"scored_on": "train"}
FEW = {"seeds": [0, 1]}

# ---- bytes --------------------------------------------------------------------------------------


def by_parts(linear, other, adapter):
    codes, scales = linear / 2, linear / 64
    second = 4 * linear / (64 * 256)
    trained = sum(4 * adapter for _ in ("weight", "gradient", "mean", "variance"))
    return codes + scales + second + 2 * other + trained


def in_bits(linear, other, adapter):
    return (linear * (4 + 0.125 + 0.001953125) + other * 16 + adapter * 128) / 8


def held(bits=4.127, other_bytes=2.0, adapter_bytes=16.0, base=0.0, byte=8.0, unit=1.0):
    """Return a qlora_bytes that counts some part at another size."""

    def function(linear, other, adapter):
        exact = 4 + 8 / 64 + 32 / (64 * 256) if bits == 4.127 else bits
        total = linear * (exact / byte + base) + other * other_bytes + adapter * adapter_bytes
        return total / unit

    return function


# ---- cards --------------------------------------------------------------------------------------


def by_sorting(peak_bytes, cards):
    for card in sorted(cards):
        if peak_bytes <= card * 1024**3 * 94 / 100:
            return card


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
    (BYTES, by_parts, "correct", "Half a byte"),
    (BYTES, in_bits, "correct", "Half a byte"),
    (BYTES, held(), "correct", "Half a byte"),
    (BYTES, held(base=2.0), "incorrect", "4-bit base gradients"),
    (BYTES, held(base=0.5), "incorrect", "4-bit base gradients"),
    (BYTES, held(base=8.0, other_bytes=10.0), "incorrect", "base optimiser states"),
    (BYTES, held(adapter_bytes=12.5), "incorrect", "adapter's weights in 4 bits"),
    (BYTES, held(adapter_bytes=2.0), "incorrect", "adapter's weights in 4 bits"),
    (BYTES, held(bits=4), "incorrect", "codes alone"),
    (BYTES, held(bits=4.125), "incorrect", "scale of their own"),
    (BYTES, held(bits=4.5), "incorrect", "4.5 bits is NF4"),
    (BYTES, held(other_bytes=(4 + 8 / 64 + 32 / 16384) / 8), "incorrect", "embeddings and norms"),
    (BYTES, held(byte=1), "incorrect", "counted in bits"),
    (BYTES, held(adapter_bytes=12), "incorrect", "are missing"),
    (BYTES, held(adapter_bytes=4), "incorrect", "weights alone"),
    (BYTES, held(unit=2**30), "incorrect", "GB or GiB"),
    (BYTES, held(unit=1e9), "incorrect", "GB or GiB"),
    (BYTES, held(bits=16), "incorrect", "expected"),
    (BYTES, lambda linear, other: 0, "error", "positional argument"),
    (CARD, by_sorting, "correct", "Units first"),
    (CARD, by_floats, "correct", "Units first"),
    (CARD, smallest(), "correct", "Units first"),
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

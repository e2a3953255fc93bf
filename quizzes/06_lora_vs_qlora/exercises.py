"""Lesson 06: what was gained, a fair bench, what QLoRA's parameters hold, the smallest card."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import (
    SEED,
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    ValueCheck,
    same,
)
from labs_lib.errors import shorten

from .bench_plan import (
    can_be_run,
    extra_entries,
    flawed_plan,
    read_plan,
)

GIB = 2**30

# ---- exercise 3 of the sheet: memory and speed against full fine-tuning -------------------------

_PARTS = ("weights", "adapter", "gradients", "optimizer", "activations")
_Run = dict[str, float]


def _peak(run: _Run, parts: tuple[str, ...] = _PARTS) -> float:
    return sum(run[f"{part}_bytes"] for part in parts)


def _pace(run: _Run) -> float:
    return run["steps"] / run["seconds"]


def _saved(full: _Run, other: _Run) -> float:
    return 100 * (1 - _peak(other) / _peak(full))


def _improvement(full: _Run, other: _Run) -> tuple[float, float]:
    return _saved(full, other), _pace(other) / _pace(full)


def _some_pair(generator: random.Random) -> tuple[_Run, _Run]:
    """Return full fine-tuning and another method: between a tenth and nine tenths of its peak.

    The numbers are such that a result rounded to two digits stays within the tolerance.
    """
    full: _Run = {f"{part}_bytes": generator.randint(10**9, 10**10) for part in _PARTS}
    full["adapter_bytes"] = 0
    other: _Run = {name: int(size * generator.uniform(0.1, 0.9)) for name, size in full.items()}
    other["adapter_bytes"] = generator.randint(10**6, 10**8)
    full |= {"steps": generator.randint(10, 90), "seconds": generator.uniform(20, 200)}
    pace = full["steps"] / full["seconds"] * generator.choice((0.55, 0.8, 1.3, 1.9, 3.1))
    steps = generator.randint(10, 90)
    return full, {**other, "steps": steps, "seconds": steps / pace}


def _run_of(parts: tuple[int, ...], steps: int, seconds: float) -> _Run:
    sizes = {f"{part}_bytes": size for part, size in zip(_PARTS, parts, strict=True)}
    return {**sizes, "steps": steps, "seconds": seconds}


def _improvement_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    whole = _run_of((540, 0, 540, 1080, 240), steps=10, seconds=30)
    small = _run_of((540, 20, 20, 40, 230), steps=24, seconds=48)
    cases: list[tuple[Any, ...]] = [(whole, small)]
    cases += [_some_pair(generator) for _ in range(10)]
    return cases


def _first_is(wrong: Callable[[_Run, _Run], float]) -> Callable[[list[Any]], bool]:
    """Recognise what the first of the two numbers is, whatever the second is."""
    return lambda results: _matches(results, 0, wrong)


def _second_is(wrong: Callable[[_Run, _Run], float]) -> Callable[[list[Any]], bool]:
    return lambda results: _matches(results, 1, wrong)


def _matches(results: list[Any], place: int, wrong: Callable[[_Run, _Run], float]) -> bool:
    cases = _improvement_cases(random.Random(SEED))
    return all(
        abs(float(result[place]) - wrong(*case)) <= _ROUNDED * max(1e-9, abs(wrong(*case)))
        for case, result in zip(cases, results, strict=True)
    )


# Two digits behind the point are enough for a percentage and for a ratio.
_ROUNDED = 0.01
_LESS = tuple(part for part in _PARTS if part != "activations")

_IMPROVEMENT = Exercise(
    id="06.improvement",
    title="Memory and speed against full fine-tuning",
    objective="bench",
    task=(
        "Exercise 3 of the sheet that this course grew from. Write `improvement(full, other)`; "
        "each is a dictionary with `weights_bytes`, `adapter_bytes`, `gradients_bytes`, "
        "`optimizer_bytes`, `activations_bytes` (they add up to the peak), `steps` and `seconds` "
        "(of the whole training). Return a pair:\n\n"
        "- by how many **percent of full fine-tuning's peak** the peak of `other` is lower;\n"
        "- how many times as many **steps per second** `other` makes (1.0: as many)."
    ),
    answer="improvement",
    hints=(
        "The peak is the sum of the five parts, for each of the two runs.",
        "Saved, in percent of full: 100 × (full − other) / full.",
        "The runs may have made different numbers of steps: divide each run's steps by its "
        "seconds first.",
    ),
    check=FunctionCheck(
        cases=_improvement_cases,
        reference=_improvement,
        relative_tolerance=_ROUNDED,
        misconceptions=(
            Misconception(
                "weights-only",
                "Your peak is the weights alone. Gradients, states and activations are in memory "
                "beside them; that is where LoRA saves.",
                when=_first_is(lambda f, o: 100 * (1 - o["weights_bytes"] / f["weights_bytes"])),
            ),
            Misconception(
                "activations-left-out",
                "The activations are missing from your peak. They are the part that no method "
                "here makes smaller, so without them the saving looks too large.",
                when=_first_is(lambda f, o: 100 * (1 - _peak(o, _LESS) / _peak(f, _LESS))),
            ),
            Misconception(
                "percent-of-the-smaller",
                "You divided by the other method's peak. The question is for percent of full "
                "fine-tuning's: a saving is a share of what there was before.",
                when=_first_is(lambda f, o: 100 * (_peak(f) - _peak(o)) / _peak(o)),
            ),
            Misconception(
                "remains-for-saved",
                "That is the share that remains. What is saved is the rest of the 100 %.",
                when=_first_is(lambda f, o: 100 * _peak(o) / _peak(f)),
            ),
            Misconception(
                "fraction-for-percent",
                "Your first number is a fraction; in percent it is 100 times as much.",
                when=_first_is(lambda f, o: _saved(f, o) / 100),
            ),
            Misconception(
                "times-for-percent",
                "Your first number says how many times smaller the peak is, not how many percent "
                "are saved.",
                when=_first_is(lambda f, o: _peak(f) / _peak(o)),
            ),
            Misconception(
                "different-step-counts",
                "You compared the whole training times, but the runs made different numbers of "
                "steps. Divide by the steps before you compare.",
                when=_second_is(lambda f, o: f["seconds"] / o["seconds"]),
            ),
            Misconception(
                "upside-down",
                "Your second number is upside down: above 1 it should mean that the other method "
                "makes more steps in a second.",
                when=_second_is(lambda f, o: _pace(f) / _pace(o)),
            ),
            Misconception(
                "time-saved-for-speed",
                "Your second number is the share of time that is saved. Half the time is twice "
                "the speed, 2.0, not 0.5 or 50.",
                when=lambda results: any(
                    _second_is(lambda f, o, s=scale: s * (1 - _pace(f) / _pace(o)))(results)
                    for scale in (1, 100)
                ),
            ),
        ),
    ),
    praise="A saving is a share of what there was; a speed is steps over seconds.",
)


# ---- a fair bench -------------------------------------------------------------------------------

_LEAST_STEPS = 10
# Beyond these LoRA learns nothing, or does not settle.
_RATES = (1e-5, 1e-2)


def _both(key: str) -> Callable[[Any], bool]:
    return lambda arms: arms["lora"][key] == arms["qlora"][key]


def _differ(key: str) -> Callable[[Any], bool]:
    return lambda arms: arms["lora"][key] != arms["qlora"][key]


_BENCH = Exercise(
    id="06.fair-bench",
    title="Repair a comparison",
    objective="bench",
    task=(
        "Someone wants to know: *does a 4-bit base cost quality?* Their plan is "
        "`material('06.fair-bench')`: print it. Set `bench` to a plan of the same form whose "
        "result could answer the question: **one** thing differs between the arms, and the "
        "spread can be seen. (A full plan has at least three seeds an arm.)"
    ),
    answer="bench",
    hints=(
        "Go through the keys of the two arms one by one: which differ?",
        "Copy one arm, and change in the copy only what the question asks about.",
        "Rows that a model was trained on say nothing about new ones.",
    ),
    check=ValueCheck(
        observe=read_plan,
        properties=(
            Property(
                lambda arms: (arms["lora"]["method"], arms["qlora"]["method"]) == ("lora", "qlora"),
                'The arms\' methods should be "lora" and "qlora": that is what is compared.',
            ),
            Property(
                lambda arms: {**arms["lora"], "method": "qlora"} == arms["qlora"],
                "The arms differ in more than their method; then a difference in the result has "
                "two possible causes.",
            ),
            Property(
                lambda arms: all(map(can_be_run, arms.values())),
                "Such a plan cannot be run here: rank and batch_size are whole numbers from 1 to "
                "4,096, and more than 100,000 steps take weeks.",
            ),
            Property(
                lambda arms: not extra_entries(arms),
                lambda arms: (
                    f"The plan has an entry {shorten(extra_entries(arms)[0])} which its form does "
                    "not: leave it out."
                ),
            ),
            Property(
                lambda arms: all(arm["steps"] >= _LEAST_STEPS for arm in arms.values()),
                f"With fewer than {_LEAST_STEPS} steps neither arm has learnt anything that "
                "could be compared.",
            ),
            Property(
                lambda arms: all(
                    _RATES[0] <= arm["learning_rate"] <= _RATES[1] for arm in arms.values()
                ),
                f"With that learning rate neither arm learns: stay between {_RATES[0]:g} and "
                f"{_RATES[1]:g}.",
            ),
            Property(
                lambda arms: all(len(set(arm["seeds"])) >= 3 for arm in arms.values()),
                "With fewer than three seeds you cannot tell a difference from luck.",
            ),
            Property(
                lambda arms: arms["lora"]["scored_on"] == "test",
                "Score on rows that neither arm was trained on or tuned by: the test rows.",
            ),
        ),
        misconceptions=(
            Misconception(
                "different-step-counts",
                "The arms train for different numbers of steps (or batch sizes). Whichever sees "
                "more rows has the advantage, whatever its base.",
                when=lambda arms: _differ("steps")(arms) or _differ("batch_size")(arms),
            ),
            Misconception(
                "different-capacity",
                "The arms have different ranks: then you compare adapters as much as bases.",
                when=_differ("rank"),
            ),
            Misconception(
                "different-learning-rate",
                "The learning rates differ. (One may tune each arm's, but on validation rows and "
                "with the same effort; this plan has no such search.)",
                when=_differ("learning_rate"),
            ),
            Misconception(
                "scored-on-training-rows",
                "An arm is scored on rows that it was trained on: that measures memory, not what "
                "it learnt.",
                when=lambda arms: any(arm["scored_on"] == "train" for arm in arms.values()),
            ),
            Misconception(
                "one-seed",
                "One or two seeds: another draw of A and of the row order could turn the result. "
                "Three at least, so that the spread can be seen.",
                when=lambda arms: any(len(set(arm["seeds"])) < 3 for arm in arms.values()),
            ),
            Misconception(
                "different-seeds",
                "Each arm has its own seeds. With the same seeds both see the same rows in the "
                "same order and start from the same A, so that less is left to chance.",
                when=_differ("seeds"),
            ),
            Misconception(
                "same-method",
                "Both arms have the same method: now nothing is compared.",
                when=_both("method"),
            ),
        ),
    ),
    praise="One difference, the same everything else, and a spread to hold it against.",
    material=flawed_plan,
)


# ---- what the parameters of a QLoRA step hold ---------------------------------------------------

_BITS = 4 + 8 / 64 + 32 / (64 * 256)


def _qlora_bytes(linear: int, other: int, adapter: int) -> float:
    return linear * _BITS / 8 + other * 2 + adapter * 16


def _with_bits(bits: float) -> Callable[[int, int, int], float]:
    return lambda linear, other, adapter: linear * bits / 8 + other * 2 + adapter * 16


def _qlora_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [(0, 0, 1_000), (6_400_000_000, 262_000_000, 40_000_000)]
    for _ in range(12):
        cases.append(
            (
                generator.randint(10**8, 7 * 10**10),
                generator.randint(10**7, 10**9),
                generator.randint(10**6, 2 * 10**8),
            )
        )
    return cases


_QLORA_BYTES = Exercise(
    id="06.qlora-bytes",
    title="What the parameters of a QLoRA step hold",
    objective="memory",
    task=(
        "Write `qlora_bytes(linear, other, adapter)`: the bytes that parameters, gradients and "
        "optimiser states hold in a QLoRA run, activations apart.\n\n"
        "- `linear` base weights are in NF4, blocks of 64, double quantisation: each block has an "
        "8-bit scale, and 256 scales share one in fp32;\n"
        "- `other` base parameters (embeddings, norms) are in bf16;\n"
        "- `adapter` parameters are in fp32, and so are their gradients and AdamW's states."
    ),
    answer="qlora_bytes",
    hints=(
        "Bits of one quantised weight: its code, its share of a scale, its share of the scales' "
        "scale. Eight bits make a byte.",
        "What is frozen has no gradient and no state.",
        "An adapter parameter: weight, gradient, two states, four bytes each.",
    ),
    check=FunctionCheck(
        cases=_qlora_cases,
        reference=_qlora_bytes,
        # The scales' own scale is worth 0.05 % of the base, the scales 3 %.
        relative_tolerance=1e-4,
        misconceptions=(
            Misconception(
                "gradients-in-base",
                "You give the 4-bit base gradients. It is frozen: gradients pass through it and "
                "collect in the adapter alone.",
                when=lambda results: _any_of(
                    results,
                    *(
                        lambda linear, other, adapter, e=each, o=more: (
                            _qlora_bytes(linear, other, adapter) + linear * e + other * o
                        )
                        for each in (_BITS / 8, 0.5, 2, 4)
                        for more in (0, 2, 4)
                    ),
                ),
            ),
            Misconception(
                "states-for-base",
                "You give the base optimiser states. Only what is trained has them.",
                when=lambda results: _any_of(
                    results,
                    *(
                        lambda linear, other, adapter, e=each, o=more: (
                            _qlora_bytes(linear, other, adapter) + linear * e + other * o
                        )
                        for each in (8, 10, 12)
                        for more in (0, 8, 10, 12)
                    ),
                ),
            ),
            Misconception(
                "adapters-quantised",
                "You count the adapter's weights in 4 bits. What is trained takes small steps: "
                "it stays in floating point, here 4 bytes each.",
                when=lambda results: _any_of(
                    results,
                    *(
                        lambda linear, other, adapter, w=weight, r=rest: (
                            linear * _BITS / 8 + other * 2 + adapter * (w + r)
                        )
                        for weight in (0.5, _BITS / 8)
                        for rest in (0, 4, 8, 12, 3 * weight)
                    ),
                ),
            ),
            Misconception(
                "scales-left-out",
                "4 bits are the codes alone. Each block of 64 also stores its scale: 8 bits, and "
                "a share of an fp32 one.",
                wrong=_with_bits(4),
            ),
            Misconception(
                "second-scales-left-out",
                "Very near: the 8-bit scales have a scale of their own, fp32 for 256 of them.",
                wrong=_with_bits(4 + 8 / 64),
            ),
            Misconception(
                "no-double-quantisation",
                "4.5 bits is NF4 with an fp32 scale for each block. Here the scales are quantised "
                "to 8 bits.",
                wrong=_with_bits(4.5),
            ),
            Misconception(
                "everything-quantised",
                "You quantised embeddings and norms too. bitsandbytes replaces the linear layers; "
                "the others keep 2 bytes.",
                wrong=lambda linear, other, adapter: (linear + other) * _BITS / 8 + adapter * 16,
            ),
            Misconception(
                "bits-for-bytes",
                "The base is counted in bits; eight of them make a byte.",
                wrong=lambda linear, other, adapter: linear * _BITS + other * 2 + adapter * 16,
            ),
            Misconception(
                "one-adam-state",
                "Four bytes an adapter parameter are missing: weight, gradient, and **two** Adam "
                "states.",
                wrong=lambda linear, other, adapter: linear * _BITS / 8 + other * 2 + adapter * 12,
            ),
            Misconception(
                "weights-only",
                "Those are the weights alone; the adapter's gradients and states belong to the "
                "run.",
                wrong=lambda linear, other, adapter: linear * _BITS / 8 + other * 2 + adapter * 4,
            ),
            Misconception(
                "in-gb",
                "That is in GB or GiB; the function should return bytes.",
                when=lambda results: _any_of(
                    results,
                    *(
                        lambda linear, other, adapter, u=unit: (
                            _qlora_bytes(linear, other, adapter) / u
                        )
                        for unit in (10**9, GIB)
                    ),
                ),
            ),
        ),
    ),
    praise="Half a byte and a bit for the base, two for what stays, sixteen for what is trained.",
)


def _any_of(results: list[Any], *wrongs: Callable[..., float]) -> bool:
    cases = _qlora_cases(random.Random(SEED))
    return any(
        all(same(got, wrong(*case)) for got, case in zip(results, cases, strict=True))
        for wrong in wrongs
    )


# ---- the smallest card --------------------------------------------------------------------------

_SHARE = 0.94


def _smallest(peak: int, cards: list[int], share: float = _SHARE, unit: int = GIB) -> int | None:
    return min((card for card in cards if share * card * unit >= peak), default=None)


def _first_in_list(peak: int, cards: list[int]) -> int | None:
    return next((card for card in cards if _SHARE * card * GIB >= peak), None)


def _largest_of(peak: int, cards: list[int]) -> int | None:
    return max((card for card in cards if _SHARE * card * GIB >= peak), default=None)


def _card_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    # 23.0 GiB: within 24 GiB but not within what is usable; 38.01 GB: fits 40 GiB, not 40 GB.
    cases: list[tuple[Any, ...]] = [
        (int(23.0 * GIB), [80, 16, 48, 24, 40]),
        (38_010_000_000, [40, 48, 24]),
        (int(200 * GIB), [80, 16, 48, 24, 40]),
        (int(6.34 * GIB), [80, 16, 48, 24, 40]),
        (int(15.9 * 10**9), [80, 16, 48, 24, 40]),
        (24_100_000_000, [80, 16, 48, 24, 40]),  # 94 % of 24 GiB are 24.22 GB
        (10, [40, 16]),  # fits whatever the unit: a comparison of bytes with GiB returns None else
    ]
    for _ in range(20):
        chosen = generator.sample([12, 16, 24, 32, 40, 48, 80, 141], 5)
        cases.append((generator.randint(5 * GIB, 100 * GIB), chosen))
    return cases


_CARD = Exercise(
    id="06.smallest-card",
    title="The smallest card that will do",
    objective="scale",
    task=(
        "Write `smallest_card(peak_bytes, cards)`: which of the cards, given by their memory in "
        "**GiB**, is the smallest that holds a step with this peak? A process finds 94 % of a "
        "card's memory free. Return the card's GiB, or `None` if none of them will do."
    ),
    answer="smallest_card",
    hints=(
        "How many bytes has a card of 24 GiB? 24 × 2³⁰.",
        "Of these, 94 % can be used.",
        "The list is in no particular order, and may hold no card that is large enough.",
    ),
    check=FunctionCheck(
        cases=_card_cases,
        reference=_smallest,
        misconceptions=(
            Misconception(
                "gb-for-gib",
                "You took a GiB for 10⁹ bytes. It is 2³⁰, so every card is 7 % larger than you "
                "think, and you send people shopping for nothing.",
                wrong=lambda peak, cards: _smallest(peak, cards, unit=10**9),
            ),
            Misconception(
                "all-of-the-card",
                "You use the whole card. Driver, CUDA and the allocator's gaps take some: only "
                "94 % are there for the step.",
                wrong=lambda peak, cards: _smallest(peak, cards, share=1.0),
            ),
            Misconception(
                "both-mistakes",
                "Two things at once, which nearly cancel: a GiB is 2³⁰ bytes, not 10⁹, and 94 % of "
                "them are usable. Together they are 1 % from 10⁹, and one case lies in between.",
                wrong=lambda peak, cards: _smallest(peak, cards, share=1.0, unit=10**9),
            ),
            Misconception(
                "share-upside-down",
                "You divide by 0.94, which makes the card larger than it is sold; multiply.",
                wrong=lambda peak, cards: _smallest(peak, cards, share=1 / _SHARE),
            ),
            Misconception(
                "first-in-list",
                "You return the first card that fits; the list is not sorted, and a smaller one "
                "may follow.",
                wrong=_first_in_list,
            ),
            Misconception(
                "largest",
                "You return the largest card that fits; the smallest was asked for.",
                wrong=_largest_of,
            ),
            Misconception(
                "bytes-against-gib",
                "You compare a number of GiB with a number of bytes, so no card ever seems large "
                "enough: multiply the card's GiB by 2**30 first.",
                wrong=lambda peak, cards: _smallest(peak, cards, unit=1),
            ),
            Misconception(
                "in-bytes",
                "You return the card in bytes; its GiB, as in the list, were asked for.",
                when=lambda results: any(
                    isinstance(each, (int, float)) and 10**9 < each < 10**15 for each in results
                ),
            ),
        ),
    ),
    praise="Units first, then the share, then the smallest: in that order.",
)

EXERCISES = [_IMPROVEMENT, _BENCH, _CARD, _QLORA_BYTES]

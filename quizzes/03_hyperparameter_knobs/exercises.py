"""Lesson 03: keep a scaling, spend a budget, set every knob, and judge a sweep by its seeds."""

from __future__ import annotations

import math
import operator
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
)
from labs_lib.assessment.exercises.configuration import lora_effect, nothing_else

# --- scaling --------------------------------------------------------------------------------------


def _scaling_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [(8, 16, 16, False), (8, 16, 32, True), (16, 8, 16, False)]
    for number in range(16):
        old, new = generator.sample((1, 2, 4, 8, 16, 32, 64, 128), 2)
        cases.append((old, generator.choice((3, 5, 12, 40)), new, number % 2 == 0))
    return cases


_SCALING = Exercise(
    id="03.keep-scaling",
    title="The alpha that keeps the scaling",
    objective="scaling",
    task=(
        "Write `keep_scaling(old_rank, alpha, new_rank, use_rslora)`: someone trained with "
        "`old_rank` and `alpha`. Return the `lora_alpha` with which an adapter of `new_rank` is "
        "scaled **exactly as before**. `use_rslora` holds for both adapters."
    ),
    answer="keep_scaling",
    hints=(
        "Write both scalings down, set them equal, and solve for the new alpha.",
        "Plain LoRA: new_alpha / new_rank = alpha / old_rank.",
        "rsLoRA divides by the square root of the rank, on both sides.",
    ),
    check=FunctionCheck(
        cases=_scaling_cases,
        reference=lambda old, alpha, new, root: alpha * (new / old) ** (0.5 if root else 1),
        misconceptions=(
            Misconception(
                "alpha-fixed",
                "You leave alpha where it was. Then the scaling falls as the rank grows: what is "
                "applied is alpha divided by the rank, not alpha.",
                wrong=lambda old, alpha, new, root: alpha,
            ),
            Misconception(
                "root-forgotten",
                "Right without rsLoRA. With it the rank's square root divides alpha, so doubling "
                "the rank asks for less than twice the alpha.",
                wrong=lambda old, alpha, new, root: alpha * new / old,
            ),
            Misconception(
                "root-always",
                "Right with rsLoRA. Plain LoRA divides by the rank itself, not by its root.",
                wrong=lambda old, alpha, new, root: alpha * (new / old) ** 0.5,
            ),
            Misconception(
                "roots-exchanged",
                "The two rules are exchanged: rsLoRA is the one with the square root.",
                wrong=lambda old, alpha, new, root: alpha * (new / old) ** (1 if root else 0.5),
            ),
            Misconception(
                "upside-down",
                "Upside down: a larger rank divides by more, so alpha has to grow with it.",
                wrong=lambda old, alpha, new, root: alpha * (old / new) ** (0.5 if root else 1),
            ),
            Misconception(
                "returns-scaling",
                "That is the scaling. Asked for is the alpha which gives it at the new rank.",
                wrong=lambda old, alpha, new, root: alpha / old ** (0.5 if root else 1),
            ),
            Misconception(
                "twice-the-rank",
                "alpha = 2r is a habit, and gives a scaling of 2. The old scaling need not be 2.",
                wrong=lambda old, alpha, new, root: 2 * new,
            ),
        ),
    ),
    praise="The same scaling before and after, with and without the root.",
)

# --- a budget -------------------------------------------------------------------------------------


def _budget(
    budget: int,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    mlp: int,
    *,
    parts: str = "qkvogud",
    width: Callable[[int, int, int], int] = lambda hidden, heads, kv: kv * (hidden // heads),
    cost: Callable[[int, int], int] = lambda d_in, d_out: d_in + d_out,
    rounded: Callable[[float], int] = math.floor,
) -> int:
    """Return the largest rank within the budget, or what a mistake makes of it."""
    kv = width(hidden, heads, kv_heads)
    shapes = {
        "q": (hidden, hidden), "k": (hidden, kv), "v": (hidden, kv), "o": (hidden, hidden),
        "g": (hidden, mlp), "u": (hidden, mlp), "d": (mlp, hidden),
    }  # fmt: skip
    per_rank = layers * sum(cost(*shapes[part]) for part in parts)
    return rounded(budget / per_rank)


def _budget_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    # SmolLM2-135M at exactly rank 8, one parameter less, less than rank 1; a 7B model.
    smol = (30, 576, 9, 3, 1536)
    cases: list[tuple[Any, ...]] = [(budget, *smol) for budget in (2442240, 2442239, 305279)]
    cases.append((20_000_000, 32, 4096, 32, 8, 14336))
    for _ in range(14):
        kv_heads = generator.choice((1, 2, 4))
        heads = kv_heads * generator.choice((2, 3, 4, 8))
        hidden = heads * generator.choice((32, 64, 128))
        shape = (generator.randint(2, 80), hidden, heads, kv_heads, 4 * hidden)
        one = _budget(1, *shape, rounded=lambda share: round(1 / share))
        cases.append((one * generator.randint(2, 60) + generator.randrange(one), *shape))
    return cases


def _misspent(**mistake: Any) -> Callable[..., int]:
    return lambda *case: _budget(*case, **mistake)


_BUDGET = Exercise(
    id="03.rank-for-budget",
    title="The largest rank within a budget",
    objective="capacity",
    task=(
        "Write `rank_for_budget(budget, layers, hidden, heads, kv_heads, mlp)`: the largest rank "
        "whose adapter on **all seven** linear maps of every layer trains at most `budget` "
        "parameters; 0 if even rank 1 is too much. Query and output map hidden → hidden; key and "
        "value hidden → kv_heads × (hidden // heads); gate and up hidden → mlp; down mlp → hidden."
    ),
    answer="rank_for_budget",
    hints=(
        "An adapter of rank r on a d_in → d_out map costs r × (d_in + d_out): one more rank costs "
        "d_in + d_out.",
        "Add that up over query, key, value, output, gate, up and down, times the layers.",
        "At most the budget: divide and round down.",
    ),
    check=FunctionCheck(
        cases=_budget_cases,
        reference=_budget,
        relative_tolerance=1e-6,
        misconceptions=(
            Misconception(
                "one-layer",
                "You spend the budget on one layer; every layer has its own adapters.",
                wrong=lambda budget, layers, *rest: _budget(budget, 1, *rest),
            ),
            Misconception(
                "square-key-value",
                "You took key and value for hidden → hidden. Several query heads share one key "
                "and one value head: they are narrower.",
                wrong=_misspent(width=lambda hidden, heads, kv: hidden),
            ),
            Misconception(
                "kv-heads-as-width",
                "kv_heads is a number of heads; each of them is hidden // heads wide.",
                wrong=_misspent(width=lambda hidden, heads, kv: kv),
            ),
            Misconception(
                "attention-only",
                "The MLP's three maps are missing: gate, up and down get adapters too.",
                wrong=_misspent(parts="qkvo"),
            ),
            Misconception(
                "only-q-and-v",
                "That is query and value alone; all seven maps were asked for.",
                wrong=_misspent(parts="qv"),
            ),
            Misconception(
                "gate-forgotten",
                "The MLP has three maps, not two: gate and up both read the hidden state.",
                wrong=_misspent(parts="qkvoud"),
            ),
            Misconception(
                "only-lora-a",
                "You count lora_A only; lora_B costs d_out more for each rank.",
                wrong=_misspent(cost=lambda d_in, d_out: d_in),
            ),
            Misconception(
                "full-matrices",
                "You count the frozen maps (d_in × d_out); a rank costs d_in + d_out.",
                wrong=_misspent(cost=lambda d_in, d_out: d_in * d_out),
            ),
            Misconception(
                "rounded-up",
                "Rounded up, the adapter is over the budget.",
                wrong=_misspent(rounded=math.ceil),
            ),
            Misconception(
                "rounded-to-nearest",
                "Rounded to the nearest rank, the adapter is sometimes over the budget.",
                wrong=_misspent(rounded=round),
            ),
        ),
    ),
    praise="Layers, grouped heads and all seven maps counted, and never over the budget.",
)

# --- every knob at once ---------------------------------------------------------------------------

RANK, SCALING, DROPOUT = 16, 2.0, 0.05
_TARGETS = {"q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"}
_LAYERS = 3


def biased_model() -> Any:
    """Return a tiny random Qwen2: 3 layers, hidden size 64, biases on query, key and value.

    The same weights every time; the caller's random state is left alone.
    """
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    config = Qwen2Config(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config)


def _turned(value: Any) -> dict[str, Any]:
    """Return what a configuration does to the biased model."""
    return lora_effect(value, biased_model, (_in_percent, _kept))


def _field(name: str, default: Any = None) -> Callable[[Any], Any]:
    return lambda seen: seen["fields"].get(name, default)


_alpha, _dropout = _field("lora_alpha", 8), _field("lora_dropout", 0.0)
_rslora = _field("use_rslora")


def _in_percent(seen: Any) -> bool:
    return _dropout(seen) >= 1


def _kept(seen: Any) -> bool:
    return math.isclose(_dropout(seen), 1 - DROPOUT)


def _is(field: str, wanted: Any) -> Callable[[Any], bool]:
    return lambda seen: seen[field] == wanted


_CONFIG = Exercise(
    id="03.every-knob",
    title="Set every knob",
    objective="configure",
    task=(
        "`material('03.every-knob')` is a small Qwen2: its query, key and value maps have biases. "
        f"Set `config` to a `LoraConfig` for causal language modelling with rank {RANK} on "
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
        observe=_turned,
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
                when=_in_percent,
            ),
            Misconception(
                "dropout-kept",
                "lora_dropout is the share that is dropped, not the share that is kept.",
                when=_kept,
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
    praise="Every knob stands where it was asked for, biases included.",
    material=biased_model,
)

# --- evidence -------------------------------------------------------------------------------------


def _clearly(a: list[float], b: list[float]) -> bool:
    return len(a) >= 2 and len(b) >= 2 and max(a) < min(b)


def _clearly_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [
        ([0.50, 0.52, 0.51], [0.60, 0.58, 0.61]),  # apart
        ([0.50, 0.52, 0.59], [0.60, 0.58, 0.61]),  # they overlap, though means and pairs agree
        ([0.60, 0.58, 0.61], [0.50, 0.52, 0.51]),  # apart the other way round
        ([0.20], [0.90, 0.95, 0.99]),  # one run is no spread
        ([0.20, 0.21], [0.90]),
        ([0.20], [0.90]),
        ([0.30, 0.40], [0.40, 0.50]),  # they touch
        ([0.30, 0.80], [0.40, 0.50, 0.60]),  # b within a
        ([0.45, 0.46], [0.30, 0.90]),  # a within b
        ([0.70, 0.40], [0.60, 0.50]),  # a's best run is the best of all
        ([0.30, 0.31, 0.70], [0.50, 0.60, 0.65]),  # one unlucky run among good ones
    ]
    for _ in range(24):
        centre = generator.uniform(0.2, 1.0)
        gap = generator.choice((-0.2, 0.0, 0.04, 0.08, 0.2))
        draw = [generator.gauss(0, 0.03) for _ in range(6)]
        count = generator.choice((2, 3, 3))
        a = [round(centre + each, 3) for each in draw[:count]]
        b = [round(centre + gap + each, 3) for each in draw[3:]]
        cases.append((a, b))
    return cases


def _says(rule: Callable[[list[float], list[float]], bool]) -> Callable[[Any], bool]:
    """Return a test for results that are this rule's wherever both sides have two runs or more."""

    def matches(results: Any) -> bool:
        cases = _clearly_cases(random.Random(SEED))
        return all(
            result is rule(a, b)
            for (a, b), result in zip(cases, results, strict=True)
            if min(len(a), len(b)) >= 2
        )

    return matches


_CLEARLY = Exercise(
    id="03.clearly-better",
    title="Better by more than luck",
    objective="evidence",
    task=(
        "Write `clearly_better(losses_a, losses_b)`. Each list holds the held-out loss of one "
        "point of a sweep, one number a seed; lower is better. Return `True` if **every** run of "
        "a is below **every** run of b. With fewer than two runs on either side there is no "
        "spread to judge by: return `False`."
    ),
    answer="clearly_better",
    hints=(
        "Two lists do not overlap when the worst of one is better than the best of the other.",
        "The worst run of a has its highest loss, the best run of b its lowest.",
        "Then look at the lengths: max and min of one number tell nothing of a spread.",
    ),
    check=FunctionCheck(
        cases=_clearly_cases,
        reference=_clearly,
        misconceptions=(
            Misconception(
                "compares-means",
                "You compare the means. Two means differ almost always; what matters is whether "
                "the difference is larger than what another seed does.",
                when=_says(lambda a, b: sum(a) / len(a) < sum(b) / len(b)),
            ),
            Misconception(
                "best-seed",
                "You compare the best run of each: that rewards the luckiest seed.",
                when=_says(lambda a, b: min(a) < min(b)),
            ),
            Misconception(
                "first-seed",
                "You look at the first run of each and leave the others out.",
                when=_says(lambda a, b: a[0] < b[0]),
            ),
            Misconception(
                "seed-by-seed",
                "You compare run by run. Equal seeds do not make two points' runs alike; asked "
                "for is every run of a against every run of b.",
                when=_says(lambda a, b: all(map(operator.lt, a, b))),
            ),
            Misconception(
                "higher-is-better",
                "The other way round: these are losses, and the lower one is better.",
                when=_says(lambda a, b: min(a) > max(b)),
            ),
            Misconception(
                "one-run-is-enough",
                "With one run on a side you cannot know how much another seed would change.",
                wrong=lambda a, b: max(a) < min(b),
            ),
            Misconception(
                "touching-counts",
                "Where the worst run of a equals the best run of b, they are not apart.",
                when=_says(lambda a, b: max(a) <= min(b)),
            ),
        ),
    ),
    praise="A difference counts only when no seed contradicts it.",
)

EXERCISES = [_SCALING, _BUDGET, _CONFIG, _CLEARLY]

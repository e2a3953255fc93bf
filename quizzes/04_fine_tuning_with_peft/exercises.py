"""Lesson 04: configure LoRA for an unknown model, count what trains, repair a set-up."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import (
    Exercise,
    FunctionCheck,
    Misconception,
    Property,
    ValueCheck,
)
from labs_lib.assessment.exercises.configuration import lora_effect, nothing_else
from labs_lib.assessment.exercises.reading import number_of

from .set_up import LAYERS, layers_adapted, near, probe_set_up

RANK = 8
SCALING = 2.0
_ATTENTION = ("query_key_value", "dense")
# (d_in, d_out) of the two attention matrices and how many layers hold them.
_SHAPES = ((48, 144), (48, 48))
_LAYERS = 5
# Dropout was not asked for, and does no harm: it is off outside training.
_MOST_DROPOUT = 0.5
_COUNT = _LAYERS * sum(RANK * (d_in + d_out) for d_in, d_out in _SHAPES)


def unseen_model() -> Any:
    """Return a tiny random causal language model of an architecture the course does not use.

    5 layers, hidden size 48; built from its configuration, the same weights every time, and the
    caller's random state is left alone.
    """
    import torch
    from transformers import AutoModelForCausalLM, GPTNeoXConfig

    config = GPTNeoXConfig(
        vocab_size=128,
        hidden_size=48,
        num_hidden_layers=_LAYERS,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config)


def _wrapped(value: Any) -> dict[str, Any]:
    """Return what a configuration does to the unseen model."""
    return lora_effect(value, unseen_model, (_llama_names, _gpt2_names))


def _names(seen: Any) -> set[str]:
    """Return the target names, whether PEFT could use them or not."""
    targets = seen["fields"].get("target_modules") or []
    return {targets} if isinstance(targets, str) else {str(name) for name in targets}


def _llama_names(seen: Any) -> bool:
    return bool(_names(seen) & {"q_proj", "k_proj", "v_proj", "o_proj", "out_proj"})


def _gpt2_names(seen: Any) -> bool:
    return bool(_names(seen) & {"c_attn", "c_proj"})


def _seen(field: str, wanted: Any) -> Any:
    return lambda observed: observed[field] == wanted


_CONFIG = Exercise(
    id="04.lora-config",
    title="Configure LoRA for a model you have never seen",
    objective="configure",
    task=(
        "`model = material('04.lora-config')` is a small model of an architecture new to you. "
        "Print it and read its module names. Then set `config` to a `LoraConfig` for causal "
        f"language modelling that adapts **every matrix of the attention blocks and nothing "
        f"else**, with rank {RANK} and an effective scaling of {SCALING:g}."
    ),
    answer="config",
    hints=(
        "Look inside `attention`: it holds two Linear layers. `target_modules` takes the last "
        "part of their names.",
        "A name is matched whole, so `dense` does not catch `dense_h_to_4h`.",
        "The scaling that PEFT applies is lora_alpha / r.",
    ),
    check=ValueCheck(
        observe=_wrapped,
        properties=(
            nothing_else(),
            Property(
                lambda seen: seen["adapted"] == sorted(_ATTENTION) and seen["count"] == 2 * _LAYERS,
                "The adapted modules are not exactly those of the attention blocks, in all "
                "layers; compare your target_modules with print(model).",
            ),
            Property(_seen("ranks", [RANK]), f"The rank should be {RANK} everywhere: r={RANK}."),
            Property(
                _seen("scalings", [SCALING]),
                f"The adapter's update is not scaled by {SCALING:g}; what does PEFT divide "
                "lora_alpha by?",
            ),
            Property(
                lambda seen: 0 <= seen["fields"].get("lora_dropout", 0) <= _MOST_DROPOUT,
                f"A dropout above {_MOST_DROPOUT:.0%} leaves little of the adapter; none was "
                "asked for.",
            ),
            Property(
                _seen("beside", []),
                "Something beside the adapter's matrices would be trained; look at bias and "
                "modules_to_save.",
            ),
            Property(
                _seen("causal", True),
                'The model is wrapped without its task; set task_type="CAUSAL_LM".',
            ),
        ),
        misconceptions=(
            Misconception(
                "llama-names",
                "q_proj, v_proj and their kin are Llama's names. This model keeps query, key and "
                "value in one matrix under another name: print(model) shows it.",
                when=_llama_names,
            ),
            Misconception(
                "gpt2-names",
                "c_attn and c_proj are GPT-2's names; print(model) shows this model's own.",
                when=_gpt2_names,
            ),
            Misconception(
                "no-targets",
                "Without target_modules PEFT falls back on its own list for a known "
                "architecture, which adapts less than every attention matrix: name them.",
                when=lambda seen: not _names(seen),
            ),
            Misconception(
                "all-linear",
                "That adapts the MLP too (dense_h_to_4h, dense_4h_to_h); only the attention "
                "blocks were asked for.",
                when=lambda seen: bool(
                    set(seen["adapted"])
                    & {"dense_h_to_4h", "dense_4h_to_h", "lm_head", "embed_out"}
                ),
            ),
            Misconception(
                "forgot-output-projection",
                "The attention block has a second matrix: its output projection, dense.",
                when=_seen("adapted", ["query_key_value"]),
            ),
            Misconception(
                "forgot-query-key-value",
                "Only the output projection is adapted; query, key and value are in "
                "query_key_value.",
                when=_seen("adapted", ["dense"]),
            ),
            Misconception(
                "alpha-is-scaling",
                "You set lora_alpha to the scaling itself. What is applied is lora_alpha / r, "
                "so here it is a quarter of 1.",
                when=lambda seen: (
                    seen["ranks"] == [RANK] and seen["scalings"] == [round(SCALING / RANK, 6)]
                ),
            ),
            Misconception(
                "default-alpha",
                "The scaling is 1: lora_alpha equals r (8 is also PEFT's default for both). "
                "For a scaling of 2, lora_alpha must be twice r.",
                when=_seen("scalings", [1.0]),
            ),
            Misconception(
                "trains-bias",
                "With this bias setting the base model's bias terms are trained too; "
                'bias="none" leaves them frozen.',
                when=lambda seen: "bias" in seen["fields"],
            ),
            Misconception(
                "inference-mode",
                "inference_mode=True freezes the adapter as well: nothing would be trained.",
                when=lambda seen: bool(seen["fields"].get("inference_mode")),
            ),
            Misconception(
                "trains-more",
                "Something beside the adapter's matrices would be trained or changed: leave out "
                "modules_to_save, trainable_token_indices and lora_bias.",
                when=lambda seen: bool(
                    seen["fields"].keys()
                    & {"modules_to_save", "trainable_token_indices", "lora_bias"}
                ),
            ),
        ),
    ),
    praise="Those are the attention matrices, all of them and nothing else, scaled by 2.",
    material=unseen_model,
)


def _is_number(wanted: float) -> Any:
    return lambda value: abs(value - wanted) < 0.01


_COUNT_BY_HAND = Exercise(
    id="04.count-by-hand",
    title="Count its trainable parameters by hand",
    objective="count",
    task=(
        "Without running PEFT: how many parameters does your configuration train on that model? "
        "Read the shapes off `print(model)` and set `trainable` to the number (a formula is fine)."
    ),
    answer="trainable",
    hints=(
        "An adapter on a d_in → d_out matrix has lora_A (r, d_in) and lora_B (d_out, r).",
        "So r × (d_in + d_out) for each adapted matrix; there are two in a layer.",
        "query_key_value goes from 48 to 144, dense from 48 to 48; `(0-4): 5 x` says how many "
        "layers there are.",
    ),
    check=ValueCheck(
        observe=number_of("trainable"),
        properties=(
            Property(
                _is_number(_COUNT),
                "Not the number: add r × (d_in + d_out) over both attention matrices of every "
                "layer.",
            ),
        ),
        misconceptions=(
            Misconception(
                "one-layer",
                "That is one layer's worth; the model has 5.",
                when=_is_number(_COUNT / _LAYERS),
            ),
            Misconception(
                "full-matrices",
                "You counted the matrices themselves (d_in × d_out). They stay frozen; only "
                "lora_A and lora_B train: r × (d_in + d_out).",
                when=lambda value: any(
                    _is_number(factor * sum(a * b for a, b in _SHAPES))(value)
                    for factor in (1, _LAYERS)
                ),
            ),
            Misconception(
                "only-lora-a",
                "You counted lora_A only; lora_B, (d_out, r), trains as well.",
                when=_is_number(_LAYERS * RANK * sum(d_in for d_in, _ in _SHAPES)),
            ),
            Misconception(
                # Three roads lead to this one number.
                "left-something-out",
                "Something is missing: either lora_A, or dense (the output projection), or you "
                "took query_key_value for square; it holds query, key and value, 48 to 144.",
                when=_is_number(_LAYERS * RANK * (48 + 144)),
            ),
            Misconception(
                "product-of-factors",
                "d_in × r × d_out multiplies the factors' sizes; the parameters of two matrices "
                "add up: r × d_in + d_out × r.",
                when=lambda value: any(
                    _is_number(factor * RANK * sum(a * b for a, b in _SHAPES))(value)
                    for factor in (1, _LAYERS)
                ),
            ),
        ),
    ),
    praise="11,520, and print_trainable_parameters() will say the same.",
)


def _count_cases(generator: random.Random) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [(1, [(2, 3)]), (8, []), (4, [(5, 5), (5, 5)])]
    for _ in range(20):
        shapes = [
            (generator.randint(1, 5000), generator.randint(1, 5000))
            for _ in range(generator.randint(1, 12))
        ]
        cases.append((generator.randint(1, 256), shapes))
    return cases


_COUNT_FUNCTION = Exercise(
    id="04.count-function",
    title="A function that counts LoRA's parameters",
    objective="count",
    task=(
        "Write `count_lora(rank, shapes)`: how many parameters LoRA of this rank trains on "
        "matrices of these shapes, a list of `(d_in, d_out)` pairs."
    ),
    answer="count_lora",
    hints=(
        "Each pair costs lora_A of shape (rank, d_in) and lora_B of shape (d_out, rank).",
        "Sum rank * (d_in + d_out) over the pairs; an empty list gives 0.",
    ),
    check=FunctionCheck(
        cases=_count_cases,
        reference=lambda rank, shapes: sum(rank * (a + b) for a, b in shapes),
        relative_tolerance=1e-6,
        misconceptions=(
            Misconception(
                "full-matrices",
                "You count the frozen matrices (d_in × d_out); LoRA trains rank × (d_in + d_out).",
                wrong=lambda rank, shapes: sum(a * b for a, b in shapes),
            ),
            Misconception(
                "product-of-factors",
                "rank × d_in × d_out multiplies the two factors' sizes; two matrices' "
                "parameters add up.",
                wrong=lambda rank, shapes: sum(rank * a * b for a, b in shapes),
            ),
            Misconception(
                "only-lora-a",
                "You count lora_A only; lora_B has d_out × rank more.",
                wrong=lambda rank, shapes: sum(rank * a for a, _ in shapes),
            ),
            Misconception(
                "only-lora-b",
                "You count lora_B only; lora_A has rank × d_in more.",
                wrong=lambda rank, shapes: sum(rank * b for _, b in shapes),
            ),
            Misconception(
                "first-shape-only",
                "Your function stops at the first shape; is the return inside the loop?",
                wrong=lambda rank, shapes: rank * sum(shapes[0]) if shapes else None,
            ),
            Misconception(
                "last-shape-only",
                "Only the last shape counts; add to the total with += in the loop.",
                wrong=lambda rank, shapes: rank * sum(shapes[-1]) if shapes else 0,
            ),
        ),
    ),
    praise="That counts lora_A and lora_B of every adapted matrix.",
)


def _all(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda results: all(test(result) for result in results)


def _adapter_trains(result: Any) -> bool:
    return bool(set(result["trained"]) & set(result["adapter"]))


def _whole_adapter_trains(result: Any) -> bool:
    return set(result["adapter"]) <= set(result["trained"])


def _base_trains(result: Any) -> bool:
    return bool(set(result["trained"]) - set(result["adapter"]))


def _acts(result: Any) -> bool:
    return not near(result["moved_logits"], result["start_logits"], 1e-6)


def _labels_are(make: Callable[[list[int], int], list[int]]) -> Callable[[Any], bool]:
    """Return a test: every observed label row equals make(ids, prompt_length)."""
    return _all(
        lambda result: all(
            row["made"] == make(row["ids"], row["prompt"]) for row in result["labels"]
        )
    )


def _masked(ids: list[int], prompt: int) -> list[int]:
    return [-100] * prompt + ids[prompt:]


def _whole_labels(result: Any) -> bool:
    return all(type(label) is int for row in result["labels"] for label in row["made"])


def _input_changed(result: Any) -> bool:
    return any(row["ids"] != row["ids_after"] for row in result["labels"])


_REPAIR = Exercise(
    id="04.repair-set-up",
    title="Repair a training set-up",
    objective="workflow",
    task=(
        "This set-up runs without an error, and teaches the model nothing worth having: it has "
        "**three** faults. `set_up(base)` should return a model whose adapter is trained and "
        "takes part in the output, a learning rate that suits LoRA, and a function that gives "
        "the labels for completion-only loss (`prompt_length` is how many tokens the prompt has)."
    ),
    answer="set_up",
    hints=(
        "Look at model.print_trainable_parameters(): which argument would make it say 0?",
        "The loss ignores labels of -100. Which positions should it ignore?",
        "TRL's and Trainer's default learning rates suit full fine-tuning; LoRA wants roughly "
        "ten times more, or beyond.",
    ),
    check=FunctionCheck(
        cases=lambda generator: [(generator.randint(0, 10_000),) for _ in range(2)],
        probe=probe_set_up,
        seconds=20.0,
        properties=(
            Property(
                lambda results: not any("malformed" in result for result in results),
                "set_up should return a dictionary with model, learning_rate and labels.",
            ),
            Property(
                _all(lambda result: result["adapter"]),
                "The model that you return has no adapter.",
            ),
            Property(
                _all(_whole_adapter_trains),
                "The adapter's parameters are frozen; nothing would train.",
            ),
            Property(
                _all(lambda result: not _base_trains(result)),
                "Base weights would be trained too; freeze them.",
            ),
            Property(
                _all(lambda result: len(layers_adapted(result)) == LAYERS),
                "Only some of the layers have an adapter; the set-up gave one to each of them.",
            ),
            Property(
                _all(lambda result: near(result["start_logits"], result["base_logits"], 0.05)),
                "Before its first step the model already answers differently from the base: "
                "leave the base's weights alone, and lora_B zero at the start.",
            ),
            Property(_all(_acts), "The adapter does not take part in the output."),
            Property(
                _all(lambda result: all(size > 0 for size in result["gradients"].values())),
                "A part of the adapter gets no gradient, so it would not learn: is some layer "
                "switched off, or its dropout near 1?",
            ),
            Property(
                _all(_whole_labels),
                "labels() should return whole numbers, as input_ids are: one for each token.",
            ),
            Property(
                _labels_are(_masked),
                "The labels are not those of completion-only loss: the first prompt_length "
                "should be -100 and the others the token ids.",
            ),
            Property(
                _all(lambda result: not _input_changed(result)),
                "labels() changes input_ids itself, so the model would read -100 as a token; "
                "work on a copy.",
            ),
            Property(
                _all(lambda result: 1e-4 <= result["learning_rate"] <= 5e-3),
                "That learning rate does not suit LoRA; the usual range is 1e-4 to 2e-3.",
            ),
        ),
        misconceptions=(
            Misconception(
                "inference-mode",
                "The adapter is there but frozen: inference_mode=True (as disable_adapter_layers() "
                "does) is for using a model, not for training it.",
                when=_all(lambda result: result["adapter"] and not _adapter_trains(result)),
            ),
            Misconception(
                "not-wrapped",
                "The model that you return is the base model itself; return what get_peft_model "
                "gives you.",
                when=_all(lambda result: not result["adapter"]),
            ),
            Misconception(
                "half-an-adapter",
                "Only a part of the adapter trains. Its update is the product of lora_A and "
                "lora_B: both should, in every adapted layer.",
                when=_all(lambda result: not _whole_adapter_trains(result)),
            ),
            Misconception(
                "adapter-disabled",
                "The adapter trains but is switched off: the output is the base model's. Take "
                "out what disables the adapter layers.",
                when=_all(lambda result: not _acts(result)),
            ),
            Misconception(
                "trains-everything",
                "Base weights have gradients too, so this is full fine-tuning with an adapter "
                "on top. get_peft_model freezes them: do not undo it.",
                when=_all(_base_trains),
            ),
            Misconception(
                "labels-not-masked",
                "The prompt's tokens are still labels, so the model learns to write questions. "
                "Set the first prompt_length labels to -100.",
                when=_labels_are(lambda ids, prompt: ids),
            ),
            Misconception(
                "masked-the-completion",
                "You masked the completion and kept the prompt: the other way round.",
                when=_labels_are(lambda ids, prompt: ids[:prompt] + [-100] * (len(ids) - prompt)),
            ),
            Misconception(
                "masked-with-zero",
                "0 is a token like any other; the loss skips -100 only.",
                when=_labels_are(lambda ids, prompt: [0] * prompt + ids[prompt:]),
            ),
            Misconception(
                "shifted-labels",
                "You shifted the labels by one. The model does that itself: labels stand at "
                "the positions of their own tokens.",
                when=lambda results: any(
                    _labels_are(shifted)(results)
                    for shifted in (
                        lambda ids, prompt: [*_masked(ids, prompt)[1:], -100],
                        lambda ids, prompt: [-100] * (prompt - 1) + ids[max(prompt - 1, 0) :],
                    )
                ),
            ),
            Misconception(
                "input-changed",
                "labels() writes into input_ids itself, so the model would read -100 as a "
                "token. Work on a copy: input_ids.clone().",
                when=_all(_input_changed),
            ),
            Misconception(
                "full-fine-tuning-rate",
                "2e-5 is a learning rate for full fine-tuning, and TRL's default. With LoRA the "
                "same number of steps barely moves the adapter: try ten to a hundred times more.",
                when=lambda results: all(0 < result["learning_rate"] < 1e-4 for result in results),
            ),
            Misconception(
                "rate-too-high",
                "With so high a learning rate training does not settle; stay at 2e-3 or below.",
                when=lambda results: all(result["learning_rate"] > 5e-3 for result in results),
            ),
        ),
    ),
    praise="Adapter active, prompt masked, a learning rate that suits LoRA: this set-up learns.",
)


EXERCISES = [_CONFIG, _COUNT_BY_HAND, _COUNT_FUNCTION, _REPAIR]

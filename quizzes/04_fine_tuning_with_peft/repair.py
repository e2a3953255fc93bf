"""A training set-up with three faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception, Property
from labs_lib.assessment.exercises.observed import well_formed

from .set_up import LAYERS, layers_adapted, near, probe_set_up


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


REPAIR = Exercise(
    id="04.repair-set-up",
    title="Repair a training set-up",
    objective="workflow",
    task=(
        "This set-up runs without an error, but a model trained with it learns nothing useful: it "
        "has **three** faults. `set_up(base)` should return a model whose adapter is trained and "
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
            well_formed("set_up should return a dictionary with model, learning_rate and labels."),
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
                when=_labels_are(lambda ids, _prompt: ids),
            ),
            Misconception(
                "masked-the-completion",
                "You masked the completion and kept the prompt; it should be the other way round.",
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

"""What the libraries refuse to train, said before they do and in the recipe's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labs_lib.errors import LabError
from labs_lib.step.families import ending_with
from labs_lib.training.recipe import Recipe


def check_trainable(model: Any, recipe: Recipe) -> None:
    """Raise `LabError` where the model's stored form cannot be trained by the recipe's method."""
    if getattr(model.config, "is_decoder", True) is False:
        # BERT and its kin load with a head for the next token, and see that token already.
        raise LabError(
            f"model: {recipe.model} reads both ways (is_decoder is false in its config.json), so "
            "it sees the token that it is to predict; give a model that predicts the next token"
        )
    stored = getattr(model.config, "quantization_config", None)
    if stored is None or recipe.quantizes:
        return
    if recipe.trains_all:
        raise LabError(
            f"method: full: the weights of {recipe.model} are stored quantized "
            "(quantization_config), and such weights cannot be trained; give method: lora or "
            "qlora, or the model in 16 or 32 bits"
        )
    if recipe.adapter and recipe.adapter.needs_weights:
        raise LabError(
            f"method: {recipe.method}: the weights of {recipe.model} are stored quantized "
            f"(quantization_config): {recipe.adapter.needs_weights}; give method: lora or qlora, "
            "or the model in 16 or 32 bits"
        )


def check_targets(model: Any, targets: Sequence[str]) -> None:
    """Raise `LabError` where an adapter would go on the output head.

    The head's product with the vocabulary is taken in parts, past any adapter on it.
    """
    head = model.get_output_embeddings()
    paths = [path for path, module in model.named_modules() if module is head]
    for target in targets:
        if ending_with(target, paths):
            raise LabError(
                f"target_modules: {target!r} is the output head, on which no adapter is trained "
                "here; leave it out, or give 'all-linear', which is every linear map but the head"
            )


@contextmanager
def refused_by_libraries(recipe: Recipe) -> Iterator[None]:
    """Turn PEFT's and TRL's refusals of a model they know nothing of into one line."""
    try:
        yield
    except LabError:
        raise
    except (ValueError, NotImplementedError, TypeError) as error:
        # PEFT prints a module in the middle of its sentence, over many lines.
        reason = " ".join(str(error).split()) or type(error).__name__
        if len(reason) > 300:
            reason = f"{reason[:140]} … {reason[-140:]}"
        raise LabError(
            f"method: {recipe.method} cannot be set up on {recipe.model}: {reason}"
        ) from error

"""Models whose output head is the embedding matrix itself, and adapters on either of the two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def shared_weights(model: Any) -> Iterator[tuple[Any, str]]:
    """Yield each (module, name of its parameter) whose parameter an earlier module holds too."""
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                yield module, name
            seen.add(id(parameter))


def untie(model: Any) -> None:
    """Give each module that shares a parameter one of its own, in place.

    What is merged into one of the two matrices then leaves the other as it was.
    """
    import torch

    for module, name in list(shared_weights(model)):
        own = getattr(module, name).detach().clone()
        setattr(module, name, torch.nn.Parameter(own, requires_grad=False))


def is_tied(model: Any) -> bool:
    """Return whether the head of a plain or wrapped model was loaded as its embedding matrix."""
    return any(getattr(config, "tie_word_embeddings", False) for config in _configs(model.config))


def settle_tying(model: Any, was_tied: bool) -> None:
    """Tie head and embedding again where they are equal; else record that they are two matrices.

    `model` is a plain model after a merge, `was_tied` what `is_tied` said of it before. Loading
    would otherwise put one matrix in the other's place.
    """
    import torch

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or not was_tied:
        return
    same = torch.equal(embedding.weight, head.weight)
    for config in {id(each): each for each in _configs(model.config)}.values():
        config.tie_word_embeddings = same
    if same:
        head.weight = embedding.weight
        return
    for module in model.modules():  # what the class says of its weights, which is no longer so
        if getattr(module, "_tied_weights_keys", None):
            module._tied_weights_keys = {}
        if getattr(module, "all_tied_weights_keys", None):
            module.all_tied_weights_keys = {}


def _configs(config: Any) -> list[Any]:
    nested = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
    return [config, nested]

"""An adapter on disk put on its base model, and only where it belongs there whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, last_line, shorten
from labs_lib.training.adapter.config import (
    CONFIG_FILE,
    PROMPTS,
    base_of,
    peft_config,
    read_config,
)
from labs_lib.training.adapter.norms import keep_precision
from labs_lib.training.adapter.patterns import check_patterns
from labs_lib.training.adapter.tensors import (
    check_added,
    check_all_placed,
    check_finite,
    check_fits,
    weight_shapes,
)


def load_adapter(model: Any, folder: str | Path) -> Any:
    """Return `model` wrapped with the adapter in `folder`, ready to answer.

    Every tensor of the adapter has gone to its place, every place has its tensor, and the wrapped
    model's logits are numbers. Raises `LabError` for a missing or damaged adapter, one that asks
    for what no adapter needs, and one made for another base.
    """
    return load_adapters(model, {"default": folder})


def load_adapters(model: Any, folders: Mapping[str, str | Path]) -> Any:
    """Return `model` wrapped with the adapters in `folders`, by name; the last one is active.

    Each is judged as `load_adapter` judges one. PEFT takes no name with a dot, holds several
    adapters only where they are of one kind, and its `set_adapter` chooses between them.
    """
    base_names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    judged = {name: _judged(model, folder) for name, folder in folders.items()}
    for name, (config, shapes, made) in judged.items():
        model = _wrapped(model, made, config, name)
        keep_precision(model)
        check_added(model, base_names, shapes, name)
        missing, unexpected = _filled(model, folders[name], config, shapes, name)
        check_all_placed(missing, unexpected, shapes)
        if len(folders) > 1:  # the only one is active, and not every kind can be chosen
            model.set_adapter(name, inference_mode=True)
        model.eval()
        _check_answers(model, config)
    return model


def _judged(
    model: Any, folder: str | Path
) -> tuple[dict[str, Any], dict[str, tuple[int, ...]], Any]:
    """Return an adapter's configuration, its tensors' shapes and PEFT's object, all fit for it."""
    config = read_config(folder)
    shapes = weight_shapes(folder)
    made = peft_config(config)
    check_patterns(config, [name for name, _ in model.named_modules()])
    check_fits(model, config, shapes)
    check_finite(folder)
    _check_vocabulary(model, config, shapes)
    return config, shapes, made


def load_with_adapter(adapter: str | Path | None, model: str | None = None) -> tuple[Any, Any]:
    """Load a base model and, if given, the adapter on it; returns (model, tokenizer).

    Without `model`, the base is the one that the adapter names.
    """
    from labs_lib import models

    if adapter is None:
        return models.load(models.BUNDLED_NAME if model is None else model)
    config = read_config(adapter)  # before seconds are spent on the base
    weight_shapes(adapter)
    named = base_of(adapter) if model is None else model
    explained = _as_the_adapters_base if model is None else nullcontext
    with explained():
        models.locate(named)
    peft_config(config)
    with explained():
        base, tokenizer = models.load(named)
    return load_adapter(base, adapter), tokenizer


def other_base(adapter: str | Path, model: str) -> str:
    """Return a remark if `model` is not the base that the adapter names, else an empty string.

    Shapes alone do not tell: an adapter fits any base of the same sizes.
    """
    made_for = read_config(adapter).get("base_model_name_or_path")
    if not made_for or _place(made_for) == _place(model):
        return ""
    return (
        f"the adapter was made for {shorten(made_for)} and is used on {shorten(model)}; with "
        f"other weights than it was trained on, what it learned may be lost"
    )


def _place(name: str) -> str:
    from labs_lib import models

    try:
        source = models.locate(name)
    except LabError:
        return name
    return str(Path(source.location).resolve()) if source.local else source.location.casefold()


@contextmanager
def _as_the_adapters_base() -> Iterator[None]:
    """Say of a model that cannot be loaded that the adapter named it."""
    try:
        yield
    except LabError as error:
        reason = error.reason if error.field == "model" else error
        raise LabError(
            f"its base model cannot be had: {reason}; name another with --model", field="adapter"
        ) from None


def _wrapped(model: Any, made: Any, config: dict[str, Any], name: str) -> Any:
    """Return the model with the adapter's parts in place, still without its weights."""
    from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftModel

    kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(made.task_type, PeftModel)
    try:
        if isinstance(model, PeftModel):
            model.add_adapter(name, made)
            return model
        return kind(model, made, name)
    except Exception as error:  # a stranger's configuration in a library's hands
        raise LabError(
            f"adapter: PEFT cannot build this {config['peft_type']} adapter on the model: "
            f"{last_line(error)}"
        ) from error


def _filled(
    wrapped: Any, folder: str | Path, config: dict[str, Any], given: Iterable[str], name: str
) -> tuple[list[str], list[str]]:
    """Fill in the adapter's weights; return the names of what is missing and what is too much.

    `given` are the names of its tensors.
    """
    from peft import get_peft_model_state_dict

    try:
        # Names that transformers has changed since, as PEFT's own loading maps them.
        renamed = None if config["peft_type"] in PROMPTS else _renamed(wrapped)
        report = wrapped.load_adapter(str(folder), name, is_trainable=False, key_mapping=renamed)
    except KeyError as error:  # PEFT looks for a tensor by its name
        raise LabError(
            f"adapter: {CONFIG_FILE} asks for the tensor {shorten(str(error.args[0]), 120)}, which "
            f"is missing; the adapter is not whole"
        ) from error
    except Exception as error:  # a stranger's tensors in a library's hands
        raise LabError(f"adapter: its tensors do not fit this model: {last_line(error)}") from error
    if config["peft_type"] in PROMPTS:
        # PEFT fills these beside the model, and reports their names as unknown to it.
        own = set(get_peft_model_state_dict(wrapped, adapter_name=name))
        return sorted(own.difference(given)), sorted(set(given) - own)
    return list(report.missing_keys), list(report.unexpected_keys)


def _renamed(wrapped: Any) -> dict[str, str]:
    return getattr(wrapped.get_base_model(), "_checkpoint_conversion_mapping", {})


def _check_vocabulary(
    model: Any, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]
) -> None:
    """Say that the adapter's vocabulary grew, which PEFT would report as a size."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    for name, shape in shapes.items():
        table = name.endswith(("embed_tokens.weight", "lm_head.weight", "wte.weight"))
        if table and len(shape) == 2 and shape[0] != rows and "lora_" not in name:
            raise LabError(
                f"adapter: it was trained with {shape[0]:,} tokens and this model has {rows:,}; "
                f"take the base whose vocabulary was enlarged"
            )
    given = config.get("trainable_token_indices") or config.get("token_indices") or []
    for indices in given.values() if isinstance(given, dict) else [given]:
        for index in indices if isinstance(indices, list) else []:
            if isinstance(index, int) and not 0 <= index < rows:
                raise LabError(
                    f"adapter: it trains token {index}, and this model's tokens are 0 to {rows - 1}"
                )


def _check_answers(wrapped: Any, config: dict[str, Any]) -> None:
    """Raise `LabError` unless the wrapped model reads two tokens and gives numbers."""
    import torch

    from labs_lib.quantization import forbid_repacking_if_loaded

    forbid_repacking_if_loaded()  # of a base that the course did not load
    try:
        with torch.inference_mode():
            ids = torch.tensor([[0, 1]], device=wrapped.device)
            logits = wrapped(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    except Exception as error:  # a stranger's adapter in a library's hands
        raise LabError(
            f"adapter: the model does not run with this {config['peft_type']} adapter: "
            f"{last_line(error)}"
        ) from error
    if not logits.isfinite().all():
        raise LabError("adapter: with it the model's logits are NaN or infinite")

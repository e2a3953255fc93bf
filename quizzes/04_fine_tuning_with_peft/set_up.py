"""What a training set-up would do, observed on a tiny model: for lesson 04's repair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labs_lib.assessment.exercises.observed import malformed
from labs_lib.assessment.exercises.reading import number_of
from labs_lib.assessment.exercises.tiny_models import decoder_config
from labs_lib.assessment.numbers import plain_number

LAYERS = 2
_TOKENS = 12
# (tokens of the row, tokens of its prompt)
_ROWS = ((12, 5), (7, 1), (9, 8), (6, 0))


def probe_set_up(set_up: Any, seed: int) -> dict[str, Any]:
    """Call the student's set-up on a tiny model and observe what training with it would do.

    Returns plain observations, no verdicts: names of parameters, logits before and after, the
    size of each adapter matrix's gradient, labels. Raises WrongFormError for a learning rate that
    is no number.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's advice is not what the student printed
        return _observed(set_up, seed)


def _observed(set_up: Any, seed: int) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(seed)
    config = decoder_config(LlamaConfig, layers=LAYERS, hidden_size=16, heads=2, vocab_size=64)
    base = AutoModelForCausalLM.from_config(config)
    ids = torch.randint(0, 64, (1, _TOKENS))
    base_logits = _logits(base, ids)
    result = set_up(base)
    if not isinstance(result, Mapping) or not {"model", "learning_rate", "labels"} <= set(result):
        return malformed()
    rate = number_of("learning_rate")(result["learning_rate"])
    model = result["model"]
    parameters = dict(model.named_parameters())
    observed = {
        "learning_rate": rate,
        "adapter": [name for name in parameters if "lora_" in name],
        "trained": [name for name, part in parameters.items() if part.requires_grad],
        "labels": [_labeled(result["labels"], *row) for row in _ROWS],
        "base_logits": base_logits,
        "start_logits": _logits(model, ids),
    }
    # lora_B is zero at the start: an active adapter changes the output once it is not.
    with torch.no_grad():
        for name, part in parameters.items():
            if "lora_B" in name:
                part.normal_()
    observed["moved_logits"] = _logits(model, ids)
    observed["gradients"] = _gradients(model, ids)
    return observed


def layers_adapted(observed: Mapping[str, Any]) -> set[str]:
    """Return the numbers of the layers that hold an adapter."""
    after = (name.split(".layers.")[1] for name in observed["adapter"] if ".layers." in name)
    return {rest.split(".")[0] for rest in after}


def near(one: Any, other: Any, share: float) -> bool:
    """Return whether two logits differ by at most this share of their size."""
    return bool((one - other).norm() <= share * other.norm() + 1e-9)


def _logits(model: Any, ids: Any) -> Any:
    import torch

    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits.float()


def _gradients(model: Any, ids: Any) -> dict[str, float]:
    """Return the largest gradient of each trained parameter, one backward pass; 0 for None."""
    model.train()
    model.zero_grad()
    logits = model(input_ids=ids).logits
    if logits.requires_grad:
        logits.float().square().mean().backward()
    return {
        name: 0.0 if part.grad is None else float(part.grad.abs().max())
        for name, part in model.named_parameters()
        if part.requires_grad
    }


def _labeled(labels: Any, length: int, prompt: int) -> dict[str, Any]:
    """Return what the student's labels are for a row of random tokens."""
    import torch

    row = torch.randint(0, 64, (length,))
    ids = row.tolist()
    made = labels(row, prompt)
    made = made.tolist() if hasattr(made, "tolist") else made
    # None stands for what is no whole number, whatever was returned instead of a row of them.
    made = [plain_number(part) for part in made] if isinstance(made, Iterable) else [None]
    return {"ids": ids, "ids_after": row.tolist(), "prompt": prompt, "made": made}

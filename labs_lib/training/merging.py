"""Working a QLoRA adapter into a model, three ways, each held against the model as trained.

Trained was W4 + ΔW: the base as 4 bits restore it, and the adapter beside it. `compare_merges`
measures how far from that each merge ends, in weights, in logits and in answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from labs_lib.errors import LabError
from labs_lib.tables import Table
from labs_lib.training.evaluation import Evaluation, chat_text, evaluate
from labs_lib.training.recipe import Recipe
from labs_lib.training.records import Record
from labs_lib.training.run import Run

if TYPE_CHECKING:
    from labs_lib.data import Row

WAYS = {
    "unmerged": "4-bit base, adapter beside it: as trained",
    "restored": "the 4-bit base restored first, then merged",
    "16-bit": "merged into the base that was never quantized",
    "4-bit": "merged into the 4-bit base, which is quantized again",
}


@dataclass(frozen=True)
class Merged(Record):
    """One way to keep what was trained, measured against the unmerged model.

    `update_kept` is the part of the update that is still there, ⟨W' − W4, ΔW⟩ / ‖ΔW‖² over all
    adapted layers: 1 is all of it, 0 none. `update_error` is ‖W' − (W4 + ΔW)‖ / ‖ΔW‖: 1 means that
    the weights are off by as much as training had moved them. `logit_change` is the root mean
    square change of a logit over the standard deviation of the logits, `same_next` the share of
    positions with the same most likely next token; both over the held-out completions' tokens.
    `loss` is in nats per such token. `same_answers` is the share of answers that are letter for
    letter the unmerged model's; `rates` what the data set's metrics say of them.
    """

    way: str
    dtype: str
    weights_bytes: int
    update_kept: float
    update_error: float
    logit_change: float
    same_next: float
    loss: float
    same_answers: float
    rates: dict[str, float]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Merges(Record):
    """The ways side by side; `update_size` is ‖ΔW‖ / ‖W4‖ over the adapted layers."""

    ways: tuple[Merged, ...]
    update_size: float
    prompts: tuple[str, ...]

    def of(self, way: str) -> Merged:
        """Return one way by its name in `WAYS`."""
        return next(merged for merged in self.ways if merged.way == way)

    def table(self) -> Table:
        """Return a table for people, a row a way."""
        metrics = list(self.ways[0].rates)
        return Table.of(
            (
                "way",
                "stored in",
                "weights (MB)",
                "update kept (%)",
                "weights off (× update)",
                "logits off (%)",
                "loss (nats/token)",
                "same answers (%)",
                *(f"{metric.replace('_', ' ')} (%)" for metric in metrics),
            ),
            [
                (
                    merged.way,
                    merged.dtype,
                    f"{merged.weights_bytes / 1e6:,.0f}",
                    f"{100 * merged.update_kept:.0f}",
                    f"{merged.update_error:.2f}",
                    f"{100 * merged.logit_change:.1f}",
                    f"{merged.loss:.3f}",
                    f"{100 * merged.same_answers:.0f}",
                    *(f"{100 * merged.rates[metric]:.0f}" for metric in metrics),
                )
                for merged in self.ways
            ],
        )


def compare_merges(run: Run, rows: int | None = 12) -> Merges:
    """Merge a QLoRA run's adapter in each of `WAYS` and compare on `rows` held-out rows.

    PEFT does every merge. Raises `LabError` for a run of another method, and as `load_adapter`
    does for an adapter that does not belong to its base.
    """
    from labs_lib import data
    from labs_lib.quiet import quiet_libraries
    from labs_lib.training.probe import load_run

    recipe = run.recipe
    if not recipe.quantizes:
        raise LabError(
            f"merge: run {recipe.name} was trained by {recipe.method}; only qlora has a 4-bit base"
        )
    test = data.load_set(recipe.dataset).test[:rows]
    with quiet_libraries():
        trained, tokenizer = load_run(run)
        sizes = [torch.stack([update.norm(), base.norm()]) for _, base, update in _adapted(trained)]
        update_norm, base_norm = torch.stack(sizes).norm(dim=0).tolist()
        first = _judged(trained, tokenizer, test, recipe)
        ways = [_way("unmerged", trained, (1.0, 0.0), first, first)]
        for way in list(WAYS)[1:]:
            model = _merged(run, way)
            moved = _moved(trained, model)
            ways.append(_way(way, model, moved, _judged(model, tokenizer, test, recipe), first))
    return Merges(tuple(ways), update_norm / base_norm, tuple(row.prompt for row in test))


def _merged(run: Run, way: str) -> Any:
    """Return the run's model without adapter layers, merged in this way."""
    from labs_lib import models
    from labs_lib.quantization import compute_dtype_of
    from labs_lib.training.adapter.loading import load_adapter
    from labs_lib.training.probe import load_run

    if way == "4-bit":
        return load_run(run)[0].merge_and_unload()
    if way == "restored":
        base = load_run(run, tuned=False)[0].dequantize(compute_dtype_of())
    else:
        base = models.load_model(run.recipe.model)
    return load_adapter(base, run.output).merge_and_unload()


@dataclass(frozen=True)
class _Judged:
    """What a model says on the held-out rows: logits (tokens, vocabulary), loss and answers."""

    logits: torch.Tensor
    loss: float
    evaluation: Evaluation


def _judged(model: Any, tokenizer: Any, rows: Sequence[Row], recipe: Recipe) -> _Judged:
    from labs_lib import data
    from labs_lib.training.engine.evaluating import evaluating

    with evaluating(model):
        logits, loss = _logits(model, tokenizer, rows)
        scorers = data.scorers(recipe.dataset)
        return _Judged(logits, loss, evaluate(model, tokenizer, rows, scorers, recipe.eval_tokens))


def _way(
    way: str, model: Any, moved: tuple[float, float], judged: _Judged, first: _Judged
) -> Merged:
    from labs_lib.training.engine.measure import resident_bytes

    answers = judged.evaluation.answers
    same = [one == other for one, other in zip(first.evaluation.answers, answers, strict=True)]
    change = (judged.logits - first.logits).square().mean().sqrt()
    return Merged(
        way=way,
        dtype=_kind(model),
        weights_bytes=resident_bytes(model),
        update_kept=moved[0],
        update_error=moved[1],
        logit_change=(change / first.logits.std()).item(),
        same_next=(judged.logits.argmax(-1) == first.logits.argmax(-1)).float().mean().item(),
        loss=judged.loss,
        same_answers=sum(same) / len(same),
        rates=judged.evaluation.rates(),
        answers=answers,
    )


def _kind(model: Any) -> str:
    weights = [module.weight for _, module in _linears(model)]
    states = [getattr(weight, "quant_state", None) for weight in weights]
    quantized = next((state for state in states if state is not None), None)
    return quantized.quant_type if quantized else str(weights[0].dtype).removeprefix("torch.")


def _linears(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name without PEFT's wrapping, base layer) of each linear layer inside the layers."""
    for name, module in model.named_modules():
        base = getattr(module, "base_layer", None)
        plain = name.removeprefix("base_model.model.")
        if base is not None:
            yield plain, base
        elif isinstance(module, torch.nn.Linear) and not _is_part(plain):
            yield plain, module


def _is_part(name: str) -> bool:
    """Return whether a linear layer is a part of an adapted one, or the output head."""
    return "lora_" in name or name.endswith("base_layer") or name == "lm_head"


def _weight(layer: Any) -> torch.Tensor:
    """Return a layer's weight (d_out, d_in) in fp32, restored where it is quantized."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        return layer.weight.detach().float()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, state).float()


def _adapted(model: Any) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Yield (name, W, ΔW) of each adapted layer, in fp32."""
    for name, module in model.named_modules():
        if hasattr(module, "base_layer"):
            update = module.get_delta_weight("default").detach().float()
            yield name.removeprefix("base_model.model."), _weight(module.base_layer), update


def _moved(trained: Any, model: Any) -> tuple[float, float]:
    """Return (update_kept, update_error) of `model`'s weights; see `Merged`."""
    merged_layers = dict(_linears(model))
    sums = torch.zeros(3, dtype=torch.float64)
    for name, base, update in _adapted(trained):
        moved = _weight(merged_layers[name]) - base
        along, error = (moved * update).sum(), (moved - update).square().sum()
        sums += torch.stack([along, error, update.square().sum()]).double().cpu()
    along, error, size = sums.tolist()
    return along / size, math.sqrt(error / size)


@torch.no_grad()
def _logits(model: Any, tokenizer: Any, rows: Sequence[Row]) -> tuple[torch.Tensor, float]:
    """Return the logits before each token of the rows' completions, and their mean loss."""
    logits, losses = [], []
    for row in rows:
        prompt = tokenizer(chat_text(tokenizer, row.prompt_messages()), add_special_tokens=False)
        answer = tokenizer(row.completion, add_special_tokens=False).input_ids
        ids = torch.tensor([prompt.input_ids + answer], device=model.device)
        start = len(prompt.input_ids) - 1  # the position that predicts the first of them
        row_logits = model(input_ids=ids).logits[0, start:-1].float().cpu()
        logits.append(row_logits)
        mean_loss = torch.nn.functional.cross_entropy(row_logits, torch.tensor(answer))
        losses.append(mean_loss * len(answer))
    together = torch.cat(logits)
    return together, (torch.stack(losses).sum() / len(together)).item()

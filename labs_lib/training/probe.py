"""A run's model, base or tuned, asked what it knows of what the run did not train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labs_lib.files import write_json

if TYPE_CHECKING:
    from labs_lib.training.evaluation import Evaluation
    from labs_lib.training.run import Run

PROBE = "general-knowledge"
PROBE_TOKENS = 24


def ask_probe(run: Run, probe: Sequence[Any], when: str) -> Evaluation:
    """Answer the probe with the run's base model or its tuned one; kept beside the run.

    The evaluation's loss is that on plain text.
    """
    from labs_lib import data
    from labs_lib.quiet import quiet_libraries
    from labs_lib.training.engine.evaluating import evaluating
    from labs_lib.training.evaluation import evaluate
    from labs_lib.training.folder.before import read_before
    from labs_lib.training.text_loss import text_loss

    file = run.folder / f"probe-{when}.json"
    scorers = data.scorers(PROBE)
    evaluation = read_before(file, probe, scorers, with_loss=True)
    if evaluation is not None:
        return evaluation
    with quiet_libraries():
        model, tokenizer = load_run(run, tuned=when == "after")
        with evaluating(model, fold=True):
            loss = text_loss(model, tokenizer, data.general_text())
            evaluation = evaluate(model, tokenizer, probe, scorers, PROBE_TOKENS, loss)
    write_json(file, evaluation.as_dict())
    return evaluation


def load_run(run: Run, tuned: bool = True) -> tuple[Any, Any]:
    """Load a run's model in the precision it was trained in; returns (model, tokenizer)."""
    from labs_lib import models
    from labs_lib.quantization import qlora_config
    from labs_lib.training.adapter.loading import load_adapter

    recipe = run.recipe
    if recipe.trains_all:
        model, tokenizer = models.load(str(run.output) if tuned else recipe.model)
        return model.eval(), tokenizer
    quantization = (
        qlora_config(recipe.quantization, recipe.double_quantization) if recipe.quantizes else None
    )
    model, tokenizer = models.load(recipe.model, quantization=quantization)
    return (load_adapter(model, run.output) if tuned else model.eval()), tokenizer

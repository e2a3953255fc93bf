"""Full fine-tuning resumed where a model's weights are published under other names than it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from test_training_checkpoints import Telling, recipe_of
from test_training_session import output_bytes
from training_inputs import make

from labs_lib.errors import LabError
from labs_lib.training import train
from labs_lib.training.folder.checkpoints import seal
from labs_lib.training.progress import Silent

EXPERTS = [
    ("olmoe", {"num_experts": 4, "num_experts_per_tok": 2}),
    ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
]


@pytest.mark.seconds
@pytest.mark.parametrize(("family", "config"), EXPERTS)
def test_a_full_run_of_experts_resumes_to_the_same_model(
    family: str, config: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    """In memory experts are one tensor, and are published apart."""
    recipe = recipe_of(
        make(tmp_path / "model", tiny_model, family, **config),
        **{"method": "full", "steps": 4, "eval_tokens": 2},
    )
    whole = train(recipe, tmp_path / "whole", progress=Silent())
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", progress=Telling(3))
    resumed = train(recipe, tmp_path / "stopped", resume=True, progress=Silent())
    assert resumed.losses == whole.losses
    assert output_bytes(resumed.folder) == output_bytes(whole.folder)


@pytest.mark.seconds
def test_a_checkpoint_of_a_model_with_other_names_is_not_gone_on_from(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Its weights would stay as the base has them, without a word."""
    recipe = recipe_of(tiny_model, method="full", steps=4, eval_tokens=2)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", progress=Telling(3))
    checkpoint = tmp_path / "run" / "checkpoints" / "checkpoint-2"
    weights = load_file(checkpoint / "model.safetensors")
    weights["other"] = weights.pop("model.norm.weight")
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    seal(checkpoint)
    with pytest.raises(LabError, match=r"2 of its weights do not fit .*first: model\.norm"):
        train(recipe, tmp_path / "run", resume=True, progress=Silent())

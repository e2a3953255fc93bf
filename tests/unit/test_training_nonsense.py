"""A run that diverges, data that cannot be scored, JSON: nonsense is not reported as success."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_inputs import short

from labs_lib.errors import LabError
from labs_lib.files import to_json
from labs_lib.training import Run, SweepResult, compare, run_sweep, train
from labs_lib.training.engine import trainer as trainer_module
from labs_lib.training.progress import Silent


@pytest.fixture
def diverging(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Return what lets runs of a method diverge at their second step, by the loss of `value`."""
    real = trainer_module.MeasuringTrainer.compute_loss

    def diverge(value: str, only_seed: int = 0) -> None:
        def compute(self: Any, model: Any, *arguments: Any, **options: Any) -> Any:
            loss = real(self, model, *arguments, **options)
            at = model.training and self.state.global_step >= 1
            chosen = self._recipe.seed == only_seed and self._recipe.method != "full"
            return loss * float(value) if at and chosen else loss

        monkeypatch.setattr(trainer_module.MeasuringTrainer, "compute_loss", compute)

    return diverge


@pytest.mark.parametrize(
    "value", ["nan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("inf", "-inf"))]
)
def test_a_diverged_run_is_one_line_and_leaves_an_earlier_one(
    value: str, tiny_model: Path, tmp_path: Path, diverging: Any
) -> None:
    earlier = train(short(tiny_model), tmp_path / "run", progress=Silent())
    diverging(value)
    with pytest.raises(LabError, match=r"^learning_rate: 0.01 let the training diverge.* step 2"):
        train(short(tiny_model, rank=2, steps=4), tmp_path / "run", progress=Silent())
    assert Run.load(tmp_path / "run") == earlier


def test_a_base_whose_loss_is_no_number_is_damaged(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    next(iter(tensors.values()))[:] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LabError, match=r"^model: .* before anything is trained"):
        train(short(folder), tmp_path / "run", progress=Silent())


@pytest.mark.slow
def test_one_diverged_arm_does_not_end_a_comparison(
    tiny_model: Path, tmp_path: Path, diverging: Any
) -> None:
    from labs_lib.training import Comparison, comparison_figure

    diverging("nan")
    recipe = short(tiny_model)
    found = compare(recipe, tmp_path, ["lora", "full"], [0, 1], 2, progress=Silent())
    assert [arm.diverged_at_step for arm in found.arms] == [2, None, None, None]
    assert "1 of 2 diverged" in str(found.table())
    assert Comparison.load(tmp_path / "comparison.json") == found
    assert "nan" not in comparison_figure(found)[1]
    assert math.isnan(found.values("lora", "weights_bytes")[0])
    alone = dataclasses.replace(found, arms=found.arms[::2])  # of LoRA's, the one that diverged
    with pytest.raises(LabError, match="did you mean 'weights_bytes'"):
        alone.values("lora", "weigths_bytes")
    with pytest.raises(LabError, match=r"^learning_rate: "):
        compare(recipe, tmp_path / "all", ["lora"], [0], 2, progress=Silent())


@pytest.mark.slow
def test_one_diverged_point_does_not_end_a_sweep(
    tiny_model: Path, tmp_path: Path, diverging: Any
) -> None:
    from labs_lib.training import Sweep

    diverging("inf")
    fields = short(tiny_model).model_dump(exclude={"name", "seed"})
    sweep = Sweep(name="s", recipe=fields, grid={"rank": [1]}, seeds=[0, 1])
    result = run_sweep(sweep, tmp_path / "out.json", progress=Silent())
    assert [point.diverged_at_step for point in result.points] == [2, None]
    assert "1 diverged" in str(result.table())
    assert SweepResult.load(tmp_path / "out.json") == result


def test_a_foreign_file_is_not_written_over(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text('{"mine": 1}')
    with pytest.raises(LabError, match="no comparison of this course"):
        compare(short(tiny_model), tmp_path, ["lora"], progress=Silent())
    assert (tmp_path / "comparison.json").read_text() == '{"mine": 1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_is_json_whatever_the_number(value: float) -> None:
    text = to_json({"a": [value, (value, 1.5)], "b": {"c": value}})
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [None, [None, 1.5]],
        "b": {"c": None},
    }

"""The sweeps that ship with the course: their files, their records, and that a point repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs_lib import training
from labs_lib.cli import main
from labs_lib.training import Sweep, recorded, run_sweep
from labs_lib.training.progress import Silent
from labs_lib.training.sweep import sweeps

FILES = Path(__file__).resolve().parents[2] / "recipes" / "sweeps"


@pytest.mark.parametrize("name", sweeps(FILES))
def test_a_shipped_sweep_is_legal_and_bears_its_file_name(name: str) -> None:
    assert Sweep.from_yaml(FILES / f"{name}.yaml").name == name


@pytest.mark.parametrize("name", sweeps(FILES))
def test_a_shipped_sweep_is_recorded_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    sweep, result = Sweep.from_yaml(FILES / f"{name}.yaml"), recorded(name)
    assert result.sweep == sweep
    wanted = [(changes, seed) for changes in sweep.combinations() for seed in sweep.seeds]
    assert [(point.changes, point.seed) for point in result.points] == wanted
    for point in result.points:
        assert len(point.answers) == len(result.prompts) == sweep.recipe["eval_rows"]
        assert point.loss is not None
        assert 0 < point.loss < 20
    with pytest.raises(SystemExit) as stop:
        main(["sweep", name, "--recorded"])
    assert not stop.value.code
    assert result.provenance() in capsys.readouterr().out


def test_nothing_is_recorded_that_has_no_file() -> None:
    folder = Path(training.__path__[0]) / "recorded"
    others = ("compare-", "bench-")  # comparisons, and benches of methods
    names = {path.stem for path in folder.glob("*.json") if not path.stem.startswith(others)}
    assert names <= set(sweeps(FILES))


@pytest.mark.slow
def test_a_recorded_point_comes_out_again_within_its_spread(tmp_path: Path) -> None:
    """The range over seeds, a tenth wider at both ends: threads and processors round otherwise."""
    known = recorded("rank-alpha")
    point = {"rank": 8, "alpha": 16}
    (spread,) = [s for s in known.spread("loss") if s.changes == point]
    recipe = known.sweep.recipe | {"precision": known.hardware["precision"]}
    one_seed = known.sweep.model_copy(update={"seeds": [0], "recipe": recipe})
    result = run_sweep(one_seed, tmp_path / "again.json", [point], Silent())
    loss = result.points[0].value("loss")
    assert 0.9 * spread.low <= loss <= 1.1 * spread.high
    assert known.loss_before == pytest.approx(result.loss_before, rel=0.01)
    assert known.rates_before == result.rates_before
    assert result.points[0].rates["in_voice"] > result.rates_before["in_voice"]

"""Sweeps: what may vary, going on where one stopped, what is kept, the command."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labs_lib.cli import main
from labs_lib.errors import LabError
from labs_lib.training import (
    Recipe,
    Spread,
    Sweep,
    SweepResult,
    draw_lines,
    recorded,
    run_sweep,
    session,
    sweeping,
)
from labs_lib.training.evaluation import Evaluation
from labs_lib.training.progress import Silent

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "recipes" / "sweeps"
RECIPE = {"dataset": "sea-captain", "steps": 2, "batch_size": 2, "eval_rows": 2, "eval_tokens": 4}


def a_sweep(**changes: Any) -> Sweep:
    fields = {
        "name": "small",
        "recipe": RECIPE,
        "grid": {"rank": [1, 4], "alpha": [8, 16]},
        "seeds": [0, 1],
    }
    return Sweep(**{**fields, **changes})


class FakeTraining:
    """Stands in for `train`: notes the recipes, gives figures that follow from them."""

    def __init__(self, stop_after: int = 1000):
        self.recipes: list[Recipe] = []
        self.before: list[Evaluation | None] = []
        self.stop_after = stop_after

    def __call__(self, recipe: Recipe, _folder: Path, before: Any, **_: Any) -> Any:
        if len(self.recipes) == self.stop_after:
            raise KeyboardInterrupt
        self.recipes.append(recipe)
        self.before.append(before)
        marks = {"in_voice": (recipe.rank > 1, True)}
        loss = recipe.alpha / recipe.rank + recipe.seed
        prompts = ("Where?", "When?")
        return SimpleNamespace(
            recipe=recipe,
            before=Evaluation(prompts, ("a", "b"), {"in_voice": (False, False)}, 4.0),
            after=Evaluation(prompts, (f"r{recipe.rank}", "now"), marks, loss),
            losses=(5.0, 4.0, 3.0, 2.0, 1.0),
            trainable_parameters=100 * recipe.rank,
            cost=SimpleNamespace(seconds_per_step=0.5, peak_bytes=10),
            hardware={"precision": "fp32"},
        )


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    """Return the trainer that takes `train`'s place."""
    fake = FakeTraining()
    monkeypatch.setattr(session, "train", fake)
    return fake


def test_the_result_is_what_the_file_holds_whatever_the_clock_says(
    trained: FakeTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()

    class EachTimeLater(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=tz) + timedelta(seconds=next(seconds))

    monkeypatch.setattr(sweeping, "datetime", EachTimeLater)
    result = run_sweep(a_sweep(), tmp_path / "out.json", progress=Silent())
    assert SweepResult.load(tmp_path / "out.json") == result


def test_a_sweep_trains_every_point_with_every_seed(trained: FakeTraining, tmp_path: Path) -> None:
    result = run_sweep(a_sweep(), tmp_path / "out.json", progress=Silent())
    assert [(r.rank, r.alpha, r.seed) for r in trained.recipes] == [
        (rank, alpha, seed) for rank in (1, 4) for alpha in (8, 16) for seed in (0, 1)
    ]
    assert SweepResult.load(tmp_path / "out.json") == result
    spread = {(s.changes["rank"], s.changes["alpha"]): s for s in result.spread("loss")}
    assert (spread[4, 8].mean, spread[4, 8].low, spread[4, 8].high) == (2.5, 2, 3)
    assert {p.rates["in_voice"] for p in result.at(rank=1)} == {0.5}
    assert [p.answers[0] for p in result.at(rank=4, alpha=16, steps=2)] == ["r4", "r4"]
    assert [p.seed for p in result.at(rank=4, alpha=16)] == [0, 1]
    assert [p.loss for p in result.at(rank=4, alpha=16, seed=1)] == [5]
    assert result.points[0].last_training_loss == 2.5
    assert "8 runs on" in result.provenance()


def test_the_base_model_answers_once(trained: FakeTraining, tmp_path: Path) -> None:
    run_sweep(a_sweep(grid={"method": ["lora", "qlora"]}), tmp_path / "out.json", progress=Silent())
    # Plain weights answer once, 4-bit weights once, each before its first run.
    assert [each is None for each in trained.before] == [True, False, True, False]


def test_a_sweep_cut_short_goes_on_where_it_stopped(
    trained: FakeTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, twin = tmp_path / "out.json", tmp_path / "twin.json"
    monkeypatch.setattr(session, "train", FakeTraining(stop_after=3))
    with pytest.raises(KeyboardInterrupt):
        run_sweep(a_sweep(), out, progress=Silent())
    assert len(SweepResult.load(out).points) == 3
    monkeypatch.setattr(session, "train", trained)
    result = run_sweep(a_sweep(), out, progress=Silent())
    assert len(trained.recipes) == 5
    assert result.points == run_sweep(a_sweep(), twin, progress=Silent()).points
    trained.recipes.clear()
    assert run_sweep(a_sweep(), out, progress=Silent()) == result
    assert trained.recipes == []


def test_some_points_and_another_seed_join_what_is_there(
    trained: FakeTraining, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    run_sweep(a_sweep(), out, [{"rank": 4, "alpha": 8}], Silent())
    result = run_sweep(a_sweep(seeds=[1, 7]), out, [{"rank": 4, "alpha": 8}], Silent())
    assert [p.seed for p in result.points] == [0, 1, 7]
    assert [p.seed for p in result.only([{"rank": 4, "alpha": 8}], [7]).points] == [7]
    with pytest.raises(LabError, match="rank 3, alpha 8 is none of its points"):
        run_sweep(a_sweep(), out, [{"rank": 3, "alpha": 8}], Silent())


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("versions", {"torch": "1.0"}, "other library versions"),
        ("data_fingerprint", "0" * 64, "other data"),
        ("sweep", a_sweep(recipe={**RECIPE, "steps": 9}).model_dump(), "another recipe"),
    ],
)
def test_results_of_something_else_are_not_mixed_in(
    key: str, value: Any, expected: str, trained: FakeTraining, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    run_sweep(a_sweep(), out, progress=Silent())
    changed = json.dumps(json.loads(out.read_text(encoding="utf-8")) | {key: value})
    out.write_text(changed, encoding="utf-8")
    trained.recipes.clear()
    with pytest.raises(LabError, match=f"{expected}; give another --out or delete it"):
        run_sweep(a_sweep(), out, progress=Silent())
    assert trained.recipes == []
    assert out.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"points": []}', '{"points": [{"seed": 0}]}'])
def test_a_damaged_file_is_named_in_one_line(
    text: str, trained: FakeTraining, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    out.write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=r"^sweep: out\.json is damaged: [^\n]+$"):
        run_sweep(a_sweep(), out, progress=Silent())
    assert out.read_text(encoding="utf-8") == text


BAD = [
    ("recipe: {steps: 2}\ngrid: {rnak: [1]}", ["rnak", "did you mean 'rank'?"]),
    ("recipe: {stesp: 2}\ngrid: {rank: [1]}", ["stesp", "did you mean 'steps'?"]),
    ("recipe: {steps: 2}\ngrid: {rank: [0]}", ["rank", "0", "greater than or equal to 1"]),
    ("recipe: {steps: 2}\ngird: {rank: [1]}", ["gird", "did you mean 'grid'?"]),
    ("recipe: {steps: 2}", ["give grid or points"]),
    ("recipe: {steps: 2}\ngrid: {seed: [1, 2]}", ["seed cannot vary"]),
    ("recipe: {steps: 2}\npoints: [{dataset: sea-captain}]", ["dataset cannot vary"]),
    ("recipe: {steps: 2}\ngrid: {rank: [1]}\nseeds: []", ["seeds", "at least 1"]),
    ("recipe: {steps: 2}\ngrid: {rank: [1]}\nseeds: [-1]", ["seed", "-1"]),
    ("recipe: {steps: 2}\ngrid: {rank: 8}", ["grid.rank", "8", "list"]),
    ("recipe: {steps: 2}\ngrid: {rank: [1]}\nseeds: [0, 1, 0]", ["seeds: 0 is given twice"]),
    ("recipe: {steps: 2}\ngrid: {rank: [1, 4, 1]}", ["rank 1 is given twice"]),
    ("recipe: {steps: 2}\ngrid: {dropout: [0, 0.0]}", ["dropout 0.0 is given twice"]),
    ("recipe: {steps: 2}\ngrid: {rank: [1]}\npoints: [{rank: 1}]", ["rank 1 is given twice"]),
    ("recipe: {steps: 2, rank: 4}\npoints: [{rank: 4}, {}]", ["the recipe itself is given twice"]),
    ("grid: {rank: [1]}", ["recipe: missing"]),
    ("recipe: {}\ngrid: {rank: [1]}", ["give steps or epochs"]),
    ("- rank", ["expected fields"]),
    ("[", ["cannot read"]),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=[text for text, _ in BAD])
def test_a_bad_sweep_file_is_explained_in_one_line(
    text: str, expected: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text if text[0] in "-[" else f"name: mine\n{text}", encoding="utf-8")
    with pytest.raises(LabError) as error:
        Sweep.from_yaml(path)
    line = str(error.value)
    assert len(line) < 250
    for part in expected:
        assert part in line


def test_a_missing_sweep_file_names_the_nearest() -> None:
    with pytest.raises(LabError, match=r"did you mean 'dropout\.yaml'"):
        Sweep.from_yaml(FILES / "dropuot.yaml")
    with pytest.raises(LabError, match="did you mean 'rank-alpha'"):
        recorded("rank-alhpa")


def test_points_are_picked_by_what_a_person_types() -> None:
    sweep = Sweep.from_yaml(FILES / "targets.yaml")
    assert sweep.matching(target_modules="q_proj+v_proj") == [
        {"target_modules": ["q_proj", "v_proj"]}
    ]
    assert len(Sweep.from_yaml(FILES / "learning-rate.yaml").matching(learning_rate="1e-4")) == 2
    with pytest.raises(LabError, match=r"'q_porj' is not one of .*did you mean 'q_proj"):
        sweep.matching(target_modules="q_porj")
    with pytest.raises(LabError, match="'rank' is not one of target_modules"):
        sweep.matching(rank=8)
    with pytest.raises(LabError, match="no point has rank 8, alpha 128 together"):
        Sweep.from_yaml(FILES / "learning-rate.yaml").matching(rank=8, alpha=128)


def test_a_line_holds_each_points_spread(trained: FakeTraining, tmp_path: Path) -> None:
    result = run_sweep(a_sweep(), tmp_path / "out.json", progress=Silent())
    lines = result.lines("rank", "alpha")
    assert {rank: list(line) for rank, line in lines.items()} == {1: [8, 16], 4: [8, 16]}
    assert lines[4][16] == result.spread_at(rank=4, alpha=16)
    assert (lines[4][16].low, lines[4][16].high) == (4, 5)
    assert result.spread_at("in_voice", rank=4, alpha=8).mean == 1
    with pytest.raises(
        LabError, match="sweep small: 'lpha' is not one of rank, alpha; did you mean"
    ):
        result.lines("rank", "lpha")
    with pytest.raises(LabError, match="several points match: rank 4, alpha 8; rank 4, alpha 16"):
        result.spread_at(rank=4)


def test_one_point_is_clearly_lower_only_where_no_seed_contradicts() -> None:
    low, touching, high = (Spread.over({}, values) for values in ((1, 2), (2, 3), (2.5, 4)))
    assert low.versus(high) == "clearly lower than"
    assert high.versus(low) == "clearly higher than"
    assert low.versus(touching) == touching.versus(high) == "not clearly different from"
    assert "diverged" in Spread.over({}, [], 2).text()


def test_a_repeated_run_is_compared_with_the_recorded_ones() -> None:
    known = Spread.over({}, (0.5, 0.7))
    assert "0.650, inside that range, +8.3% from its mean" in known.repeated_by(0.65)
    assert "outside" in known.repeated_by(0.4)
    with pytest.raises(AssertionError, match="it learned less"):
        known.repeated_by(1.5)


def test_a_picture_of_lines_names_every_mean(trained: FakeTraining, tmp_path: Path) -> None:
    result = run_sweep(a_sweep(), tmp_path / "out.json", progress=Silent())
    lines = {f"rank {rank}": line for rank, line in result.lines("rank", "alpha").items()}
    picture = draw_lines("A finding", "alpha", lines, before=4.0)
    assert "rank 4: 2.50 at 8, 4.50 at 16" in picture.alt
    assert "Before training: 4.00" in picture.alt
    assert picture.png != draw_lines("A finding", "alpha", lines, log=False).png


def test_a_picture_draws_every_line_however_many_there_are() -> None:
    lines = {f"seed {i}": {8.0: Spread.over({}, (i + 1.0,))} for i in range(9)}
    pictures = [
        draw_lines("t", "x", dict(list(lines.items())[:count])).png for count in (5, 6, 8, 9)
    ]
    assert len(set(pictures)) == 4


# --- the command ----------------------------------------------------------------------------------


def labs(*arguments: str) -> int:
    """Run `labs sweep` and return its exit status."""
    with pytest.raises(SystemExit) as stop:
        main(["sweep", *arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    """Return a file of the small sweep."""
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(a_sweep().model_dump()), encoding="utf-8")  # JSON is YAML
    return path


def test_the_command_trains_what_is_picked_and_prints_a_table(
    trained: FakeTraining, sweep_file: Path, labs_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labs(str(sweep_file), "--only", "rank=4,alpha=8", "--seeds", "0,1") == 0
    out = capsys.readouterr().out
    assert "2.500 (2.000–3.000)" in out
    assert "100% (100%–100%)" in out
    assert "before training: held-out loss 4.000, in voice 0%" in out
    assert len(trained.recipes) == 2
    (saved,) = labs_home.rglob("sweeps/small.json")
    assert str(saved) in out
    assert labs(str(sweep_file), "--only", "rank=4", "--seeds", "0,0", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert [(p["changes"], p["seed"]) for p in values["points"]] == [
        ({"rank": 4, "alpha": 8}, 0),
        ({"rank": 4, "alpha": 16}, 0),
    ]
    assert len(trained.recipes) == 3  # one of the two was there


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nothing-such"], ["recorded sweep", "nothing-such"]),
        (["small.ymal.yaml"], ["sweep: no file small.ymal.yaml", "did you mean 'small.yaml'?"]),
        (["FILE", "--only", "rank"], ["--only", "key=value"]),
        (["FILE", "--only", "rnak=8"], ["--only", "did you mean 'rank'?"]),
        (["FILE", "--only", "rank=3"], ["rank", "'3'", "1, 4"]),
        (["FILE", "--only", "dropout=0"], ["'dropout' is not one of rank, alpha"]),
        (["FILE", "--seeds", "0;1"], ["--seeds", "'0;1'", "0,1,2"]),
        (["FILE", "--seeds", ""], ["--seeds", "''"]),
        (["FILE", "--seeds", "-1"], ["--seeds", "'-1'", "0,1,2"]),
        (["FILE", "--seeds", "4294967296"], ["--seeds", "'4294967296'", "0,1,2"]),
        (["FILE", "--seeds", "9" * 5000], ["--seeds", "'999", "0,1,2"]),
        (["FILE", "--out", "."], ["sweep: . is a folder", "such as small.json"]),
        (["rank-alpha", "--recorded", "--seeds", "99"], ["--seeds", "99", "[0, 1, 2]"]),
        (["rank-alpha", "--recorded", "--out", "x.json"], ["--out", "--recorded"]),
    ],
    ids=lambda parts: " ".join(parts)[:60],
)
def test_the_command_explains_bad_input_in_one_line(
    arguments: list[str],
    expected: list[str],
    trained: FakeTraining,
    sweep_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(sweep_file.parent)
    given = [str(sweep_file) if part == "FILE" else part for part in arguments]
    assert labs(*given) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    for part in expected:
        assert part in line
    assert trained.recipes == []
    assert not Path("x.json").exists()

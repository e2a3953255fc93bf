"""The bench of PEFT methods: its search for a rate, its points, what is made of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs_lib import cli, paths
from labs_lib.errors import LabError
from labs_lib.models.catalogue import catalogue
from labs_lib.step.methods import METHODS
from labs_lib.training.bench import running
from labs_lib.training.bench.drawing import draw_pareto, front
from labs_lib.training.bench.published import _tau, published_methods, rank_agreement
from labs_lib.training.bench.results import BenchPoint, BenchResult
from labs_lib.training.bench.running import next_rate, run_bench
from labs_lib.training.bench.settings import Bench
from labs_lib.training.progress import Silent

LADDER = [1e-4, 1e-3, 1e-2, 1e-1]
TASK = "sea-captain"


def fields(model: str = "tiny", **changes: Any) -> dict[str, Any]:
    recipe = {"model": model, "rank": 2, "batch_size": 2, "max_length": 64, "eval_rows": 1}
    return {
        "name": "tiny",
        "recipe": {**recipe, "eval_tokens": 2, "target_modules": ["q_proj"]},
        "tasks": {TASK: {"steps": 2}},
        "methods": {"lora": {"first_rate": 1e-3}, "ia3": {"first_rate": 1e-2}},
        "rates": LADDER,
        "seeds": [0],
        "probe_rows": 1,
        **changes,
    }


def point(name: str, seed: int, loss: float | None, **changes: Any) -> BenchPoint:
    found: dict[str, Any] = {
        "task": TASK, "name": name, "learning_rate": 1e-3, "seed": seed, "search": False,
        "trainable_parameters": 10, "loss_before": 4.0, "loss": loss, "rates": {"in_voice": 0.5},
        "text_loss_before": 3.0, "text_loss": 3.0 + (loss or 0), "peak_bytes": 2**20,
    }  # fmt: skip
    return BenchPoint(**{**found, **changes})


def result(points: list[BenchPoint], **changes: Any) -> BenchResult:
    hardware = {"device_name": "a machine", "cores": 2, "precision": "fp32"}
    bench = Bench(**fields(**changes))
    return BenchResult(bench, tuple(points), hardware, {"torch": "2.13.0+cpu"}, {}, "2026-11-26")


def search(losses: dict[float, float], first: float) -> list[float]:
    found: dict[float, float] = {}
    while (rate := next_rate(LADDER, first, found)) is not None:
        found[rate] = losses[rate]
    return list(found)


def test_a_search_ends_between_worse_rates_or_at_an_end():
    valley = {1e-4: 3.0, 1e-3: 1.0, 1e-2: 2.0, 1e-1: 9.0}
    assert search(valley, 1e-3) == [1e-3, 1e-4, 1e-2]
    assert search(valley, 1e-1) == [1e-1, 1e-2, 1e-3, 1e-4]
    falling = dict(zip(LADDER, (4.0, 3.0, 2.0, 1.0), strict=True))
    assert search(falling, 1e-3) == [1e-3, 1e-4, 1e-2, 1e-1]
    diverging = dict.fromkeys(LADDER, math.inf) | {1e-4: 2.0}
    assert search(diverging, 1e-2) == [1e-2, 1e-3, 1e-4]


def test_what_it_cannot_be_it_says_in_one_line(tmp_path: Path):
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"rates": [1e-3, 1e-4]}, "rates: give each once, the lowest first"),
        ({"methods": {"lora": {"first_rate": 2e-3}}}, "lora.first_rate: 0.002 is no rate of"),
        ({"methods": {"lorra": {"first_rate": 1e-3}}}, "methods.lorra: no method 'lorra'"),
    )
    for changes, said in cases:
        file = tmp_path / "bench.yaml"
        file.write_text(yaml.safe_dump(fields(**changes)), encoding="utf-8")
        with pytest.raises(LabError, match=said):
            Bench.from_yaml(file)
    with pytest.raises(LabError, match="did you mean 'lora'"):
        Bench(**fields()).picked(["lra"])


def test_the_courses_bench_has_every_method_at_about_loras_size():
    bench = Bench.from_yaml("methods")
    assert {bench.method_of(name) for name in bench.methods} == {
        name for name, how in METHODS.items() if how.adapter and not how.quantizes
    }
    trained, shapes = {}, catalogue()["smollm2-135m-instruct"]
    for name in bench.methods:
        recipe = bench.recipe_of(TASK, name, 1e-3, 0)
        adapter = recipe.adapter
        if adapter is not None and adapter.on_linears:
            each = [s for linear in shapes.linears for s in adapter.tensors(linear, recipe.rank)]
            trained[name] = shapes.layers * sum(map(math.prod, each))
    assert trained["lora"] == 2_442_240
    small = {"lora_rank_1", "vera", "ia3"}
    for name, count in trained.items():
        alike = abs(count / trained["lora"] - 1) < 0.1
        assert alike != (name in small), (name, count)


@pytest.mark.slow
def test_a_bench_goes_on_where_it_stopped_and_repeats_a_point(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bench = Bench(**fields(str(tiny_model), methods={"lora": {"first_rate": 1e-2}}))
    out = tmp_path / "bench.json"
    real, made = running._point, []

    def stopping(*given: Any) -> BenchPoint:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(given[3])
        return real(*given)

    monkeypatch.setattr(running, "_point", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_bench(bench, out, progress=Silent())
    assert len(BenchResult.load(out).points) == 2
    monkeypatch.setattr(running, "_point", real)
    whole = run_bench(bench, out, progress=Silent())
    rates = [p.learning_rate for p in whole.points if p.search]
    assert rates[:2] == made
    assert len(set(rates)) == len(rates) >= 3
    (last,) = whole.of(TASK, "lora")
    assert last.learning_rate == whole.best_rate(TASK, "lora")
    assert last.peak_bytes
    assert last.saved_bytes
    assert last.forecast_bytes == pytest.approx(last.peak_bytes, rel=0.1)
    assert last.text_loss_change is not None
    monkeypatch.setattr(running, "_point", lambda *_: pytest.fail("trained again"))
    assert run_bench(bench, out, progress=Silent()).points == whole.points
    monkeypatch.setattr(running, "_point", real)
    again = running.repeat_point(whole, TASK, "lora", 0, Silent())
    assert again.loss == pytest.approx(last.loss, abs=1e-5)
    other = Bench(**fields(str(tiny_model), tasks={TASK: {"steps": 3}}))
    with pytest.raises(LabError, match=r"bench\.json holds results of another bench"):
        run_bench(other, out, progress=Silent())


def test_points_make_a_table_and_a_picture():
    points = [point("lora", seed, 0.1 + seed / 100) for seed in range(3)]
    points += [point("ia3", 0, 0.4, text_loss=2.9, saved_bytes=2**20)]
    points += [point("ia3", 1, None, text_loss=None, diverged_at_step=2)]
    points += [
        point("lora", 3, loss, search=True, learning_rate=rate)
        for rate, loss in ((1e-4, 2.0), (1e-3, 0.1))
    ]
    points += [
        point("lora", 3, None, search=True, learning_rate=1e-2, text_loss=None, diverged_at_step=1)
    ]
    points += [point("ia3", 3, 0.4, search=True)]
    bench = result(points)
    assert bench.methods(TASK) == ["lora", "ia3"]
    assert bench.spread(TASK, "lora", "loss").mean == pytest.approx(0.11)
    assert bench.spread(TASK, "ia3", "loss").diverged == 1
    assert [row[0] for row in bench.table(TASK).rows] == ["lora", "ia3"]
    assert "training (s)" not in bench.table(TASK, timing=False).columns
    assert bench.rates(TASK).rows[0] == ("lora", "2.000", "*0.100*", "diverged", "–")
    assert BenchResult.from_dict(bench.as_dict()) == bench
    picture = draw_pareto(bench, TASK)
    assert "no method beats ia3, lora on both axes" in picture.alt
    with pytest.raises(LabError, match="did you mean 'text_loss'"):
        bench.spread(TASK, "lora", "text_los")
    assert front([(1, 1), (2, 2), (1, 3), (0, 4)]) == [0, 3]


def test_published_figures_name_their_source():
    published = published_methods()
    assert set(published.methods()) <= set(METHODS)
    for row in published.rows:
        assert row.url.startswith(f"https://github.com/huggingface/peft/blob/{row.commit}/method")
        assert len(row.commit) == 40
        assert 0 <= row.accuracy < 1
    assert published.table().rows[0][0] == "rsLoRA"
    assert published.of("lora").trained == 9_175_040


def test_an_order_that_is_the_published_one_agrees_and_its_reverse_does_not():
    names = [name for name in published_methods().methods() if name != "full"]
    ordered = sorted(names, key=lambda name: published_methods().of(name).accuracy)
    methods = {name: {"first_rate": 1e-3} for name in names}
    best_last = [point(name, 0, 1 - at / 20) for at, name in enumerate(ordered)]
    agreed = rank_agreement(result(best_last, methods=methods), TASK)
    assert agreed.tau > 0.95
    assert agreed.low > 0
    assert "agree more than chance" in agreed.text()
    worst_last = [point(name, 0, at / 20 + 0.1) for at, name in enumerate(ordered)]
    assert rank_agreement(result(worst_last, methods=methods), TASK).high < 0
    with pytest.raises(LabError, match="4 are the fewest"):
        rank_agreement(result(best_last[:3], methods=methods), TASK)
    from scipy.stats import kendalltau

    for ours, theirs in (([1, 2, 3, 4], [1, 2, 4, 3]), ([1, 1, 3, 2, 5], [2, 1, 1, 4, 4])):
        scipys: Any = kendalltau(ours, theirs)
        assert _tau(ours, theirs)[0] == pytest.approx(scipys.statistic)


def test_the_command_says_what_does_not_go_together(capsys: pytest.CaptureFixture[str]):
    for words, said in (
        (["--recorded"], "--recorded: give --peft too"),
        (["--peft", "lora", "--seeds", "0,1"], "--seeds: with --peft the bench's file says this"),
        (["--peft", "all", "--recorded", "--out", "x"], "--out: nothing is written"),
        (["--peft", "lorra"], "--peft: 'lorra' is not one of"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["compare", *words])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


@pytest.mark.seconds
def test_the_command_runs_a_bench_of_ones_own(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "mine.yaml"
    methods = {"lora": {"first_rate": 1e-4}}
    own = fields(str(tiny_model), methods=methods, rates=[1e-4])
    file.write_text(yaml.safe_dump(own), encoding="utf-8")
    plot = tmp_path / "plot.png"
    words = ["compare", str(file), "--peft", "all", "--out", str(tmp_path / "out.json")]
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--plot", str(plot)])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "held-out loss by rate, seed 3; the best in stars" in said
    assert plot.read_bytes().startswith(b"\x89PNG")
    kept = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [p["search"] for p in kept["points"]] == [True, False]
    assert paths.bench_file("methods").is_file()

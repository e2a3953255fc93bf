"""A bench run point by point: first each method's best rate, then the seeds at that rate."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.files import expanded, friendly_os_errors, write_json
from labs_lib.training.bench.results import BenchPoint, BenchResult
from labs_lib.training.bench.settings import Bench
from labs_lib.training.probe import PROBE, ask_probe
from labs_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from labs_lib.training.evaluation import Evaluation
    from labs_lib.training.progress import Progress
    from labs_lib.training.run import Run

Bases = dict[tuple[str, str, bool], "Evaluation"]
"""What the untrained model answered, by (task or probe, precision, whether only the loss)."""


def next_rate(rates: Sequence[float], first: float, losses: dict[float, float]) -> float | None:
    """Return the rate of the ladder to try next; None once the best has worse ones on both sides.

    `losses` are those found so far, infinite for a run that diverged. The search begins at `first`
    and goes on beside the best rate, the lower side first; at an end of the ladder it stops.
    """
    if first not in losses:
        return first
    best = rates.index(min(losses, key=lambda rate: (losses[rate], rate)))
    beside = [rates[at] for at in (best - 1, best + 1) if 0 <= at < len(rates)]
    return next((rate for rate in beside if rate not in losses), None)


def run_bench(
    bench: Bench,
    out: Path,
    methods: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Train every point that `out` does not hold yet; returns all the results.

    `out` (JSON) is renewed after each run, so that a bench cut short goes on where it stopped.
    `methods` picks some of the bench's. Results of another bench, of other data or other library
    versions in `out` raise `LabError`. A run that diverges is recorded as such; the others go on.
    """
    from labs_lib import data
    from labs_lib.training.folder.provenance import versions
    from labs_lib.training.progress import default_progress

    out, progress = expanded(out), progress or default_progress()
    if out.is_dir():
        raise LabError(f"bench: {out} is a folder; give a file, such as {out / bench.name}.json")
    names = bench.picked(methods) if methods is not None else list(bench.methods)
    prints = {task: data.resolve(task).fingerprint for task in bench.tasks}
    result = _earlier(bench, out, versions(), prints)
    with friendly_os_errors(out):  # before minutes of training, not after
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    bases: Bases = {}

    def add(point: BenchPoint) -> None:
        nonlocal result
        result = replace(
            result,
            points=(*result.points, point),
            finished_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        write_json(out, result.as_dict())

    for task in bench.tasks:
        for name in names:
            first = bench.methods[name].first_rate
            while rate := next_rate(bench.rates, first, result.searched(task, name)):
                progress.stage(f"{task}, {name}: learning rate {rate:g}")
                add(_point(bench, task, name, rate, bench.rate_seed, True, bases, progress))
            best = result.best_rate(task, name)
            runs = [p for p in result.points if not p.search]
            done = {p.seed for p in runs if (p.task, p.name) == (task, name)}
            for seed in (seed for seed in bench.seeds if seed not in done):
                progress.stage(f"{task}, {name}: seed {seed} at its best rate, {best:g}")
                add(_point(bench, task, name, best, seed, False, bases, progress))
    return result


def repeat_point(
    result: BenchResult, task: str, name: str, seed: int, progress: Progress | None = None
) -> BenchPoint:
    """Train one point of a recorded bench again, here; it is what `result.of` holds of it.

    Raises `LabError` for a task or an entry that the bench has not.
    """
    from labs_lib.training.progress import default_progress

    rate = result.of(task, name)[0].learning_rate
    return _point(result.bench, task, name, rate, seed, False, {}, progress or default_progress())


def _point(
    bench: Bench, task: str, name: str, rate: float, seed: int, search: bool, bases: Bases,
    progress: Progress,
) -> BenchPoint:  # fmt: skip
    from labs_lib.training.failures import DivergedError
    from labs_lib.training.session import train

    recipe = bench.recipe_of(task, name, rate, seed, **({"eval_rows": 0} if search else {}))
    base = (task, recipe.precision, search)
    point = BenchPoint(task, name, rate, seed, search, 0, None, None, {})
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        try:
            run = train(recipe, Path(folder) / "run", progress=progress, before=bases.get(base))
        except DivergedError as error:
            if error.before is not None:
                bases[base] = error.before
            progress.stage(str(error))
            return replace(
                point,
                diverged_at_step=error.step,
                trainable_parameters=error.trainable_parameters,
                loss_before=error.before.loss if error.before else None,
            )
        seconds = time.perf_counter() - started
        bases[base] = run.before
        point = replace(point, **_measured(run), run_seconds=seconds)
        if search:
            return point
        forecast, source = _forecast(run)
        point = replace(point, forecast_bytes=forecast, forecast_source=source)
        return replace(point, **_kept(bench, run, bases))


def _measured(run: Run) -> dict[str, Any]:
    return {
        "trainable_parameters": run.trainable_parameters,
        "loss_before": run.before.loss,
        "loss": run.after.loss,
        "rates": run.after.rates() if run.after.prompts else {},
        "peak_bytes": run.cost.peak_bytes,
        "train_seconds": run.cost.train_seconds,
        "saved_bytes": run.cost.adapter_bytes,
    }


def _forecast(run: Run) -> tuple[int | None, str]:
    """Return the forecast of the run's longest step and where it comes from.

    Without a formula it is that of transformers' own step, from traces, less what the layout of
    the same batch saves LoRA.
    """
    from labs_lib.memory import estimate

    found = run.forecast
    if "peak_bytes" in found:
        return found["peak_bytes"], found["source"]
    if "layout_saves_bytes" not in found:
        return None, ""
    device = "cuda" if run.hardware["device"] == "cuda" else "cpu"
    step = run.recipe.step(run.hardware["precision"], device=device, seq_len=found["tokens"])
    plain = estimate(step)
    return plain.peak_bytes - found["layout_saves_bytes"], plain.source


def _kept(bench: Bench, run: Run, bases: Bases) -> dict[str, Any]:
    """Return what the tuned model still knows: the loss on plain text, and the facts."""
    from labs_lib import data
    from labs_lib.training.evaluation import kept

    probe = data.load_set(PROBE).test[: bench.probe_rows]
    place = (PROBE, run.recipe.precision, False)
    before = bases.get(place)
    if before is None:
        before = bases[place] = ask_probe(run, probe, "before")
    after = ask_probe(run, probe, "after")
    return {
        "text_loss_before": before.loss,
        "text_loss": after.loss,
        "probe_before": before.rate("fact_right"),
        "probe_kept": kept(before, after, "fact_right"),
    }


def _earlier(
    bench: Bench, out: Path, versions: dict[str, str], prints: dict[str, str]
) -> BenchResult:
    """Return what `out` holds of this bench, or a result without a point."""
    from labs_lib import hardware

    machine = hardware.detect()
    any_recipe = Recipe.of(**{**bench.recipe, "steps": 1})
    precision = any_recipe.precision_on(machine)
    made_on = machine.as_dict() | {"precision": precision}
    if not out.exists():
        return BenchResult(bench, (), made_on, versions, prints, "")
    earlier = BenchResult.load(out)
    same_runs = (earlier.bench.recipe, earlier.bench.tasks) == (bench.recipe, bench.tasks)
    shared = earlier.bench.methods.keys() & bench.methods.keys()
    same_runs &= all(earlier.bench.methods[n].fields == bench.methods[n].fields for n in shared)
    for what, same in (
        ("of another bench", same_runs and {p.name for p in earlier.points} <= shared),
        ("on other data", earlier.data_fingerprints == prints),
        ("of other library versions", earlier.versions == versions),
        ("in another precision", earlier.hardware.get("precision") == precision),
    ):
        if not same:
            raise LabError(
                f"bench: {out.name} holds results {what}; give another --out or delete it"
            )
    return replace(earlier, bench=bench)

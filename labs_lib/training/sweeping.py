"""Train a sweep's points and seeds: one after the other, or shared out over workers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.files import expanded, friendly_os_errors, write_json
from labs_lib.training.records import Record
from labs_lib.training.sweep import Sweep, SweepResult, describe
from labs_lib.training.sweep_points import Point

if TYPE_CHECKING:
    from labs_lib.training.evaluation import Evaluation
    from labs_lib.training.progress import Progress
    from labs_lib.training.recipe import Recipe
    from labs_lib.training.workers.work import Crew


@dataclass(frozen=True)
class Trained(Record):
    """What one run of a sweep gives: its point, the base model's answers, the machine."""

    point: Point
    prompts: tuple[str, ...]
    loss_before: float | None
    rates_before: dict[str, float]
    hardware: dict[str, Any]


@dataclass
class SweepRuns:
    """The runs of a sweep that are to be trained; a worker's `Work`.

    `changes` are the points; `made_of` is what decides the results beside point and seed: recipe,
    data and versions. The base model's answers are kept from run to run of this process.
    """

    sweep: Sweep
    changes: Sequence[dict[str, Any]]
    made_of: dict[str, Any]
    finished: Sequence[tuple[dict[str, Any], int]] = ()
    _bases: dict[tuple[Any, ...], Evaluation] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what the sweep is called in a storage."""
        return f"sweep {self.sweep.name}"

    def runs(self) -> list[dict[str, Any]]:
        """Return the points and seeds that are not finished, in the sweep's order."""
        return [
            {"changes": changes, "seed": seed}
            for changes in self.changes
            for seed in self.sweep.seeds
            if (changes, seed) not in self.finished
        ]

    def describe(self, run: Mapping[str, Any]) -> str:
        """Return a point and its seed in words: "rank 8, seed 0"."""
        return f"{describe(run['changes'])}, seed {run['seed']}"

    def do(self, run: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Train one run and return its `Trained` as plain values; one that diverges is recorded."""
        from labs_lib import hardware
        from labs_lib.training.failures import DivergedError
        from labs_lib.training.session import train

        recipe = self.sweep.recipe_at(run["changes"], run["seed"])
        base = _base_of(recipe)
        try:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "run"
                trained = train(recipe, place, progress=progress, before=self._bases.get(base))
            point, self._bases[base] = Point.of(run["changes"], trained), trained.before
        except DivergedError as error:
            if error.before is None:
                raise
            progress.stage(str(error))
            point, self._bases[base] = Point.of_diverged(run["changes"], error), error.before
        before, machine = self._bases[base], hardware.detect()
        return Trained(
            point=point,
            prompts=before.prompts,
            loss_before=before.loss,
            rates_before=before.rates() if before.prompts else {},
            hardware=machine.as_dict() | {"precision": recipe.precision_on(machine)},
        ).as_dict()

    def score(self, result: Mapping[str, Any]) -> float | None:
        """Return the held-out loss of a run."""
        return result["point"]["loss"]


def run_sweep(
    sweep: Sweep,
    out: Path,
    changes: Sequence[dict[str, Any]] | None = None,
    progress: Progress | None = None,
    crew: Crew | None = None,
) -> SweepResult:
    """Train every point and seed that `out` does not hold yet; returns all the results.

    `out` (JSON) is renewed after each run, so that a sweep cut short goes on where it stopped.
    `changes` picks some of the sweep's points; with a `crew` its workers train them. Results of
    another recipe, other data or other library versions in `out` raise `LabError`. A run that
    diverges is recorded as such; the others go on.
    """
    from labs_lib.training.progress import default_progress

    out, progress = expanded(out), progress or default_progress()
    if out.is_dir():
        raise LabError(f"sweep: {out} is a folder; give a file, such as {out / sweep.name}.json")
    combinations = list(changes) if changes is not None else sweep.combinations()
    for combination in combinations:
        if combination not in sweep.combinations():
            raise LabError(f"sweep {sweep.name}: {describe(combination)} is none of its points")
    work = SweepRuns(sweep, combinations, _made_of(sweep))
    earlier = _earlier(work, out)
    work.finished = [(p.changes, p.seed) for p in earlier.points] if earlier else []
    runs = work.runs()
    if not runs and earlier:
        return earlier
    with friendly_os_errors(out):  # before minutes of training, not after
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()

    kept: list[SweepResult] = []  # the last is what `out` holds, the time of its end included

    def keep(results: Sequence[Mapping[str, Any]]) -> None:
        kept[:] = [_joined(work, earlier, results)]
        write_json(out, kept[0].as_dict())

    if crew is not None:
        from labs_lib.training.workers.distributing import distribute

        distribute(work, crew, out, progress, keep)
        return kept[0]
    results: list[dict[str, Any]] = []
    for number, run in enumerate(runs, start=1):
        progress.stage(f"run {number} of {len(runs)}: {work.describe(run)}")
        results.append(work.do(run, progress))
        keep(results)
    return kept[0]


def _joined(
    work: SweepRuns, earlier: SweepResult | None, results: Sequence[Mapping[str, Any]]
) -> SweepResult:
    """Return the earlier points and the new ones, with what the last run says of base and machine.

    `results` are at least one `Trained` as plain values.
    """
    new = [Trained.from_dict(result) for result in results]
    return SweepResult(
        sweep=work.sweep,
        prompts=new[-1].prompts,
        loss_before=new[-1].loss_before,
        rates_before=new[-1].rates_before,
        points=(*(earlier.points if earlier else ()), *(each.point for each in new)),
        hardware=new[-1].hardware,
        versions=work.made_of["versions"],
        data_fingerprint=work.made_of["data"],
        finished_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _made_of(sweep: Sweep) -> dict[str, Any]:
    from labs_lib import data
    from labs_lib.training.folder.provenance import versions

    data_set = data.resolve(sweep.recipe_at({}, sweep.seeds[0]).dataset)
    return {"recipe": sweep.recipe, "data": data_set.fingerprint, "versions": versions()}


def _base_of(recipe: Recipe) -> tuple[Any, ...]:
    """Return what tells base models apart: one answers alike before every run, whatever follows."""
    rounded = recipe.quantizes and (recipe.quantization, recipe.double_quantization)
    return (rounded, recipe.precision, recipe.trains_all)


def _earlier(work: SweepRuns, out: Path) -> SweepResult | None:
    made_of = work.made_of
    if not out.exists():
        return None
    earlier = SweepResult.load(out)
    for what, same in (
        ("of another recipe", earlier.sweep.recipe == made_of["recipe"]),
        ("on other data", earlier.data_fingerprint == made_of["data"]),
        ("of other library versions", earlier.versions == made_of["versions"]),
    ):
        if not same:
            raise LabError(
                f"sweep: {out.name} holds results {what}; give another --out or delete it"
            )
    return replace(earlier, sweep=work.sweep)

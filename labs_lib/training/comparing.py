"""Train the arms of a comparison: one after the other, or shared out over workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.files import expanded, friendly_os_errors, write_json
from labs_lib.step.methods import USUAL
from labs_lib.training.comparison import COMPARISON_FILE, Arm, Comparison, method_recipe
from labs_lib.training.probe import PROBE, ask_probe
from labs_lib.training.recipe import Recipe
from labs_lib.training.records import Record

if TYPE_CHECKING:
    from labs_lib.training.evaluation import Evaluation
    from labs_lib.training.failures import DivergedError
    from labs_lib.training.progress import Progress
    from labs_lib.training.run import Run
    from labs_lib.training.workers.work import Crew


@dataclass(frozen=True)
class TrainedArm(Record):
    """What one arm gives: its record, and of the run it comes from what all arms share.

    `divergence` says in one line why a run diverged; the fields before it are empty then.
    """

    arm: Arm
    prompts: tuple[str, ...] = ()
    hardware: dict[str, Any] = field(default_factory=dict)
    divergence: str = ""


@dataclass
class ArmRuns:
    """The arms that are to be trained, each into its folder within `folder`; a worker's `Work`.

    `made_of` is what decides the results beside method and seed. What the base model answers is
    kept from arm to arm of this process.
    """

    recipe: Recipe
    folder: Path
    methods: Sequence[str]
    seeds: Sequence[int]
    made_of: dict[str, Any]
    reuse: bool = False
    # By whether it is quantized, what the base model answers to the held-out rows and the probe.
    _bases: dict[bool, tuple[Evaluation, Evaluation]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what the comparison is called in a storage."""
        return f"comparison {self.recipe.name}"

    def runs(self) -> list[dict[str, Any]]:
        """Return the arms: each method at each seed."""
        return [{"method": m, "seed": seed} for m in self.methods for seed in self.seeds]

    def describe(self, run: Mapping[str, Any]) -> str:
        """Return an arm in words: "lora, seed 0"."""
        return f"{run['method']}, seed {run['seed']}"

    def do(self, run: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Train one arm and ask it the probe; returns its `TrainedArm` as plain values."""
        from labs_lib import data
        from labs_lib.training.failures import DivergedError
        from labs_lib.training.session import train

        recipe = method_recipe(self.recipe, run["method"], run["seed"])
        base = self._bases.get(recipe.quantizes)
        probe = data.load_set(PROBE).test[: self.made_of["probe rows"]]
        try:
            trained = train(
                recipe, self.folder / recipe.name, reuse=self.reuse, progress=progress,
                before=base[0] if base else None,
            )  # fmt: skip
        except DivergedError as error:
            progress.stage(str(error))
            return TrainedArm(_diverged(error), divergence=str(error)).as_dict()
        if base is None:
            progress.stage("asking the base model what it knows")
            base = (trained.before, ask_probe(trained, probe, "before"))
            self._bases[recipe.quantizes] = base
        progress.stage("asking the tuned model what it still knows")
        arm = _arm(trained, base[1], ask_probe(trained, probe, "after"))
        return TrainedArm(arm, trained.after.prompts, trained.hardware).as_dict()

    def score(self, result: Mapping[str, Any]) -> float | None:
        """Return the held-out loss of an arm."""
        return result["arm"]["loss"]


def compare(
    recipe: Recipe,
    folder: str | Path,
    methods: Sequence[str] = USUAL,
    seeds: Sequence[int] = (0,),
    probe_rows: int | None = None,
    reuse: bool = False,
    progress: Progress | None = None,
    crew: Crew | None = None,
) -> Comparison:
    """Train `recipe` by each method at each seed and put the results side by side.

    `folder` receives each arm's run and `comparison.json`; with `reuse` finished arms of the very
    recipe are read back. `probe_rows` limits the general-knowledge questions asked before and
    after. With a `crew` its workers train the arms, each on its machine's `folder`. An arm that
    diverges is recorded as such; the others go on. Raises `LabError` as `train` does, and where
    every arm diverged.
    """
    from labs_lib import data
    from labs_lib.training.folder.provenance import versions
    from labs_lib.training.progress import default_progress

    folder, progress = expanded(folder), progress or default_progress()
    methods, seeds = list(dict.fromkeys(methods)), list(dict.fromkeys(seeds))  # each once
    for method in methods:
        method_recipe(recipe, method, 0)  # before minutes of training
    if not methods or not seeds:
        raise LabError("compare: give at least one method and one seed")
    _check_own(folder / COMPARISON_FILE)
    made_of = {
        "recipe": recipe.model_dump(),
        "data": data.resolve(recipe.dataset).fingerprint,
        "versions": versions(),
        "probe rows": len(data.load_set(PROBE).test[:probe_rows]),
    }
    work = ArmRuns(recipe, folder, methods, seeds, made_of, reuse)
    results = _trained(work, crew, progress)
    trained = [each for each in results if not each.divergence]
    if not trained:
        raise LabError(results[-1].divergence)
    comparison = Comparison(
        recipe=recipe,
        arms=tuple(each.arm for each in results),
        prompts=trained[-1].prompts,
        probe_rows=made_of["probe rows"],
        hardware=trained[-1].hardware,
        versions=made_of["versions"],
        data_fingerprint=made_of["data"],
        finished_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    write_json(folder / COMPARISON_FILE, comparison.as_dict())
    return comparison


def _trained(work: ArmRuns, crew: Crew | None, progress: Progress) -> list[TrainedArm]:
    """Train every arm, here or by a crew; returns them in the order of `work.runs`."""
    if crew is not None:
        from labs_lib.training.workers.distributing import distribute

        with friendly_os_errors(work.folder):
            work.folder.mkdir(parents=True, exist_ok=True)
        results = distribute(work, crew, work.folder / COMPARISON_FILE, progress)
        return [TrainedArm.from_dict(result) for result in results]
    trained, runs = [], work.runs()
    for number, run in enumerate(runs, start=1):
        progress.stage(f"{number} of {len(runs)}: {work.describe(run)}")
        trained.append(TrainedArm.from_dict(work.do(run, progress)))
    return trained


def _check_own(path: Path) -> None:
    """Raise `LabError`, before minutes of training, where a file that is no comparison is there."""
    if path.exists():
        try:
            Comparison.load(path)
        except LabError:
            raise LabError(
                f"compare: {path} is no comparison of this course; move it or give another --out"
            ) from None


def _diverged(error: DivergedError) -> Arm:
    recipe, before = error.recipe, error.before
    return Arm(
        method=recipe.method,
        seed=recipe.seed,
        learning_rate=recipe.learning_rate,
        trainable_parameters=error.trainable_parameters,
        memory={},
        peak_bytes=None,
        peak_kind="",
        seconds_per_step=None,
        tokens_per_second=None,
        train_seconds=None,
        loss_before=before.loss if before else None,
        loss=None,
        rates_before=before.rates() if before and before.prompts else {},
        rates={},
        probe_before=None,
        probe_after=None,
        probe_kept=None,
        saved_bytes=None,
        answers=(),
        diverged_at_step=error.step,
    )


def _arm(run: Run, before: Evaluation, after: Evaluation) -> Arm:
    from labs_lib.training.evaluation import kept

    cost = run.cost
    return Arm(
        method=run.recipe.method,
        seed=run.recipe.seed,
        learning_rate=run.recipe.learning_rate,
        trainable_parameters=run.trainable_parameters,
        memory=cost.memory,
        peak_bytes=cost.peak_bytes,
        peak_kind=cost.peak_kind,
        seconds_per_step=cost.seconds_per_step,
        tokens_per_second=cost.tokens_per_second,
        train_seconds=cost.train_seconds,
        loss_before=run.before.loss,
        loss=run.after.loss,
        rates_before=run.before.rates() if run.before.prompts else {},
        rates=run.after.rates() if run.after.prompts else {},
        probe_before=before.rate("fact_right"),
        probe_after=after.rate("fact_right"),
        probe_kept=kept(before, after, "fact_right"),
        saved_bytes=cost.adapter_bytes,
        answers=run.after.answers,
        text_loss_before=before.loss,
        text_loss=after.loss,
    )

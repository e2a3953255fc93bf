"""A finished training run: what was asked, what came out, what it cost; kept as `run.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError
from labs_lib.files import expanded
from labs_lib.tables import Table
from labs_lib.training.evaluation import Evaluation, kept
from labs_lib.training.forecasting import in_words
from labs_lib.training.recipe import Recipe
from labs_lib.training.records import Record, damaged, read_values

ADAPTER_FOLDER = "adapter"
MODEL_FOLDER = "model"
RUN_FILE = "run.json"


@dataclass(frozen=True)
class Cost(Record):
    """What the training took; `peak_kind` says how `peak_bytes` was measured.

    "CUDA allocator" counts every byte torch held on the GPU; "live tensors" counts the bytes of
    live tensors during the longest step on a CPU. `process_peak_bytes` is the whole process.
    `memory` says what the peak is made of, by the names that `labs memory` uses; `adapter_bytes`
    is the size of the saved file.
    """

    train_seconds: float
    seconds_per_step: float
    tokens: int
    tokens_per_second: float
    peak_bytes: int
    peak_kind: str
    process_peak_bytes: int
    memory: dict[str, int]
    adapter_bytes: int


@dataclass(frozen=True)
class ValidationCurve(Record):
    """The validation loss on the way: `losses` holds (step, nats per token).

    `best_step` had the lowest; `kept_step` is the one whose weights the run saved: the best of a
    run that watches for worse losses (`stop_when_worse`), the last of another. `stopped` says why
    the run ended before its last step, and is empty where it did not.
    """

    losses: tuple[tuple[int, float], ...]
    best_step: int
    kept_step: int
    stopped: str = ""


@dataclass(frozen=True)
class Run(Record):
    """One training run: recipe, result, cost and provenance.

    `losses[i]` is the training loss of step i + 1 in nats per token. `before` and `after` hold
    the answers to the same held-out rows. `folder` holds `adapter/` and `run.json`. `rows` counts
    for `train` and `validation` the rows `used`, those `cut` at `max_length` and those `dropped`;
    `loss_from` says which of `loss_check.WAYS` the loss was taken; `without_gradient` names the
    adapter's tensors that no gradient reached in the first step. `forecast` holds the closed form's
    bytes for the longest step, and their difference from the measured peak; empty in a run that is
    older than this field. `validation_curve` is there where the recipe has `eval_every`, `ranks`
    (see `processes.report`) where several processes shared the steps.
    """

    recipe: Recipe
    trainable_parameters: int
    total_parameters: int
    cost: Cost
    losses: tuple[float, ...]
    before: Evaluation
    after: Evaluation
    hardware: dict[str, Any]
    versions: dict[str, str]
    data_fingerprint: str
    finished_utc: str
    folder: Path = field(compare=False)
    rows: dict[str, Any] = field(default_factory=dict)
    loss_from: str = ""
    without_gradient: tuple[str, ...] = ()
    forecast: dict[str, Any] = field(default_factory=dict)
    validation_curve: ValidationCurve | None = None
    ranks: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """Return the folder with what was trained: the adapter, or the model if all of it was."""
        return self.folder / (MODEL_FOLDER if self.recipe.trains_all else ADAPTER_FOLDER)

    def scores(self) -> dict[str, dict[str, float | None]]:
        """Return for each metric the share right before and after, and of those kept, 0 to 1.

        Empty where no row was asked.
        """
        return {
            metric: {
                "before": self.before.rate(metric),
                "after": self.after.rate(metric),
                "kept": kept(self.before, self.after, metric),
            }
            for metric in self.after.passed
            if self.after.prompts
        }

    def examples(self, count: int = 5) -> Table:
        """Return a table of prompt, answer before and answer after, for the first held-out rows."""
        rows = zip(self.before.prompts, self.before.answers, self.after.answers, strict=True)
        return Table.of(("held-out prompt", "base model", "fine-tuned"), list(rows)[:count])

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the folder as plain values, scores included."""
        values = super().as_dict() | {"scores": self.scores()}
        del values["folder"]
        return values

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a run back from its folder; `LabError` where there is none or it is damaged."""
        folder = expanded(folder)
        path = folder / RUN_FILE
        try:
            values = read_values(path)
            values.pop("scores", None)  # told by the evaluations
            return cls.from_dict(values | {"folder": folder})
        except FileNotFoundError:
            raise LabError(f"run: {folder} holds no finished run (no {RUN_FILE})") from None
        except (OSError, ValueError) as error:
            raise damaged(f"run: {path}", error) from None

    def __repr__(self) -> str:
        scores = ", ".join(
            f"{metric} {score['before']:.0%} → {score['after']:.0%}"
            for metric, score in self.scores().items()
        )
        return f"Run {self.recipe.name}: {scores or 'not scored'}"

    def _repr_html_(self) -> str:
        return Table.of(("", self.recipe.name), self.table())._repr_html_()

    def table(self) -> list[tuple[str, str]]:
        """Return the run as (name, readable value) pairs, for a terminal or a notebook."""
        cost, share = self.cost, self.trainable_parameters / self.total_parameters
        saved = "model" if self.recipe.trains_all else "adapter"
        rows = [
            ("method", f"{self.recipe.method} on {self.recipe.model}"),
            (
                "trainable parameters",
                f"{self.trainable_parameters:,} of {self.total_parameters:,} ({share:.2%})",
            ),
            (
                "training",
                f"{cost.train_seconds:.1f} s, {len(self.losses)} steps of "
                f"{cost.seconds_per_step:.2f} s, {cost.tokens_per_second:.0f} tokens/s",
            ),
            (
                "peak memory",
                f"{cost.peak_bytes / 2**30:.2f} GiB {cost.peak_kind}, "
                f"{cost.process_peak_bytes / 2**30:.2f} GiB the whole process",
            ),
            *([("processes", self._shared())] if self.ranks else []),
            *([("forecast", in_words(self.forecast))] if self.forecast else []),
            (f"{saved} on disk", f"{cost.adapter_bytes / 2**20:.2f} MiB"),
            ("training loss", f"{self.losses[0]:.3f} → {self.losses[-1]:.3f}"),
        ]
        if self.before.loss is not None and self.after.loss is not None:
            rows.append(("held-out loss", f"{self.before.loss:.3f} → {self.after.loss:.3f}"))
        else:
            rows.append(("held-out loss", f"not measured: {self._why_no_loss()}"))
        if curve := self.validation_curve:
            lowest, last = dict(curve.losses)[curve.best_step], curve.losses[-1]
            rows.append(
                (
                    "validation loss",
                    f"lowest {lowest:.3f} at step {curve.best_step}, {last[1]:.3f} at step "
                    f"{last[0]}; saved: the weights of step {curve.kept_step}",
                )
            )
            if curve.stopped:
                rows.append(("ended early", curve.stopped))
        if self.without_gradient:
            names = self.without_gradient
            rows.append(("not trained", f"{len(names)} tensors, no gradient: {names[0]}, …"))
        for split in ("train", "validation"):
            if line := self._beyond_max_length(split):
                rows.append((f"{split} rows", line))
        count = len(self.after.prompts)
        if not count:
            reason = "no test rows" if self.recipe.eval_rows else "eval_rows is 0"
            rows.append(("score", f"not scored: {reason}"))
        for metric, score in self.scores().items():
            still = "" if not score["kept"] else f"; {score['kept']:.0%} of those right before kept"
            rows.append(
                (
                    metric.replace("_", " "),
                    f"{score['before']:.0%} → {score['after']:.0%} of {count} held-out rows{still}",
                )
            )
        return rows

    def _shared(self) -> str:
        ranks = self.ranks
        held, sent, peak = (
            max(ranks[f"{what}_bytes"]) / 2**20 for what in ("parameter", "sent", "peak")
        )
        offload = " with offload" if ranks["offload"] else ""
        return (
            f"{ranks['count']} by {ranks['sharding']}{offload}; each holds {held:,.1f} MiB of "
            f"parameters, {peak:,.1f} MiB at its peak, and sends {sent:,.1f} MiB in a step"
        )

    def _why_no_loss(self) -> str:
        counts = self.rows.get("validation", {})
        if counts.get("dropped"):
            return f"no validation row fits max_length {self.recipe.max_length}"
        return "no validation rows"

    def _beyond_max_length(self, split: str) -> str:
        counts = self.rows.get(split, {})
        cut, dropped = counts.get("cut", 0), counts.get("dropped", 0)
        if not cut and not dropped:
            return ""
        return (
            f"{counts['used']} used, {cut} of them cut and {dropped} dropped at max_length "
            f"{self.recipe.max_length}"
        )

"""PEFT's published comparison, and how far a bench of ours puts the methods in its order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error
from labs_lib.step.methods import METHODS
from labs_lib.tables import Table
from labs_lib.training.bench.results import BenchResult
from labs_lib.training.records import Record
from labs_lib.yamls import read_yaml

RESAMPLES = 2000
FEWEST = 4
"""Methods in common, below which no order says anything."""


@dataclass(frozen=True)
class PublishedRow(Record):
    """One published run: `accuracy` is a share of the test set's rows, 0 to 1.

    `file` and `commit` say where in the repository the figures stand; None is what they leave out.
    """

    method: str
    settings: str
    accuracy: float
    trained: int | None
    train_seconds: float
    peak_bytes: int
    file_bytes: int
    file: str
    commit: str

    @property
    def url(self) -> str:
        """The page with the figures, as they were at the commit."""
        folder = "method_comparison/MetaMathQA/results"
        return f"https://github.com/huggingface/peft/blob/{self.commit}/{folder}/{self.file}"


@dataclass(frozen=True)
class Published(Record):
    """PEFT's MetaMathQA table, as far as the course has its methods."""

    source: str
    model: str
    rows: tuple[PublishedRow, ...]

    def methods(self) -> list[str]:
        """Return the methods, by the names of the course's table."""
        return [row.method for row in self.rows]

    def of(self, method: str) -> PublishedRow:
        """Return a method's row; `LabError` with the nearest name where there is none."""
        if method not in self.methods():
            raise choice_error("method", method, self.methods())
        return next(row for row in self.rows if row.method == method)

    def table(self) -> Table:
        """Return a row a method, the most accurate first."""
        rows = [
            (
                METHODS[row.method].title,
                row.settings,
                f"{100 * row.accuracy:.1f}",
                "–" if row.trained is None else f"{row.trained:,}",
                f"{row.peak_bytes / 2**30:.1f}",
                f"{row.train_seconds / 60:.0f}",
                f"{row.file_bytes / 2**20:,.1f}",
            )
            for row in sorted(self.rows, key=lambda row: -row.accuracy)
        ]
        return Table.of(
            (
                "method", "settings", "right (%)", "trained parameters", "peak (GiB)",
                "training (min)", "file (MiB)",
            ),
            rows,
        )  # fmt: skip


@dataclass(frozen=True)
class RankAgreement(Record):
    """Kendall's τ between two orders of the same methods, 1 for one order, −1 for its reverse.

    `low` and `high` are the ends of a 95 % bootstrap interval over the methods.
    """

    methods: tuple[str, ...]
    tau: float
    low: float
    high: float

    def text(self) -> str:
        """Say what was found in one sentence."""
        if self.low > 0:
            verdict = "the two orders agree more than chance"
        elif self.high < 0:
            verdict = "the two orders are opposed more than chance"
        else:
            verdict = "the interval holds 0: these methods do not show that the orders agree"
        return (
            f"Kendall's τ over {len(self.methods)} methods: {self.tau:.2f} "
            f"({self.low:.2f} to {self.high:.2f}); {verdict}"
        )


@cache
def published_methods() -> Published:
    """Return PEFT's published comparison, each figure with the file and commit that it is from."""
    return Published.from_dict(read_yaml(Path(__file__).with_name("published.yaml")))


def rank_agreement(
    bench: BenchResult, task: str, published: Published | None = None, what: str = "loss"
) -> RankAgreement:
    """Compare the order of the methods on a task with the published one.

    `what` is a value of the bench's points whose mean over the seeds orders them, the lowest loss
    first, and the highest of anything else. The interval is that of 2,000 resamples of the methods
    (percentiles; Efron 1979). Raises `LabError` for fewer than four methods in common.
    """
    published = published or published_methods()
    common = tuple(name for name in bench.methods(task) if name in published.methods())
    ours = [bench.spread(task, name, what).mean for name in common]
    common = tuple(name for name, mean in zip(common, ours, strict=True) if not math.isnan(mean))
    if len(common) < FEWEST:
        raise LabError(
            f"bench: {len(common)} methods have a {what} on {task} and a published figure; "
            f"{FEWEST} are the fewest to compare orders by"
        )
    sign = -1 if "loss" in what else 1
    ours = [sign * bench.spread(task, name, what).mean for name in common]
    theirs = [published.of(name).accuracy for name in common]
    tau, low, high = _tau(ours, theirs)
    return RankAgreement(common, tau, low, high)


def _tau(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return Kendall's τ-b and the ends of its bootstrap interval.

    τ-b is that of `scipy.stats.kendalltau`, here of all resamples at once.
    """
    import numpy as np

    count = len(ours)
    draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    draws = np.concatenate([np.arange(count)[None], draws])  # the methods themselves first

    def order(values: Sequence[float]) -> Any:
        drawn = np.asarray(values)[draws]
        return np.sign(drawn[:, :, None] - drawn[:, None, :])

    first, second = order(ours), order(theirs)
    together = (first * second).sum(axis=(1, 2))
    untied = np.abs(first).sum(axis=(1, 2)) * np.abs(second).sum(axis=(1, 2))
    # A draw of one method alone has no order.
    taus = together[untied > 0] / np.sqrt(untied[untied > 0])
    low, high = np.percentile(taus[1:], [2.5, 97.5])
    return float(taus[0]), float(low), float(high)

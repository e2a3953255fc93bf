"""What workers are given: runs to train, how often they show that they are alive."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from labs_lib.errors import LabError
from labs_lib.files import expanded
from labs_lib.training.progress import Progress

EXTRA = "pip install 'lora-lab[cluster]'"

Run = Mapping[str, Any]
"""What tells one run from the others, as plain values: a point's changes and seed."""


class Work(Protocol):
    """Runs that can be trained in any order by any process; it is pickled on its way there.

    `name` is the study's name in the storage. `made_of` is what two commands must have in common
    to share results, as plain values: recipe, data, versions.
    """

    @property
    def name(self) -> str:
        """Return the study's name."""
        ...

    @property
    def made_of(self) -> Mapping[str, Any]:
        """Return what decides the results beside the run itself."""
        ...

    def runs(self) -> Sequence[Run]:
        """Return the runs, in the order in which one process would train them."""
        ...

    def describe(self, run: Run) -> str:
        """Return a run in words."""
        ...

    def do(self, run: Run, progress: Progress) -> dict[str, Any]:
        """Train one run; returns what came out as plain values for JSON."""
        ...

    def score(self, result: Mapping[str, Any]) -> float | None:
        """Return the one number that Optuna shows for a result, the held-out loss."""
        ...


@dataclass(frozen=True)
class Pace:
    """How often workers and whoever waits for them look at the storage, in seconds.

    A worker shows every `beat_seconds` that it is alive; a run whose worker has not done so for
    `dead_after_seconds`, by the clock of whoever looks, is trained again. A lock on a shared file
    that nobody gave back is broken after `lock_seconds`, which must be less. A run that has cost
    `most_deaths` workers their lives is not tried again.
    """

    beat_seconds: float = 15.0
    dead_after_seconds: float = 90.0
    look_seconds: float = 1.0
    lock_seconds: int = 30
    most_deaths: int = 3


@dataclass(frozen=True)
class Crew:
    """Who trains: `count` workers, where they meet and how they are started.

    `storage` is a file on a folder that all share, a database's URL or `grpc://host:port`.
    `submit` is "" for processes of this machine, else the executor of submitit, "slurm" or
    "local", whose `options` are time, partition and so on, and whose files lie in `jobs_folder`.
    """

    count: int
    storage: str = ""
    submit: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    jobs_folder: str = ""
    pace: Pace = Pace()

    def beside(self, out: Path) -> Crew:
        """Return the crew with what it was not given: a journal and a folder beside `out`."""
        storage = self.storage or str(out.with_suffix(".journal"))
        return replace(
            self,
            storage=storage if "://" in storage else str(expanded(storage).absolute()),
            jobs_folder=self.jobs_folder or str(out.absolute().with_suffix(".jobs")),
        )


def key_of(run: Run) -> str:
    """Return a text that is the same for the same run, wherever it was read."""
    return json.dumps(run, sort_keys=True)


def plain(values: Any) -> Any:
    """Return values as they are once they have been JSON."""
    return json.loads(json.dumps(values))


def needed(package: str, option: str) -> Any:
    """Return a package of the extra `cluster`; `LabError` on how to install it where it is not."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise LabError(f"needs {error.name}, which is not installed; {EXTRA}", option) from None

"""Work for workers that takes a moment instead of a training, and notes what was begun."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError
from labs_lib.training.progress import Progress, Silent
from labs_lib.training.workers import distributing
from labs_lib.training.workers.work import Crew, Pace

QUICK = Pace(
    beat_seconds=0.2, dead_after_seconds=6, look_seconds=0.1, lock_seconds=3, most_deaths=100
)


@dataclass
class Naps:
    """Runs of 0.05 to 0.2 s; `notes` receives a line for each that is begun, and that ends."""

    notes: str
    count: int
    recipe: dict[str, Any] = field(default_factory=lambda: {"steps": 12})
    fails_at: int = -1
    kills_itself_at: int = -1
    made_of_else: dict[str, Any] = field(default_factory=dict)
    name: str = "sweep naps"

    @property
    def made_of(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "data": "d",
            "versions": {"torch": "2.13.0"},
        } | self.made_of_else

    def runs(self) -> list[dict[str, Any]]:
        return [{"changes": {"rank": rank}, "seed": 0} for rank in range(1, self.count + 1)]

    def describe(self, run: Mapping[str, Any]) -> str:
        return f"rank {run['changes']['rank']}, seed {run['seed']}"

    def do(self, run: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        progress.stage(self.describe(run))
        rank = run["changes"]["rank"]
        self._note("begun", rank)
        time.sleep(random.Random(rank).uniform(0.05, 0.2))
        if rank == self.fails_at:
            raise LabError("2 GiB do not do; give a smaller batch_size", "memory")
        if rank == self.kills_itself_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._note("ended", rank)
        return {"rank": rank, "answers": ["é" * 50] * rank, "loss": 1 / rank}

    def score(self, result: Mapping[str, Any]) -> float | None:
        return result["loss"]

    def noted(self, what: str) -> Counter[int]:
        """Return rank → how often it was begun, or ended."""
        file = Path(self.notes)
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return Counter(int(rank) for word, rank in map(str.split, lines) if word == what)

    def _note(self, what: str, rank: int) -> None:
        with Path(self.notes).open("a", encoding="utf-8") as notes:
            notes.write(f"{what} {rank}\n")


def naps(folder: Path, count: int, **changes: Any) -> Naps:
    return Naps(str(folder / "notes.txt"), count, **changes)


def distributed(work: Naps, folder: Path, workers: int = 2, **changes: Any) -> list[Any]:
    """Return what came out of the runs, in their order."""
    crew = Crew(workers, **{"storage": str(folder / "s.journal"), "pace": QUICK, **changes})
    found: list[Any] = []

    def keep(results: list[Any]) -> None:
        found[:] = results

    distributing.distribute(work, crew, folder / "out.json", Silent(), keep)
    return found

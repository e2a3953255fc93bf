"""Share out runs and wait for them: start the workers, replace the dead, gather the results."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from labs_lib.endings import tracebacks_wanted
from labs_lib.errors import LabError
from labs_lib.training.progress import Progress, Silent
from labs_lib.training.workers.local import LocalPool, share_of_cores
from labs_lib.training.workers.study import SharedStudy
from labs_lib.training.workers.work import Crew, Work, key_of
from labs_lib.training.workers.worker import Post


class Pool(Protocol):
    """Workers that one command started."""

    def look_after(self, study: SharedStudy) -> None:
        """Replace workers that died; `LabError` where the work cannot go on."""
        ...

    def stop(self, study: SharedStudy, finished: bool) -> None:
        """End the workers and free what they train; `finished` says that nothing is left to do."""
        ...


def distribute(
    work: Work,
    crew: Crew,
    out: Path,
    progress: Progress,
    found: Callable[[list[Any]], object] = len,
) -> list[Any]:
    """Train all runs of `work` by `crew`, whose own storage, if it was given none, is beside `out`.

    Returns what came out of each, in the order of the work's runs; `found` is told the same of
    those that are done, whenever there are more of them. What the storage has of an earlier
    command, or of one on another machine, is not trained again. Raises `LabError` for a storage
    that cannot be used, for what a worker could not go on with, and for a run that ends its workers
    again and again.
    """
    placed = crew.beside(out)
    study = SharedStudy.open(placed.storage, work, crew.pace)
    results = _gather(work, placed, study, progress, found)
    if not crew.storage:  # all of it is in `out`
        for name in (placed.storage, f"{placed.storage}.lock"):
            Path(name).unlink(missing_ok=True)
    return results


def _gather(
    work: Work,
    crew: Crew,
    study: SharedStudy,
    progress: Progress,
    found: Callable[[list[Any]], object],
) -> list[Any]:
    runs, results = work.runs(), []
    pool: Pool | None = None
    try:
        while True:
            done = study.results(runs)
            if len(done) > len(results):
                results = [done[key_of(run)] for run in runs if key_of(run) in done]
                found(results)
                progress.stage(f"{len(results)} of {len(runs)} runs done")
            if len(results) == len(runs):
                return results
            study.tend(runs)
            if pool is None:
                pool = _start(work, crew, isinstance(progress, Silent))
            pool.look_after(study)
            _refuse_deadly(work, study)
            time.sleep(crew.pace.look_seconds)
    finally:
        if pool is not None:
            pool.stop(study, len(results) == len(runs))


def _start(work: Work, crew: Crew, quiet: bool) -> Pool:
    session = f"{socket.gethostname()}-{uuid.uuid4().hex[:6]}"
    if crew.submit:
        from labs_lib.training.workers.submitting import SubmittedPool

        return SubmittedPool(work, crew, session)
    threads = share_of_cores(crew.count)

    def post_of(number: int) -> Post:
        name = f"{session}-{number}"
        return Post(crew.storage, name, crew.pace, threads, quiet, tracebacks_wanted())

    return LocalPool(work, crew.count, post_of)


def _refuse_deadly(work: Work, study: SharedStudy) -> None:
    run = study.deadly_run()
    if run is not None:
        raise LabError(
            f"{work.describe(run)} ended its worker {study.pace.most_deaths} times, which a system "
            "that is short of memory does; give fewer workers or a smaller batch_size",
            "--workers",
        )

"""Workers as jobs of a cluster's batch system, through submitit."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError
from labs_lib.files import friendly_os_errors
from labs_lib.training.workers.job_options import SUBMIT, check_executor
from labs_lib.training.workers.local import share_of_cores
from labs_lib.training.workers.study import SharedStudy
from labs_lib.training.workers.work import Crew, Work, needed
from labs_lib.training.workers.worker import Post, do_what_waits

_USUAL_MIN = 60
_LEAVE_WITHIN_SECONDS = 30.0


class SubmittedPool:
    """An array of jobs, each of them a worker; their pickles and logs lie in the crew's folder."""

    def __init__(self, work: Work, crew: Crew, session: str):
        self._session, self._folder = session, Path(crew.jobs_folder)
        self._names = [f"{session}-{number}" for number in range(1, crew.count + 1)]
        threads = share_of_cores(crew.count) if crew.submit == "local" else 0
        posts = [Post(crew.storage, name, crew.pace, threads) for name in self._names]
        self._jobs = _executor(crew).map_array(do_what_waits, [work] * crew.count, posts)

    def look_after(self, study: SharedStudy) -> None:
        """Raise `LabError` where a worker failed, or all have ended with runs left."""
        if why := study.failure_among(self._session):
            raise LabError(why)
        if all(job.done() for job in self._jobs):
            raise LabError(
                f"the jobs ended with runs left to do; their logs are in {self._folder}, and the "
                "same command goes on",
                SUBMIT,
            )

    def stop(self, study: SharedStudy, finished: bool) -> None:
        """Cancel the jobs that have not ended, and free what they were training.

        Where all is done those that have begun end by themselves, and are given a moment for it.
        """
        until = time.monotonic() + _LEAVE_WITHIN_SECONDS
        while finished and any(job.state == "RUNNING" for job in self._jobs):
            if time.monotonic() > until:
                break
            time.sleep(study.pace.look_seconds)
        for job, name in zip(self._jobs, self._names, strict=True):
            if not job.done():
                job.cancel()
            study.release(name)


def _executor(crew: Crew) -> Any:
    submitit = needed("submitit", SUBMIT)
    logging.getLogger("submitit").setLevel(logging.ERROR)
    check_executor(crew.submit)
    folder = Path(crew.jobs_folder)
    with friendly_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(folder=folder, cluster=crew.submit)
    executor.update_parameters(**{"timeout_min": _USUAL_MIN, **crew.options})
    return executor

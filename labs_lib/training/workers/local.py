"""Workers as processes of this machine, which share its cores; one that dies is replaced."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from labs_lib import allotment
from labs_lib.errors import LabError
from labs_lib.training.workers.study import SharedStudy
from labs_lib.training.workers.work import Work
from labs_lib.training.workers.worker import TOLD, Post, work_as_process

_STOP_WITHIN_SECONDS = 5.0


def share_of_cores(count: int) -> int:
    """Return how many threads each of `count` workers gets, at least 1."""
    return max(1, int(allotment.threads().amount) // count)


class LocalPool:
    """Worker processes; `post_of` gives each its place by its number, and a new one if it died."""

    def __init__(self, work: Work, count: int, post_of: Callable[[int], Post]):
        self._work, self._post_of = work, post_of
        self._context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
        self._started = 0
        self._deaths_in_a_row = 0
        self._processes: dict[str, Any] = {}
        for _ in range(count):
            self._start()

    def look_after(self, study: SharedStudy) -> None:
        """Replace the workers that died and free what they were training.

        Raises `LabError` with the reason of a worker that could not go on.
        """
        for name, process in list(self._processes.items()):
            status = process.exitcode
            if status is None:
                continue
            del self._processes[name]
            if status == TOLD:
                raise LabError(
                    study.failure_among(name) or f"worker {name} ended; its line above says why"
                )
            if status:
                self._replace(name, status, study)

    def stop(self, study: SharedStudy, finished: bool) -> None:  # noqa: ARG002
        """End the workers and free what they were training."""
        for process in self._processes.values():
            process.terminate()
        for name, process in self._processes.items():
            process.join(_STOP_WITHIN_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
            study.release(name)

    def _start(self) -> None:
        self._started += 1
        post = self._post_of(self._started)
        process = self._context.Process(
            target=work_as_process, args=(self._work, post), name=post.name
        )
        process.start()
        self._processes[post.name] = process

    def _replace(self, name: str, status: int, study: SharedStudy) -> None:
        self._deaths_in_a_row = 0 if study.release(name) else self._deaths_in_a_row + 1
        if self._deaths_in_a_row >= study.pace.most_deaths:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise LabError(f"worker {name} ended ({how}) before it trained anything", "--workers")
        self._start()

"""One worker: takes a run that waits, trains it, records what came out, until all are done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass

from typing_extensions import override

from labs_lib import allotment
from labs_lib.endings import DEBUG_VARIABLE, describe, one_line_errors, tracebacks_wanted
from labs_lib.errors import LabError
from labs_lib.training.progress import Progress, Silent
from labs_lib.training.workers.study import FAILED, WITHDRAWN, SharedStudy
from labs_lib.training.workers.work import Pace, Work

TOLD = 2
"""The status of a process that ended with an error that is told in one line."""


@dataclass(frozen=True)
class Post:
    """One worker's place: the storage at `address`, its name there, and its share of the cores.

    With 0 `threads` it uses what the machine gives it. `quiet` keeps it from telling what it does,
    and `debug` has it show the traceback of an error.
    """

    address: str
    name: str
    pace: Pace
    threads: int = 0
    quiet: bool = False
    debug: bool = False


class RecordedError(LabError):
    """What ended a run and is recorded in the study, for the command that waits to tell."""


class TellLines(Silent):
    """Say in one line each what a worker begins; bars of several workers would mix."""

    def __init__(self, name: str):
        self._name = name

    @override
    def stage(self, text: str) -> None:
        """Print what is being done now, and who does it."""
        print(f"· {self._name}: {text}", file=sys.stderr, flush=True)


def work_as_process(work: Work, post: Post) -> None:
    """Work as a process of its own; a mistake ends it with status 2.

    Ctrl-C reaches all processes of a terminal: it is left to the command, which ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if post.debug:
        os.environ[DEBUG_VARIABLE] = "1"
    with one_line_errors(f"worker {post.name}"):
        try:
            do_what_waits(work, post)
        except RecordedError:
            if tracebacks_wanted():
                raise
            sys.exit(TOLD)  # the command says it, once for all workers


def do_what_waits(work: Work, post: Post) -> None:
    """Train runs until none of the work's is left to do, by this worker or by another.

    Raises `RecordedError` for what ended a run.
    """
    if post.threads:  # before torch is loaded, which reads it then
        os.environ[allotment.THREADS] = str(post.threads)
    progress: Progress = Silent() if post.quiet else TellLines(post.name)
    study = SharedStudy.open(post.address, work, post.pace)
    runs = work.runs()
    while not _abandoned():
        if _do_one(work, study, post.name, progress):
            continue
        if len(study.results(runs)) == len(runs):
            return
        time.sleep(post.pace.look_seconds)
        study.tend(runs)


def _do_one(work: Work, study: SharedStudy, name: str, progress: Progress) -> bool:
    claim = study.claim(name)
    if claim is None:
        return False
    progress.stage(work.describe(claim.run))
    try:
        with claim.kept_alive():
            result = work.do(claim.run, progress)
    except Exception as error:
        line = str(error) if isinstance(error, LabError) else describe(error)
        claim.give_up(f"{FAILED}{line}")
        raise RecordedError(line) from error
    except BaseException:  # a person's Ctrl-C, a batch system's end of time
        claim.give_up(WITHDRAWN)
        raise
    if not claim.finish(result, work.score(result)):
        progress.stage(f"{work.describe(claim.run)}: taken over by another worker")
    return True


def _abandoned() -> bool:
    """Return whether the process that started this one has gone."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()

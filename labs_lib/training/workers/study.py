"""The study that workers share: which runs wait, who trains which, what came out.

A run is a trial of Optuna, and Optuna's queue gives a waiting trial to one worker alone. Its
`GridSampler` would not do: a worker that finds the grid taken trains once more what another is
training. Nor does Optuna notice a worker's death except in a database; here a worker counts in its
trial, and one that has stopped counting is taken for dead, whatever its machine's clock says.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labs_lib.errors import LabError
from labs_lib.training.workers.storage import OPTION, open_storage, shown, turn, unreachable
from labs_lib.training.workers.work import Pace, Run, Work, key_of, plain

# What a trial keeps beside Optuna's own.
RUN, WORKER, BEAT, RESULT, ENDING = "run", "worker", "beat", "result", "ending"
MADE_OF = "made of"
SUPERSEDED, WITHDRAWN, FAILED = "superseded", "withdrawn", "failed: "
_CHANGED = {
    "recipe": "of another recipe",
    "data": "on other data",
    "versions": "of other library versions",
}


@dataclass
class Claim:
    """A run that this worker alone trains, until it ends or is taken for dead."""

    run: Run
    worker: str
    _study: SharedStudy
    _trial: Any

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Count in the trial while the block runs, so that others see that this worker lives."""
        stop = threading.Event()
        counting = threading.Thread(target=self._count_until, args=(stop,), daemon=True)
        counting.start()
        try:
            yield
        finally:
            stop.set()
            counting.join()

    def finish(self, result: dict[str, Any], score: float | None) -> bool:
        """Record what came out; returns False where the run was taken from this worker before.

        A storage that cannot be reached is tried again for as long as others believe in this
        worker.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        value = score if score is not None and not math.isnan(score) else math.inf
        until = time.monotonic() + self._study.pace.dead_after_seconds
        while True:
            try:
                self._trial.set_user_attr(RESULT, plain(result))
                return self._study.complete(self._trial.number, value)
            except UpdateFinishedTrialError:
                return False
            except unreachable():
                if time.monotonic() > until:
                    raise
                time.sleep(self._study.pace.look_seconds)

    def give_up(self, ending: str) -> None:
        """End the trial without a result; `ending` says why."""
        self._study.fail(self._trial, ending)

    def _count_until(self, stop: threading.Event) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        beat = 0
        while not stop.wait(self._study.pace.beat_seconds):
            beat += 1
            try:
                self._trial.set_user_attr(BEAT, beat)
            except UpdateFinishedTrialError:  # taken for dead: another worker trains it
                return
            except unreachable():
                continue  # the next beat may get through


class SharedStudy:
    """The runs of one sweep or comparison in a storage that other processes read and write."""

    def __init__(self, study: Any, pace: Pace, address: str):
        self._study = study
        self.pace = pace
        self._address = address
        self._beats: dict[int, tuple[int, float]] = {}
        self._earlier_trials = len(self._trials())

    @classmethod
    def open(cls, address: str, work: Work, pace: Pace) -> SharedStudy:
        """Open the study of this name in the storage, or make it.

        Raises `LabError` where the storage cannot be used, and where it holds results of another
        recipe, other data or other versions of the libraries.
        """
        storage = open_storage(address, pace)
        import optuna

        study = optuna.create_study(
            storage=storage,
            study_name=work.name,
            sampler=optuna.samplers.RandomSampler(),  # never asked: what is waiting is fixed
            load_if_exists=True,
        )
        here = plain(work.made_of)
        there = study.user_attrs.get(MADE_OF)
        if there is None:
            study.set_user_attr(MADE_OF, here)
        elif there != here:
            raise LabError(
                f"{shown(address)} holds a {work.name} {difference(there, here)}; give another "
                "storage, or delete it",
                OPTION,
            )
        return cls(study, pace, address)

    def restock(self, runs: Sequence[Run]) -> None:
        """Put into the queue each run that neither waits nor is being trained nor is done."""
        from optuna.trial import TrialState

        gone = (TrialState.FAIL, TrialState.PRUNED)
        there = {self._key(trial) for trial in self._trials() if trial.state not in gone}
        for run in runs:
            if key_of(run) not in there:
                self._study.enqueue_trial({}, user_attrs={RUN: plain(run)})

    def claim(self, worker: str) -> Claim | None:
        """Take the first run that waits; None where none does.

        Two commands that began at once may have put the same run into the queue. Of the trials of
        one run the first that did not fail counts, which every worker sees alike.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        while self._trials(TrialState.WAITING):
            with turn(self._address, self.pace):
                trial = self._study.ask()
            run = trial.user_attrs.get(RUN)
            try:
                if run is None or self._is_another_trials(run, trial.number):
                    self.fail(trial, SUPERSEDED)
                    continue
                trial.set_user_attr(WORKER, worker)
            except UpdateFinishedTrialError:
                continue
            return Claim(run, worker, self, trial)
        return None

    def results(self, runs: Sequence[Run]) -> dict[str, Any]:
        """Return run's key → result, for those of the runs that are done."""
        from optuna.trial import TrialState

        wanted = set(map(key_of, runs))
        found: dict[str, Any] = {}
        for trial in self._trials(TrialState.COMPLETE):
            if (key := self._key(trial)) in wanted:
                found.setdefault(key, trial.user_attrs[RESULT])
        return found

    def tend(self, runs: Sequence[Run]) -> None:
        """Put the runs of workers that have died, and whatever else is missing, into the queue."""
        from optuna.trial import TrialState

        now = time.monotonic()
        for trial in self._trials(TrialState.RUNNING):
            beat = trial.user_attrs.get(BEAT, 0)
            last, since = self._beats.get(trial.number, (None, now))
            if beat != last:
                self._beats[trial.number] = (beat, now)
            elif now - since > self.pace.dead_after_seconds:
                self._bury(trial.number)
        self.restock(runs)

    def release(self, worker: str) -> int:
        """Free what a worker that has ended was training; returns how many runs that was."""
        from optuna.trial import TrialState

        numbers = [
            trial.number
            for trial in self._trials(TrialState.RUNNING)
            if trial.user_attrs.get(WORKER) == worker
        ]
        for number in numbers:
            self._bury(number)
        return len(numbers)

    def failure_among(self, session: str) -> str:
        """Return why a worker whose name begins with `session` failed; empty where none did."""
        from optuna.trial import TrialState

        for trial in self._trials(TrialState.FAIL):
            ending = trial.user_attrs.get(ENDING, "")
            if ending.startswith(FAILED) and trial.user_attrs.get(WORKER, "").startswith(session):
                return ending.removeprefix(FAILED)
        return ""

    def deadly_run(self) -> Run | None:
        """Return a run that has cost so many workers their lives that it is not tried again.

        Counted from when this process opened the study: what ended workers before may be mended.
        """
        from optuna.trial import TrialState

        deaths: dict[str, int] = {}
        for trial in self._trials(TrialState.FAIL):
            if trial.number < self._earlier_trials or RUN not in trial.user_attrs:
                continue
            if ENDING not in trial.user_attrs:
                key = self._key(trial)
                deaths[key] = deaths.get(key, 0) + 1
                if deaths[key] >= self.pace.most_deaths:
                    return trial.user_attrs[RUN]
        return None

    def complete(self, number: int, value: float) -> bool:
        """End a trial with the number that Optuna shows for it; False where it had ended."""
        from optuna.trial import TrialState

        return self._study.tell(number, value, skip_if_finished=True).state == TrialState.COMPLETE

    def fail(self, trial: Any, ending: str) -> None:
        """End a trial without a result, unless another process has ended it."""
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            trial.set_user_attr(ENDING, ending)
            self._bury(trial.number)
        except UpdateFinishedTrialError:
            return

    def _bury(self, number: int) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        try:
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        except UpdateFinishedTrialError:  # by another process, since it was looked up
            return

    def _is_another_trials(self, run: Run, number: int) -> bool:
        from optuna.trial import TrialState

        key = key_of(run)
        for trial in self._trials():
            if self._key(trial) != key or trial.state == TrialState.FAIL:
                continue
            if trial.number < number or trial.state == TrialState.COMPLETE:
                return True
        return False

    def _trials(self, *states: Any) -> list[Any]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    @staticmethod
    def _key(trial: Any) -> str:
        run = trial.user_attrs.get(RUN)
        return "" if run is None else key_of(run)


def difference(there: dict[str, Any], here: dict[str, Any]) -> str:
    """Say in which part the two differ, and by which values where that fits into a line."""
    for part in dict.fromkeys((*here, *there)):
        old, new = there.get(part), here.get(part)
        if old == new:
            continue
        words = _CHANGED.get(part, f"with another {part}")
        if not isinstance(old, dict) or not isinstance(new, dict):
            return words
        name = next(key for key in (*new, *old) if old.get(key) != new.get(key))
        return f"{words} ({name} is {old.get(name)!r} there and {new.get(name)!r} here)"
    return "of something else"

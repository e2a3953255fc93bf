"""Numbers that a student's answer can rest on: runs, predictions, exercises, forecasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.assessment.progress import Event, item_states, try_to_read
from labs_lib.errors import LabError
from labs_lib.interview.questions import InterviewQuestion, Source, find
from labs_lib.paths import runs_dir
from labs_lib.tables import Table

if TYPE_CHECKING:
    from labs_lib.training import Run

MOST_RUNS = 4


@dataclass(frozen=True)
class Item:
    """One number that can be named in an answer; `there` is False where there is none yet."""

    shows: str
    number: str
    source: str
    there: bool


@dataclass(frozen=True)
class Evidence:
    """What a student's progress file and runs hold for a question, and what can be computed."""

    question: InterviewQuestion
    items: tuple[Item, ...]
    trouble: str = ""

    @property
    def own(self) -> tuple[Item, ...]:
        """Return the items that are there."""
        return tuple(item for item in self.items if item.there)

    def table(self) -> Table:
        """Return the items as a table: what it shows, the number, where it comes from."""
        rows = [(item.shows, item.number, item.source) for item in self.items]
        return Table.of(("what it shows", "your number", "where it comes from"), rows)

    @property
    def plain(self) -> str:
        """Return the items as lines of text."""
        lines = [f"- {item.shows}: {item.number} ({item.source})" for item in self.items]
        return "\n".join([*lines, *([self.trouble] if self.trouble else [])])

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def __repr__(self) -> str:
        return self.plain


def evidence(
    question_id: str,
    seed: int | None = None,
    *,
    events: Iterable[Event] | None = None,
    runs: Path | None = None,
) -> Evidence:
    """Return the numbers that the student can give with an answer.

    `events` are the student's own, and `runs` is their folder of runs, unless others are given. A
    run that cannot be read is left out. Raises `LabError` for an unknown question.
    """
    question = find(question_id)
    trouble = ""
    if events is None:
        events, trouble = try_to_read()
    events = list(events)
    found = [] if all(each.run is None for each in question.evidence) else runs_in(runs)
    computed = question.computed(seed)
    items: list[Item] = []
    for source in question.evidence:
        if source.figure is not None:
            how = ", ".join(f"{n} {v}" for n, v in question.drawn(seed).items())
            items.append(Item(source.shows, computed[source.figure], f"computed: {how}", True))
        elif source.run is not None:
            items.append(_of_runs(source, found))
        else:
            items.append(_of_events(source, events))
    return Evidence(question, tuple(items), trouble)


def runs_in(folder: Path | None = None) -> list[Run]:
    """Return the student's finished runs, the newest first; what cannot be read is left out."""
    paths = list((folder or runs_dir()).rglob("run.json"))
    if not paths:  # a student without runs waits for no PyTorch
        return []
    from labs_lib.training import Run

    runs: list[Run] = []
    for path in paths:
        try:
            runs.append(Run.load(path.parent))
        except LabError:
            continue
    return sorted(runs, key=lambda run: run.finished_utc, reverse=True)


def _of_events(source: Source, events: list[Event]) -> Item:
    if source.prediction is not None:
        return _of_prediction(source, source.prediction, events)
    item_id = source.exercise or source.question or ""
    state = item_states(event for event in events if event["id"] == item_id).get(item_id)
    kind = "exercise" if source.exercise else "question"
    where = f"{kind} {item_id}, lesson {source.made_in}"
    if state is None or not state.attempts:
        return Item(source.shows, "none yet", f"{where} makes it", False)
    times = "1 attempt" if state.attempts == 1 else f"{state.attempts} attempts"
    word = f"right ({times})" if state.ever_correct else f"not right yet ({times})"
    return Item(source.shows, word, where, state.ever_correct)


def _of_prediction(source: Source, prediction_id: str, events: list[Event]) -> Item:
    own = [event for event in events if event["id"] == prediction_id]
    outcomes = [event["outcome"] for event in own if event["event"] == "comparison"]
    where = f"prediction {prediction_id}, lesson {source.made_in}"
    if not outcomes:
        return Item(source.shows, "none yet", f"{where} makes it", False)
    guesses = [event.get("value") for event in own if event["event"] == "prediction"]
    said = f", you predicted {_shown(guesses[-1])}" if guesses else ""
    return Item(source.shows, f"{_shown(outcomes[-1])}{said}", where, True)


def _of_runs(source: Source, runs: list[Run]) -> Item:
    texts: list[str] = []
    for run in runs:
        if source.methods and run.recipe.method not in source.methods:
            continue
        number = _figure_of(run, source.run or "")
        if number:
            texts.append(f"{run.recipe.name} ({run.recipe.method}): {number}")
        if len(texts) == MOST_RUNS:
            break
    if not texts:
        of = f" by {' or '.join(source.methods)}" if source.methods else ""
        return Item(
            source.shows, "none yet", f"a run{of}; lesson {source.made_in} makes one", False
        )
    return Item(source.shows, "\n".join(texts), "run.json of your runs", True)


def _figure_of(run: Run, name: str) -> str:
    """Return one figure of a run as a text; empty where the run has none."""
    cost = run.cost
    if name == "trained":
        share = run.trainable_parameters / run.total_parameters
        return f"{run.trainable_parameters:,} of {run.total_parameters:,} parameters ({share:.2%})"
    if name == "loss":
        return f"training loss {run.losses[0]:.3f} → {run.losses[-1]:.3f}" if run.losses else ""
    if name == "held_out_loss":
        before, after = run.before.loss, run.after.loss
        return (
            "" if before is None or after is None else f"held-out loss {before:.3f} → {after:.3f}"
        )
    if name == "peak":
        return f"{cost.peak_bytes / 2**30:.2f} GiB ({cost.peak_kind})"
    if name == "pace":
        return f"{cost.seconds_per_step:.2f} s a step"
    if name == "file":
        return f"{cost.adapter_bytes / 2**20:.2f} MiB on disk"
    return _scores_of(run.scores(), name, len(run.after.prompts))


def _scores_of(scores: Mapping[str, Mapping[str, Any]], name: str, rows: int) -> str:
    if name == "score":
        return ", ".join(
            f"{metric.replace('_', ' ')} {each['before']:.0%} → {each['after']:.0%} of {rows} rows"
            for metric, each in scores.items()
        )
    return ", ".join(
        f"{metric.replace('_', ' ')} kept {each['kept']:.0%}"
        for metric, each in scores.items()
        if each["kept"] is not None
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(_shown(part) for part in value)
    return f"{value:,.4g}" if isinstance(value, float) else str(value)

"""What a student hands in, made in a second: rows, a run without its training, its card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from labs_lib import data
from labs_lib.data import DataSet, Row
from labs_lib.files import write_json
from labs_lib.handin import Rubric, Said, write_handin
from labs_lib.judging import score_answers, wilson_interval
from labs_lib.training import Recipe, Run
from labs_lib.training.evaluation import Evaluation
from labs_lib.training.run import Cost

ROWS = 40
RANK, WIDTH, LAYERS = 2, 576, 30
WORDS = Said(
    "fine-tune",
    "The examples cost 300 tokens a call and still miss the format.",
    "better",
    "It reads dates that the prompt does not read.",
)
CARD: dict[str, Any] = {
    "use": "To sort mails.",
    "not_for": "Medicine.",
    "limitations": "English alone.",
}


def rows(split: str, count: int) -> tuple[Row, ...]:
    """Rows of customers that no other split has."""
    return tuple(
        Row(f"Mail {number} of {split}", f"label {number % 3}", {"customer": f"{split}-{number}"})
        for number in range(count)
    )


SET = DataSet("mails", rows("train", 60), rows("validation", 8), rows("test", ROWS))


def answers(right: int, rows: tuple[Row, ...] = SET.test) -> tuple[str, ...]:
    """Answers of which the first `right` are right."""
    return tuple(row.completion if i < right else "no label" for i, row in enumerate(rows))


def write_rows(folder: Path, data_set: DataSet) -> Path:
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        text = data.to_jsonl(data_set.split(split))
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


def some_run(folder: Path, adapter: Path, data_set: DataSet = SET, right: int = 36) -> Run:
    """A finished run as `train` leaves it, without its training."""
    rows_folder = write_rows(folder / "rows", data_set)
    prompts = tuple(row.prompt for row in data_set.test)
    count = len(prompts)

    def evaluation(right: int, loss: float) -> Evaluation:
        marks = tuple(i < right for i in range(count))
        return Evaluation(prompts, answers(right, data_set.test), {"exact_match": marks}, loss)

    run = Run(
        recipe=Recipe.of(dataset=str(rows_folder), steps=20, rank=RANK, target_modules="q_proj"),
        trainable_parameters=2 * RANK * WIDTH * LAYERS,
        total_parameters=134_515_008,
        cost=Cost(20.0, 1.0, 4000, 200.0, 10**9, "live tensors", 2 * 10**9, {}, 10**6),
        losses=(2.0, 1.0, 0.5),
        before=evaluation(2, 2.0),
        after=evaluation(right, 0.4),
        hardware={"precision": "fp32"},
        versions={"torch": "2.13.0"},
        data_fingerprint=data.resolve(str(rows_folder)).fingerprint,
        finished_utc="2026-01-01T00:00:00+00:00",
        folder=folder / "run",
    )
    run.folder.mkdir()
    write_json(run.folder / "run.json", run.as_dict())
    shutil.copytree(adapter, run.folder / "adapter")
    return run


def write_the_card(run: Run, right: int = 36) -> None:
    from labs_lib.export import write_card

    write_card(
        run.folder,
        intervals={"exact_match": wilson_interval(right, ROWS)},
        baseline={"exact_match": 0.5},
        licence="apache-2.0",
        data_licence="cc0-1.0",
        language="en",
        **CARD,
    )


def hand_in(tmp_path: Path, adapter: Path, words: Said = WORDS, right: int = 36, best: int = 20):
    """Write a hand-in whose adapter has `right` rows of 40 right, and its best baseline `best`."""
    run = some_run(tmp_path, adapter, right=right)
    write_the_card(run, right)
    baselines = [
        score_answers(name, SET, SET.test, answers(count), "exact")
        for name, count in (("base model", 2), ("base model, 3 examples", best))
    ]
    return write_handin(
        tmp_path / "handin",
        run,
        baselines,
        wilson_interval(right, ROWS),
        metric="exact",
        entity="customer",
        words=words,
    )


def unmet(rubric: Rubric) -> dict[str, str]:
    return {each.name: each.why for each in rubric.criteria if each.met is not True}


def change(folder: Path, **fields: Any) -> None:
    path = folder / "handin.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | fields)

"""`write_handin(...)`: a run, its rows, its card and the student's words, in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labs_lib.assessment.predictions import latest_prediction
from labs_lib.assessment.progress import try_to_read
from labs_lib.errors import LabError, choice_error
from labs_lib.files import expanded, folder_written_aside, write_json
from labs_lib.handin.contents import (
    ADAPTER_FOLDER,
    CARD_FILE,
    CHOICES,
    CONCLUSIONS,
    DATA_FOLDER,
    SAID_FILES,
    HandIn,
)

if TYPE_CHECKING:
    from labs_lib.judging import Interval, Scores
    from labs_lib.training import Run


class Said(NamedTuple):
    """What a student has put into words so far; None or empty where there is nothing yet."""

    choice: str | None = None
    because: str = ""
    conclusion: str | None = None
    in_words: str = ""


def said(lesson: str = "07") -> Said:
    """Return what the student committed to by `predict` under the lesson's ids.

    The ids are `07.choice`, `07.because`, `07.conclusion` and `07.in-words`. Raises `LabError` for
    a choice or a conclusion that is none of the legal ones.
    """
    events, _ = try_to_read()

    def latest(name: str) -> str:
        found = latest_prediction(events, f"{lesson}.{name}")
        return " ".join(str(found[0]).split()) if found else ""

    def one_of(name: str, legal: tuple[str, ...]) -> str | None:
        value = latest(name).lower()
        if value and value not in legal:
            raise choice_error(f"{lesson}.{name}", value, legal)
        return value or None

    return Said(
        one_of("choice", CHOICES),
        latest("because"),
        one_of("conclusion", CONCLUSIONS),
        latest("in-words"),
    )


def write_handin(
    folder: str | Path,
    run: Run,
    baselines: Sequence[Scores],
    interval: Interval | tuple[float, float] | None = None,
    *,
    metric: str,
    entity: str | None = None,
    words: Said | None = None,
) -> Path:
    """Write the folder that is handed in, and return it; an earlier one is replaced.

    It holds handin.json, the run's run.json, adapter/ and README.md, and its rows as data/. `words`
    are the student's, by default those of `said()`. Raises `LabError` for a run without a model
    card, and for a folder that holds anything but an earlier hand-in.
    """
    folder = expanded(folder)
    words = words or said()
    card = run.folder / CARD_FILE
    rows = expanded(run.recipe.dataset)
    if not card.is_file():
        raise LabError(f"hand-in: {run.folder} has no model card; `write_card` writes one")
    if not rows.is_dir():
        raise LabError(f"hand-in: the run's rows are no folder ({run.recipe.dataset})")
    if folder.exists() and not (folder / SAID_FILES[0]).is_file() and any(folder.iterdir()):
        raise LabError(f"hand-in: {folder} holds other files; name a new folder")
    content = HandIn(
        metric=metric,
        baselines=tuple(baselines),
        interval=None if interval is None else (interval[0], interval[1]),
        entity=entity,
        choice=words.choice,  # pyright: ignore[reportArgumentType]
        because=words.because,
        conclusion=words.conclusion,  # pyright: ignore[reportArgumentType]
        in_words=words.in_words,
    )
    with folder_written_aside(folder) as aside:
        write_json(aside / SAID_FILES[0], content.model_dump(mode="json"))
        shutil.copy(run.folder / "run.json", aside)
        shutil.copy(card, aside / CARD_FILE)
        shutil.copytree(run.output, aside / ADAPTER_FOLDER)
        shutil.copytree(rows, aside / DATA_FOLDER)
    return folder

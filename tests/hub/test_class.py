"""A class on a hub: each student takes lesson 00 in a home of their own, with the others there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from hub_client import FailedCellError, Hub, Student

from labs_lib import paths

LESSON = "lora-lab/00_start_here.ipynb"
# Who takes the lesson alone, and who take it at once, each with a prediction of their own.
FIRST = "ann"
AT_ONCE = {"ben": 11, "cem": 22, "dora": 33}
PREDICTION = "00.in-voice-percent"
MOST_TIMES = 3.5  # as long as one student alone
LESSON_SECONDS = 900


def cells_for(student: Student, prediction: int) -> list[str]:
    """Return the code of the student's own copy, with a prediction in it."""
    notebook = nbformat.read(student.home / LESSON, as_version=4)
    blank, filled = f'predict("{PREDICTION}", ...)', f'predict("{PREDICTION}", {prediction})'
    cells = [cell.source.replace(blank, filled) for cell in notebook.cells]
    assert any(filled in cell for cell in cells)
    return [
        text
        for text, cell in zip(cells, notebook.cells, strict=True)
        if cell.cell_type == "code"
    ]  # fmt: skip


def take(student: Student, prediction: int) -> float:
    """Take the lesson and return the seconds of its cells."""
    return student.run(LESSON, cells_for(student, prediction), LESSON_SECONDS)


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return each file below a folder, with its size and time of change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def predictions_of(student: Student) -> list[float]:
    """Return what the log in the student's own home holds as predictions of the voice."""
    log = student.home / ".local" / "share" / "lora-lab" / "progress.jsonl"
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    made = [event for event in events if event["event"] == "prediction"]
    return [event["value"] for event in made if event["id"] == PREDICTION]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_students_take_the_lesson_at_once_with_progress_apart(
    class_hub: Hub, record_property: pytest.RecordProperty
):
    shared = files_of(paths.cache_dir())
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(class_hub.student, [FIRST, *AT_ONCE])
        alone = take(first, 77)
        seconds = list(pool.map(take, others, AT_ONCE.values()))
    record_property("seconds_alone", alone)
    record_property("seconds_at_once", max(seconds))
    assert predictions_of(first) == [77]
    for student, prediction in zip(others, AT_ONCE.values(), strict=True):
        assert predictions_of(student) == [prediction]
        assert (student.home / ".local/share/lora-lab/runs/sea-captain/run.json").is_file()
        assert not list(student.home.rglob("model.safetensors")), "the model is shared"
    assert files_of(paths.cache_dir()) == shared, "nobody writes to what all share"
    assert max(seconds) <= MOST_TIMES * alone, (alone, seconds)


def test_a_students_cell_sees_the_share_and_the_students_folders(class_hub: Hub):
    student = class_hub.student("eve")
    student.run(
        LESSON,
        [
            "import os\nfrom labs_lib import allotment, paths\nfrom labs_lib.workbook import *",
            "assert os.environ['OMP_NUM_THREADS'] == '1', allotment.core_limits()",
            "assert allotment.tightest(allotment.memory_limits()).amount <= 3 * 2**30",
            "assert paths.data_dir().is_relative_to(os.environ['HOME']), paths.data_dir()",
            "assert not paths.cache_dir().is_relative_to(os.environ['HOME'])",
            "lesson = find_lesson(course_folder(), '00')",
            "assert str(lesson.file).startswith(os.environ['HOME']), lesson.file",
        ],
        60,
    )
    with pytest.raises(FailedCellError, match="division"):
        student.run(LESSON, ["1 / 0"], 60)

"""Who has sent what: learning platforms' names, a hub's homes, and what is nobody's hand-in."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Generator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from classroom_making import a_class, put

from benchmarks.mutant_archives import DAMAGES, handed
from benchmarks.mutants import Course
from labs_lib.classroom.collecting import Collected, collect
from labs_lib.classroom.senders import Member, read_roster, sender_of
from labs_lib.errors import LabError

ADA, BOB = Member("17", "Ada Lovelace", "4711"), Member("18", "Bob Lee", "4712")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Generator[Course]:
    with a_class(tmp_path_factory.mktemp("class")) as (course, _):
        yield course


def collected(course: Course, folder: Path, **options: Any) -> Collected:
    return collect([folder / "inbox"], course.release, folder / "out", **options)


@pytest.mark.parametrize(
    ("path", "student", "late"),
    [
        ("Ada Lovelace_99812_assignsubmission_file_/hand-in-x.zip", "17", False),
        ("Ada Lovelace_99812_assignsubmission_file_hand-in-x.zip", "17", False),
        ("Eve_99812_assignsubmission_file_/hand-in-17.zip", "Eve", False),
        ("lovelaceada_4711_556677_hand-in-17.zip", "17", False),
        ("lovelaceada_LATE_4711_556677_hand-in-17-1.zip", "17", True),
        ("leebob_1_556677_hand-in-18.zip", "18", False),
        ("hand-in-18.zip", "18", False),
        ("hand-in-18 (1).zip", "18", False),
        ("work.zip", "", False),
    ],
)
def test_a_sender_is_read_from_the_names_that_platforms_give(path: str, student: str, late: bool):
    sender = sender_of(path, (ADA, BOB))
    assert (sender.student, sender.late) == (student, late)


def test_a_zip_from_moodle_is_read_without_unpacking_it(tmp_path: Path, course: Course):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, student in (("Ada Lovelace", "17"), ("Bob Lee", "17")):
            place = f"{name}_12_assignsubmission_file_/hand-in-{student}.zip"
            archive.writestr(place, handed(course.perfect(student, 5)))
    (tmp_path / "inbox").write_bytes(file.getvalue())
    found = collected(course, tmp_path, roster=(ADA, BOB))
    assert [bool(each.file) for each in found.students] == [True, False]
    assert "sent by '18', and it is the hand-in of '17'" in found.strays[0]


def test_without_a_class_list_the_platform_says_who_it_is(tmp_path: Path, course: Course):
    for name in ("Ada Lovelace", "Bob Lee"):
        put(tmp_path / "inbox" / f"{name}_12_assignsubmission_file_", "hand-in-17.zip",
            course.perfect("17", 5))  # fmt: skip
    found = collected(course, tmp_path)
    assert [each.student for each in found.students] == ["Ada Lovelace", "Bob Lee"]
    for student in found.students:
        assert "the hand-in calls its student '17'" in student.remarks
        assert any("the same answers and cells as" in each for each in student.remarks)


def test_a_hubs_homes_and_a_link_into_another(tmp_path: Path, course: Course):
    own = put(tmp_path / "inbox" / "17" / "week", "hand-in-17.zip", course.perfect("17", 5))
    (tmp_path / "inbox" / "18").mkdir()
    (tmp_path / "inbox" / "18" / "hand-in-18.zip").symlink_to(own)
    found = collected(course, tmp_path, roster=(ADA, BOB), homes=True)
    assert [bool(each.file) for each in found.students] == [True, False]
    assert found.students[1].remarks == ("a file is no hand-in: it is a link to another file",)


def test_missing_late_twice_and_not_from_here(tmp_path: Path, course: Course):
    release = course.release.model_copy(update={"due": "2026-01-01T12:00:00+00:00"})
    early = put(tmp_path / "inbox", "hand-in-17.zip", course.perfect("17", 5))
    late = put(tmp_path / "inbox" / "b", "hand-in-17.zip", course.perfect("17", 6))
    put(tmp_path / "inbox", "hand-in-18.zip", {**course.perfect("18", 5), "release": "other"})
    put(tmp_path / "inbox", "hand-in-19.zip", course.perfect("19", 5))
    for path, hour in ((early, 11), (late, 13)):
        moment = datetime(2026, 1, 1, hour, tzinfo=timezone.utc).timestamp()
        os.utime(path, (moment, moment))
    found = collect([tmp_path / "inbox"], release, tmp_path / "out", (ADA, BOB))
    assert (found.of("missing"), found.of("late"), found.of("twice")) == (["18"], ["17"], ["17"])
    assert '"seed":6' in (tmp_path / "out" / found.students[0].file).read_text("utf-8")
    assert any("not from this release but from 'other'" in each for each in found.strays)
    assert any("'19' is not on the class list" in each for each in found.strays)


def test_one_seed_of_two_students_is_told(tmp_path: Path, course: Course):
    for student in ("17", "18"):
        content = course.perfect(student, 5)
        content["responses"] = content["responses"][int(student) - 17 :]
        put(tmp_path / "inbox", f"hand-in-{student}.zip", content)
    found = collected(course, tmp_path)
    assert [each.remarks for each in found.students] == [
        ("the same seed as '18'",), ("the same seed as '17'",),
    ]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.name)
def test_a_damaged_file_is_a_line_and_no_crash(damage: Any, tmp_path: Path, course: Course):
    import random

    content = damage.damaged(course.perfect("17", 5), random.Random(3))
    put(tmp_path / "inbox", "hand-in-17.zip", content)
    found = collected(course, tmp_path, roster=(ADA,))
    assert bool(found.students[0].file) == damage.graded
    assert len(found.strays) == (not damage.graded)
    assert not Path("/tmp/labs-escaped").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("who,what\na,b\n", "needs a column `student`; it has who, what"),
        ("student,name\n17,Ada\n17,Bob\n", "r.csv:3: 17 is there twice"),
        ("student\n", "lists nobody"),
    ],
)
def test_a_class_list_that_cannot_be_used(text: str, said: str, tmp_path: Path):
    (tmp_path / "r.csv").write_text(text, "utf-8")
    with pytest.raises(LabError, match=said):
        read_roster(tmp_path / "r.csv")


def test_a_class_list_as_canvas_and_moodle_export_it(tmp_path: Path):
    path = tmp_path / "r.csv"
    path.write_text("\ufeffFull name,ID number,Email address\nAda,17,a@b.c\n", "utf-8")
    assert read_roster(path) == (Member("17", "Ada", "", "a@b.c"),)


def test_what_was_not_collected_is_not_written_over(tmp_path: Path, course: Course):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x", "utf-8")
    (tmp_path / "inbox").mkdir()
    with pytest.raises(LabError, match="holds other files"):
        collected(course, tmp_path)

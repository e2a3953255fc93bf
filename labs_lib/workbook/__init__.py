"""The student's own copies of the lessons: laid without outcomes, started again, updated."""

from labs_lib.workbook.laying import (
    FOLDER,
    Laid,
    Lesson,
    State,
    course_folder,
    find_lesson,
    lay,
    lessons_of,
)
from labs_lib.workbook.merging import Carried, merged
from labs_lib.workbook.renewing import Renewal, bring_in_update, start_again

__all__ = [
    "FOLDER",
    "Carried",
    "Laid",
    "Lesson",
    "Renewal",
    "State",
    "bring_in_update",
    "course_folder",
    "find_lesson",
    "lay",
    "lessons_of",
    "merged",
    "start_again",
]

"""Lay the lessons of a course's folder; the launcher calls this before it opens them."""

from __future__ import annotations

import sys
from pathlib import Path

from labs_lib.endings import one_line_errors
from labs_lib.workbook.laying import Laid, State, lay


def news(laid: list[Laid]) -> list[str]:
    """Return what a student should know: where the work is, and which lessons have a newer text."""
    lines = []
    if any(each.state is State.LAID for each in laid):
        folder = laid[0].lesson.file.parent.name
        lines.append(f"Your lessons are in {folder}/; what you change there is never overwritten.")
    if newer := [each.lesson.number for each in laid if each.update]:
        call = "python3 course.py lesson NUMBER --update"
        lines.append(
            f"The author has a newer text of {', '.join(newer)}: {call} brings it in and keeps "
            "your work."
        )
    return lines


def main() -> None:
    """Lay what is missing, renew what the student has not changed, and tell what is new."""
    for line in news(lay(Path(sys.argv[1]))):
        print(line, flush=True)


if __name__ == "__main__":
    with one_line_errors("course.py"):
        main()

"""The walls for the tests: bubblewrap, by apt-get where it is missing and that can be done.

`python -m labs_lib.classroom.walls.bringing` says on standard error what was fetched or is missing;
without it, the tests of the walls are skipped.
"""

from __future__ import annotations

import shutil
import sys

from labs_lib.browser import by_apt, say
from labs_lib.classroom.walls.ways import find_way
from labs_lib.errors import LabError


def main() -> None:
    """Bring bubblewrap on Linux, and say what keeps it from working."""
    if not sys.platform.startswith("linux"):
        return
    if shutil.which("bwrap") is None and (reason := by_apt("bubblewrap")):
        say(f"no bubblewrap here, so students' code is not tested behind walls ({reason})")
        return
    try:
        find_way("bubblewrap")
    except LabError as error:
        say(str(error))


if __name__ == "__main__":
    main()

"""Prepare the bundled model; the launcher calls this while it sets up."""

from __future__ import annotations

import sys
import time

from labs_lib.errors import LabError
from labs_lib.models.bundled import BUNDLED_NAME, prepare_bundled


def main() -> int:
    """Convert if need be, print what is done, and return the exit status."""
    start = time.perf_counter()
    try:
        folder = prepare_bundled(lambda line: print(line, flush=True))
    except LabError as error:
        print(f"labs: {error}", file=sys.stderr)
        return 2
    print(f"{BUNDLED_NAME} ready in {folder} ({time.perf_counter() - start:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prepare the bundled model; the launcher calls this while it sets up."""

from __future__ import annotations

import time

from labs_lib.endings import one_line_errors
from labs_lib.models.bundled import BUNDLED_NAME, prepare_bundled


def main() -> None:
    """Convert if need be and print what is done; an error is one line and exit status 2."""
    start = time.perf_counter()
    folder = prepare_bundled(lambda line: print(line, flush=True))
    print(f"{BUNDLED_NAME} ready in {folder} ({time.perf_counter() - start:.1f} s)")


if __name__ == "__main__":
    with one_line_errors("labs"):
        main()

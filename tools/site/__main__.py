"""`python -m tools.site [--repository ADDRESS]`: build the reading edition into build/site."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from labs_lib.errors import LabError
from tools.site.building import OUTPUT, build, settings


def main(arguments: list[str]) -> int:
    """Build the site and say where it is; return the exit status."""
    parser = argparse.ArgumentParser(prog="site", description="Build the reading edition.")
    parser.add_argument("--repository", metavar="ADDRESS", help="where the course is kept")
    parser.add_argument(
        "--out", type=Path, default=OUTPUT, metavar="FOLDER", help="build/site, if none is named"
    )
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        pages = build(options.out, settings(options.repository))
    except LabError as error:
        print(f"site: {error}", file=sys.stderr)
        return 2
    seconds = time.perf_counter() - started
    print(f"{pages} pages in {seconds:.0f} s: {options.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

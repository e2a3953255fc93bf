"""`python -m tools.film`: render the film, its captions, its transcript and its poster.

`--check` only says whether they are up to date; `--stills FOLDER` writes single frames to look at.
Needs the packages of the extra `film`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from labs_lib.files import written_aside
from tools.film import made
from tools.film.captions import transcript, webvtt
from tools.film.script import duration
from tools.film.stills import save_stills, still

POSTER_SECOND = 100.0


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments ask for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.film", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    parser.add_argument("--stills", type=Path, metavar="FOLDER", help="write frames as PNG")
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="between them")
    chosen = parser.parse_args(arguments)
    if chosen.check:
        faults = made.out_of_date()
        print("\n".join([*faults, "render it: python -m tools.film"] if faults else ["up to date"]))
        return 1 if faults else 0
    if chosen.stills:
        moments = [chosen.every * n for n in range(int(duration() / chosen.every) + 1)]
        save_stills(chosen.stills, [moment for moment in moments if moment < duration()])
        return 0
    render()
    return 0


def render() -> None:
    """Write everything into `film/`; the record comes last, when all else is there."""
    from tools.film.encoding import encode

    began = time.monotonic()
    made.FOLDER.mkdir(exist_ok=True)
    encode(made.FILM, _tell)
    still(made.POSTER, POSTER_SECOND)
    for path, text in (
        (made.CAPTIONS, webvtt()),
        (made.TRANSCRIPT, transcript()),
        (made.RECORD, json.dumps(made.record(), indent=2) + "\n"),
    ):
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8", newline="\n")
    megabytes = made.FILM.stat().st_size / 1e6
    print(f"\n{made.FILM}: {megabytes:.1f} MB, made in {time.monotonic() - began:.0f} s")


def _tell(done: int, of: int) -> None:
    if done % 200 == 0 or done == of:
        print(f"\r{done} of {of} frames", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())

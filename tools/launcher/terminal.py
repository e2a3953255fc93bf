"""What a person sees of the launcher."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print a step of the set-up with its seconds."""
    started = time.monotonic()
    yield
    say(f"  {time.monotonic() - started:4.0f} s  {what}")


def print_anything() -> None:
    """Write a letter that the terminal's encoding lacks as its number."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

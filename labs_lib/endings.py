"""How a program of the course ends: one line for a person, a traceback only when asked for."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import click

from labs_lib.errors import LabError, last_line
from labs_lib.streams import abandon_output, finish_output, make_output_safe

DEBUG_VARIABLE = "LABS_DEBUG"
NOBODY_READS = 141  # what a shell reports of a program that SIGPIPE ended
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_asked = False


def ask_for_tracebacks(_context: click.Context, _parameter: click.Parameter, value: Any) -> None:
    """Note that `--debug` was given; a click callback."""
    global _asked
    _asked = _asked or bool(value)


def tracebacks_wanted() -> bool:
    """Return whether `--debug` or `LABS_DEBUG=1` asks for tracebacks."""
    return _asked or os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


@contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """End the program as a person can use it, whatever happens inside the block.

    Bad input is one line on stderr and exit status 2. So is an error nobody foresaw: what was
    being done, the library's last line and how to see the traceback. A stop by hand is status 130;
    a reader that has gone (`labs models | head -1`) ends the program without a word.
    """
    global _asked
    _asked = False
    make_output_safe()
    try:
        try:
            yield
        finally:
            finish_output()
    except click.exceptions.NoArgsIsHelpError as error:  # help is no mistake, and has many lines
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except (LabError, click.ClickException) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        _end(program, text, error)
    except (click.Abort, KeyboardInterrupt):
        _say(f"{program}: stopped")
        abandon_output()
        sys.exit(130)
    except BrokenPipeError:
        abandon_output()
        sys.exit(NOBODY_READS)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EINVAL and _reader_is_gone():
            sys.exit(NOBODY_READS)
        _end(program, describe(error), error)


def describe(error: Exception) -> str:
    """Return one line on an error nobody foresaw: where it came from, and its last line."""
    kind, reason = type(error).__name__, last_line(error)
    if reason == kind:  # it says nothing
        reason = "there is not enough memory" if isinstance(error, MemoryError) else ""
    message = f"{kind}: {reason}" if reason else kind
    doing, library = _origin(error.__traceback__)
    at = f" while in {doing}" if doing else ""
    of = f" {library} says" if library else ""
    return f"stopped{at}:{of} {message} (--debug shows the traceback)"


def _origin(trace: TracebackType | None) -> tuple[str, str]:
    """Return the course's innermost function on the way to the error, and the library beyond it."""
    doing = library = ""
    for frame, _ in traceback.walk_tb(trace):
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        if top == "labs_lib":
            if module not in ("labs_lib.cli", "labs_lib.endings"):
                place = module.removeprefix("labs_lib.")
                doing, library = f"{place}.{frame.f_code.co_name}".replace(".__main__", ""), ""
        elif doing and not library and top != "click" and top not in sys.stdlib_module_names:
            library = top
    return doing, library


def _end(program: str, text: str, error: Exception) -> None:
    if tracebacks_wanted():
        traceback.print_exception(error)
    # A terminal obeys control characters, and a stranger's file may hold them.
    plain = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", " ".join(text.split()))
    _say(f"{program}: {plain}")
    abandon_output()
    sys.exit(2)


def _say(line: str) -> None:
    try:
        click.echo(line, err=True)
    except (OSError, ValueError):  # nobody reads stderr either
        abandon_output()


def _reader_is_gone() -> bool:
    """Return whether standard output is a pipe that was closed, as Windows reports it."""
    try:
        finish_output()
    except OSError:
        abandon_output()
        return True
    return False

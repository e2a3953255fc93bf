"""The command line of the launcher."""

from __future__ import annotations

import argparse
import contextlib
import errno
import sys

from tools.launcher import verbs
from tools.launcher.complaints import CourseError, explain


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise the complaint; the caller prints it and exits with status 2."""
        raise CourseError(f"{message} (see python3 course.py --help)")


def port_number(text: str) -> int:
    """Read a port."""
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; legal: 1 to 65535")
    return int(text)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; without a verb it is `start`."""
    parser = OneLineParser(prog="course.py", description="LoRA Lab: set up, open, test.")
    commands = parser.add_subparsers(dest="verb", metavar="VERB")
    commands.add_parser("setup", help="install what is missing").set_defaults(run=verbs.setup)
    starting = commands.add_parser(
        "start", help="open JupyterLab on the first lesson (the default)"
    )
    starting.add_argument("--no-browser", action="store_true", help="only print the address")
    starting.add_argument("--port", type=port_number, help="listen on this port")
    starting.set_defaults(run=verbs.start)
    renewing = commands.add_parser("lesson", help="start a lesson again, or bring in its new text")
    renewing.add_argument(
        "lesson", nargs="?", metavar="NUMBER", help="such as 02; without it: list"
    )
    either = renewing.add_mutually_exclusive_group()
    either.add_argument("--again", action="store_true", help="start it again; your file is kept")
    either.add_argument("--update", action="store_true", help="the author's text, with your work")
    renewing.set_defaults(run=verbs.lesson)
    commands.add_parser("demo", help="fine-tune a model and compare").set_defaults(run=verbs.demo)
    testing = commands.add_parser("test", help="run every check of the course")
    testing.add_argument("--fast", action="store_true", help="leave out training and the browser")
    testing.set_defaults(run=verbs.test)
    executing = commands.add_parser("notebooks", help="sync notebooks with their sources, execute")
    executing.add_argument("names", nargs="*", metavar="NAME", help="all, if none is named")
    executing.add_argument(
        "--record-times", action="store_true", help="record the seconds that they took"
    )
    executing.set_defaults(run=verbs.notebooks)
    publishing = commands.add_parser("site", help="build the lessons as pages to read")
    publishing.add_argument(
        "--repository", metavar="ADDRESS", help="where the course is kept, for the lessons' badges"
    )
    publishing.set_defaults(run=verbs.site)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["start", *arguments]
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run a verb; what stops it is one line on stderr and exit status 2."""
    try:
        options = parse(arguments)
        return options.run(options)
    except CourseError as error:
        complaint = str(error)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print("\ncourse.py: stopped; the next call goes on from here", file=sys.stderr)
        return 130
    except OSError as error:
        full = error.errno == errno.ENOSPC
        complaint = explain("No space left on device") if full else f"{error}"
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"course.py: {complaint}", file=sys.stderr)
    return 2

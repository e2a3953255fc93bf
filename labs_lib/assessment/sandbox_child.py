"""The other side of `sandbox`: runs the work, reports once, as one line of JSON."""

from __future__ import annotations

import builtins
import contextlib
import dis
import gc
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

from labs_lib.assessment.outcomes import WrongFormError
from labs_lib.assessment.plain import TooLargeError, encode, plain_text
from labs_lib.assessment.sandbox_report import RESULT_BYTES
from labs_lib.assessment.sandbox_walls import raise_walls


class Exited(BaseException):
    """The student's code called exit, quit or sys.exit."""


def settle(output: int, result: int) -> None:
    """Make a forked process its own: output to the pipe, no input, none of the parent's files."""
    import faulthandler
    import signal

    # Else the first search for garbage visits, and thereby copies, all that the parent holds.
    gc.freeze()
    # A crash is told in the report, not as a dump into the notebook.
    faulthandler.disable()
    signal.set_wakeup_fd(-1)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Taken rather than closed: whoever still holds the number must not meet another file there.
    for held in _open_files():
        if held not in (1, 2, result, nothing):
            os.dup2(nothing, held)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        os.fdopen(1, "wb", buffering=0, closefd=False),
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )
    _quiet_notebook()
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        # The OpenMP team of the parent did not survive the fork.
        torch.set_num_threads(1)
        torch.set_num_threads = _ignore


def _ignore(*_: Any, **__: Any) -> None:
    pass


def _open_files() -> list[int]:
    try:
        return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    except OSError:
        return list(range(3, 256))


def _quiet_notebook() -> None:
    """Let what would be sent to the notebook (display, widgets, logs) count as printed."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return

    def publish(data: Any = None, *_: Any, **__: Any) -> None:
        fields = cast("dict[Any, Any]", data)
        print(fields.get("text/plain", "(a display)") if isinstance(data, dict) else data)

    def send(_: Any, message: Any, content: Any = None, *__: Any, **___: Any) -> None:
        fields = cast("dict[Any, Any]", content)
        print(fields.get("text", message) if isinstance(content, dict) else message)

    shell.display_pub.publish = publish
    session = getattr(getattr(shell, "kernel", None), "session", None)
    if session is not None:
        session.send = send


def report_of(
    work: Callable[[], Any],
    student_files: tuple[str, ...],
    folder: Path,
    started: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Call `work` and return the report: its plain result, or the error and its line.

    `started()` is called just before it, and before that, in this process, the work's
    `make_ready()` if it has one. `folder` is the only place where the work may write.
    """
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    raise_walls(folder)
    _replace_ways_out()
    getattr(work, "make_ready", lambda: None)()
    tuples = bool(getattr(work, "tuples", False))
    started()
    try:
        return {"ending": "returned", "value": encode(work(), tuples)}
    except (SystemExit, Exited):
        message = "Your code asks Python to exit (exit, quit or sys.exit)."
        return {"ending": "exited", "type": "SystemExit", "message": message}
    except TooLargeError:
        return {"ending": "too large"}
    except BaseException as error:
        file, line = _where(error, student_files)
        return {
            "ending": "raised",
            "type": plain_text(type(error).__name__, 60),
            "message": _said(error),
            "file": file,
            "line": line,
            "unfinished": is_unfinished(error, student_files),
            "wrong_form": isinstance(error, WrongFormError),
        }


def report_line(report: dict[str, Any]) -> bytes:
    """Return a report as one line of JSON, or one that says that it is too large."""
    line = json.dumps(report).encode() + b"\n"
    return line if len(line) <= RESULT_BYTES else b'{"ending": "too large"}\n'


def send(descriptor: int, line: bytes) -> None:
    """Write a line to a pipe, whole."""
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]


def is_unfinished(error: BaseException, student_files: tuple[str, ...]) -> bool:
    """Return whether a line of the student's, and no library, raised this NotImplementedError.

    A function written in C has no frame of its own, so the instruction tells a `raise` from a
    call. What came of another error is work, not a blank.
    """
    trace = error.__traceback__
    if type(error) is not NotImplementedError or trace is None:
        return False
    if error.__cause__ is not None or error.__context__ is not None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    raised = dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    return raised and code.co_filename in student_files


def _said(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "the function calls itself without end"
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, SyntaxError):
        return plain_text(error.msg)  # without the file and the line, which are told apart
    try:
        return plain_text(error)
    except Exception:
        return ""


def _where(error: BaseException, student_files: tuple[str, ...]) -> tuple[str | None, int | None]:
    """Return file and line of the deepest frame that is the student's."""
    found: tuple[str | None, int | None] = (None, None)
    if isinstance(error, SyntaxError) and error.filename in student_files:
        return error.filename, error.lineno
    trace = error.__traceback__
    for _ in range(5000):
        if trace is None:
            break
        if trace.tb_frame.f_code.co_filename in student_files:
            found = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return found


def _replace_ways_out() -> None:
    def leave(*_: object) -> NoReturn:
        raise Exited

    def no_input(*_: object) -> NoReturn:
        raise RuntimeError("a checked function cannot ask for input()")

    builtins.input = no_input
    for name in ("exit", "quit"):
        setattr(builtins, name, leave)
        # IPython keeps its own in the notebook's variables.
        main = sys.modules.get("__main__")
        if main is not None and name in main.__dict__:
            main.__dict__[name] = leave


def main(folder: Path) -> None:
    """Run the work that a parent left in `folder` and leave the report there."""
    import dill  # pyright: ignore[reportMissingTypeStubs]  # brings no types

    pickling: Any = dill
    work, student_files = pickling.loads((folder / "work").read_bytes())

    with contextlib.suppress(Exception):
        getattr(work, "prepare", lambda: None)()
    started = (folder / "started").touch
    line = report_line(report_of(work, student_files, folder, started))
    aside = folder / "report.part"
    aside.write_bytes(line)
    aside.replace(folder / "report")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

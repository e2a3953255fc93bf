"""The other side of `sandbox`: runs the work, reports once, as JSON."""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

MEMORY_BYTES = 4 * 2**30


class Exited(BaseException):
    """The student's code called exit, quit or sys.exit."""


def settle(output: int) -> None:
    """Make a forked process its own: output to the pipe, no input, one thread, bounded memory."""
    import faulthandler
    import signal

    # A crash is told in the report, not as a dump into the notebook.
    faulthandler.disable()
    signal.set_wakeup_fd(-1)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        os.fdopen(1, "wb", buffering=0, closefd=False), encoding="utf-8", write_through=True
    )
    torch = sys.modules.get("torch")
    if torch is not None:
        # The OpenMP team of the parent did not survive the fork.
        torch.set_num_threads(1)


def bound_memory() -> None:
    """Let this process grow by at most MEMORY_BYTES, where the system can say so."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def report_of(work: Callable[[], Any], student_files: tuple[str, ...]) -> dict[str, Any]:
    """Call `work` and return the report: its plain result, or the error and its line."""
    from labs_lib.assessment.plain import encode

    bound_memory()
    _replace_ways_out()
    try:
        return {"ending": "returned", "value": encode(work())}
    except (SystemExit, Exited):
        message = "Your code asks Python to exit (exit, quit or sys.exit)."
        return {"ending": "exited", "type": "SystemExit", "message": message}
    except BaseException as error:
        file, line = _where(error, student_files)
        return {
            "ending": "raised",
            "type": type(error).__name__,
            "message": _said(error),
            "file": file,
            "line": line,
        }


def send(descriptor: int, report: dict[str, Any]) -> None:
    """Write the report to a pipe."""
    view = memoryview(json.dumps(report).encode())
    while view:
        view = view[os.write(descriptor, view) :]


def _said(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "the function calls itself without end"
    if isinstance(error, MemoryError):
        return "out of memory"
    try:
        return " ".join(str(error).split())[:300]
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
    import dill

    work, student_files = dill.loads((folder / "work").read_bytes())
    (folder / "started").touch()
    report = report_of(work, student_files)
    aside = folder / "report.part"
    aside.write_text(json.dumps(report), encoding="utf-8")
    aside.replace(folder / "report")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

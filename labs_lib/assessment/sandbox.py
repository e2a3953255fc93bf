"""Student code in a process of its own: stopped when it loops, exits or floods; we live on.

Not a wall against cheating: the code is the student's, on the student's machine. It keeps the
notebook's process alive, whatever the code does, believes nothing that comes back before it has
been held to a form, and never unpickles it.

On Linux the process is forked, which takes some milliseconds, sees the notebook's variables and
needs no import again (as PyTorch's DataLoader does for its workers). Elsewhere, and once CUDA is
in use, a fork is not safe: a new Python starts, and the function is sent to it with `dill`. So it
is where a forked process hangs without computing, which a lock that another thread held at the
fork can do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from labs_lib.assessment.plain import plain_text
from labs_lib.assessment.sandbox_report import Apart, Ending

SECONDS = 5.0
OUTPUT_BYTES = 100_000

# Runs a work, given its student files, seconds and bytes of output, and says how it ended.
Runner = Callable[[Callable[[], Any], tuple[str, ...], float, int], Apart]
_runner: ContextVar[Runner | None] = ContextVar("_runner", default=None)

__all__ = ["OUTPUT_BYTES", "SECONDS", "Apart", "Ending", "Runner", "run_apart", "running_by"]


@contextmanager
def running_by(runner: Runner) -> Generator[None]:
    """Let `runner` do what `run_apart` does, in this thread, until the block ends.

    For a grader, whose walls around student code are not those of a notebook.
    """
    token = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(token)


def run_apart(
    work: Callable[[], Any],
    *,
    student_files: tuple[str, ...] = (),
    seconds: float = SECONDS,
    output_bytes: int = OUTPUT_BYTES,
    method: Literal["fork", "spawn"] | None = None,
) -> Apart:
    """Call `work` in another process and return how it ended; raises nothing for what it does.

    `student_files` are the file names (of code objects) that count as the student's: an error's
    line is looked for there. `work` may have `prepare()`, which imports what it needs: `seconds`
    run from the call, not from the start or these imports, and while it has a processor. The
    result crosses as plain JSON. `LABS_SANDBOX` or `method` forces fork or spawn.
    """
    runner = _runner.get()
    if runner is not None:
        return runner(work, student_files, seconds, output_bytes)
    from labs_lib.assessment.sandbox_forked import run_forked
    from labs_lib.assessment.sandbox_spawned import run_spawned

    forced = method or os.environ.get("LABS_SANDBOX")
    try:
        if (forced or _best_method()) != "fork":
            return run_spawned(work, student_files, seconds, output_bytes)
        # Libraries that the work needs are imported here, once, and not in every fork.
        getattr(work, "prepare", lambda: None)()
        apart = run_forked(work, student_files, seconds, output_bytes)
        if apart.idle and not forced:
            again = run_spawned(work, student_files, seconds, output_bytes)
            return apart if again.uncopied else again
        return apart
    except OSError as error:
        reason = plain_text(error.strerror or error)
        return Apart("not started", message=f"The check could not start a process: {reason}.")


def _best_method() -> Literal["fork", "spawn"]:
    if sys.platform != "linux":
        return "spawn"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "spawn"
    return "fork"

"""A set-up: whatever is missing, in order."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tools.launcher import installing, places
from tools.launcher.lock import one_at_a_time
from tools.launcher.stamps import pending, stamp
from tools.launcher.terminal import say, step


def set_up(sections: Sequence[str] = places.SECTIONS["course"]) -> None:
    """Do whatever is missing: environment, packages, project, kernel, model.

    Each step leaves a stamp of what it was made from, so that an interrupted set-up goes on
    where it stopped and a finished one costs next to nothing.
    """
    if not pending(sections):
        return
    with one_at_a_time() as lock:
        steps = pending(sections)
        if not steps:
            return
        say("Setting up LoRA Lab in .venv (only the first time)")
        if steps[0] in ("environment", *sections):
            installing.check_disk()
        started = time.monotonic()
        if "environment" in steps:
            with step("Python environment"):
                installing.make_environment(lock)
            stamp("environment")
        missing = [name for name in sections if name in steps]
        if missing:
            with step("packages, the longest part"):
                installing.install_packages(missing, lock)
            for name in missing:
                stamp(name)
        if "project" in steps:
            with step("the course itself"):
                installing.install_project(lock)
            stamp("project")
        if "kernel" in steps:
            installing.write_jupyter_files()
            stamp("kernel")
        if "model" in steps:
            with step("the bundled language model"):
                installing.prepare_model(lock)
            stamp("model")
        say(f"Set up in {time.monotonic() - started:.0f} s")

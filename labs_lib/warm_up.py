"""Load a lesson's heavy libraries while the student reads its first page."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any

LIBRARIES = ("torch", "transformers", "peft", "trl")
# What the lessons use of them; TRL's trainer brings transformers, PEFT and datasets along.
MODULES = ("torch", "matplotlib.figure", "labs_lib.training.engine.trainer")


def load_in_background(modules: Sequence[str] = MODULES) -> None:
    """Start importing `modules`, say so and return at once.

    The next cell waits until they are there: two threads importing the same libraries could see
    them half-made. Outside a notebook nothing is loaded ahead.
    """
    shell = _shell()
    if shell is None or all(name in sys.modules for name in modules):
        print("Ready.")
        return
    thread = threading.Thread(target=_load, args=(modules,), name="labs-warm-up", daemon=True)
    started = time.perf_counter()

    def wait(_info: Any = None) -> None:
        if thread.is_alive():
            print(f"waiting for {_listed(LIBRARIES)} …", file=sys.stderr, flush=True)
            try:
                thread.join()
            except KeyboardInterrupt:
                print("interrupted: the next cell waits again", file=sys.stderr, flush=True)
                return
            seconds = time.perf_counter() - started
            print(f"loaded after {seconds:.0f} s", file=sys.stderr, flush=True)
        shell.events.unregister("pre_run_cell", wait)

    shell.events.register("pre_run_cell", wait)
    thread.start()
    print(f"{_listed(LIBRARIES)} are loading in the background: read on.")


def _load(modules: Sequence[str]) -> None:
    from labs_lib.quantization import forbid_repacking_if_loaded

    # A library that is missing is named by the cell that imports it.
    with contextlib.suppress(ImportError), _unsearched():
        for name in modules:
            importlib.import_module(name)
        forbid_repacking_if_loaded()  # for models that a lesson loads with the libraries alone


@contextlib.contextmanager
def _unsearched() -> Generator[None]:
    """Search for no garbage while libraries load, and never again in what they made.

    torch, transformers and TRL leave a million objects that live as long as the process. To look
    through them takes 0.3 s each time, and a fifth of the time in which they load.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if searching:
            gc.enable()


def _shell() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"

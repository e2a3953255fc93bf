"""JupyterLab that ends with the program that started it, however that one ends.

`python -m labs_lib.serve OPTIONS` is `jupyter lab OPTIONS` for a launcher that holds the other end
of standard input: when it is closed, even by a kill, the server stops and its kernels with it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

SECONDS_TO_STOP = 20


def end_with_launcher() -> None:
    """Watch standard input in a thread; at its end stop this process, first politely."""
    watched = os.dup(sys.stdin.fileno())  # is not inherited: what the server starts keeps out
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)

    def watch() -> None:
        while os.read(watched, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)  # Jupyter then ends its kernels
        time.sleep(SECONDS_TO_STOP)
        os._exit(1)

    threading.Thread(target=watch, name="launcher-watch", daemon=True).start()


def main() -> None:
    """Run JupyterLab on the command line's options."""
    end_with_launcher()
    from jupyterlab.labapp import main as jupyterlab

    sys.exit(jupyterlab())


if __name__ == "__main__":
    main()

"""An OpenAI-style chat endpoint on this machine alone, several adapters over one base."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError
from labs_lib.quiet import quiet_libraries

HOST = "127.0.0.1"
_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 5
"""For an answer that is being written to its next token; then its connection is closed."""


@dataclass(frozen=True)
class Served:
    """A server that answers: `url` is the client's `base_url`, `names` the models it serves.

    A name is a run's; the base model answers under its own, which comes last.
    """

    url: str
    names: tuple[str, ...]


@contextmanager
def serve(runs: Sequence[str | Path] | Mapping[str, str | Path], port: int = 0) -> Iterator[Served]:
    """Serve the adapters of `runs` over one resident base inside the block, on 127.0.0.1.

    `runs` are run folders, each named by its folder, or a mapping name → folder. `port` 0 takes a
    free one. The chat handler is that of `transformers serve`, with streaming:
    `/v1/chat/completions` and `/v1/models`; a client chooses the adapter by the field `model`. The
    base is loaded once, in the 16 or 32 bits that `labs generate` uses, and nothing is loaded on a
    request. Answers are greedy unless a request names a temperature above 0.

    Raises `LabError` for a folder without a finished run, a run that trained all parameters, two
    of one name, two on different bases, and a port that is taken.
    """
    from labs_lib.export.resident import load_resident, named_runs

    named, stopping = named_runs(runs), threading.Event()
    with _listening(port) as listener:  # before seconds are spent on the base
        with quiet_libraries():
            models, tokenizer = load_resident(named, stopping)
        import uvicorn

        from labs_lib.export.endpoint import make_app

        server = uvicorn.Server(
            uvicorn.Config(
                make_app(models, tokenizer),
                log_level="error",
                lifespan="off",
                timeout_graceful_shutdown=_SECONDS_TO_STOP,
            )
        )
        thread = threading.Thread(
            target=_run, args=(server, listener), name="labs-serve", daemon=True
        )
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield Served(f"http://{HOST}:{listener.getsockname()[1]}/v1", tuple(models))
        finally:
            stopping.set()
            server.should_exit = True
            thread.join(2 * _SECONDS_TO_STOP)


def serve_until_interrupted(
    runs: Sequence[str | Path] | Mapping[str, str | Path],
    port: int = 8000,
    say: Callable[[Served], Any] | None = None,
) -> None:
    """Serve as `serve` does until ctrl-C; `say` gets the server once it answers."""
    with serve(runs, port) as served:
        if say is not None:
            say(served)
        try:
            while True:  # a wait without an end cannot be interrupted on Windows
                time.sleep(0.5)
        except KeyboardInterrupt:
            return


def _run(server: Any, listener: socket.socket) -> None:
    with quiet_libraries():  # transformers remarks on every request
        server.run(sockets=[listener])


def _wait_until_started(server: Any, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise LabError(f"serve: the server did not start in {_SECONDS_TO_START:.0f} s")
        time.sleep(0.01)


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Yield a socket bound to the loopback alone; `LabError` where the port cannot be had."""
    if not 0 <= port <= 65535:
        raise LabError(f"port: {port} is not legal; 1 to 65535, or 0 for a free one")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or error
            raise LabError(f"port: {port} cannot be had: {reason}; give another --port") from None
        yield listener

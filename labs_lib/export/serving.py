"""An OpenAI-style chat endpoint on this machine alone, several adapters over one base."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Served:
    """A server that answers: `url` is the client's `base_url`, `names` the models it serves.

    A name is a run's; the base model answers under its own.
    """

    url: str
    names: tuple[str, ...]


@contextmanager
def serve(runs: Sequence[str | Path] | Mapping[str, str | Path], port: int = 0) -> Iterator[Served]:
    """Serve the adapters of `runs` over one resident base inside the block, on 127.0.0.1.

    `runs` are run folders, each named by its folder, or a mapping name → folder. `port` 0 takes a
    free one. The endpoint is transformers' own, with streaming: `/v1/chat/completions` and
    `/v1/models`; a client chooses the adapter by the field `model`. The base is loaded once, in the
    16 or 32 bits that `labs generate` uses, and nothing is loaded on a request.

    Raises `LabError` for a folder without a finished run, a run that trained all parameters, two
    of one name, two on different bases, and a port that is taken.
    """
    raise NotImplementedError
    yield  # pyright: ignore[reportUnreachable]


def serve_until_interrupted(
    runs: Sequence[str | Path] | Mapping[str, str | Path],
    port: int = 8000,
    say: Callable[[Served], Any] | None = None,
) -> None:
    """Serve as `serve` does until ctrl-C or SIGTERM; `say` gets the server once it answers."""
    raise NotImplementedError

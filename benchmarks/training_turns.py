"""Contenders in processes of their own take a step when the parent says so, and tell its cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

MARK = "@bench "


class Worker:
    """A contender's process: it takes a step when asked to and tells what that cost."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None):
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> dict[str, float]:
        """Return what the contender says next; the program ends where it says nothing more."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        assert self._process.stderr
        raise SystemExit(f"a contender ended early:\n{self._process.stderr.read()[-3000:]}")

    def ask(self) -> dict[str, float]:
        """Let the contender go on, and return what it says then."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        """Wait until the process has ended."""
        self._process.communicate()


def say(values: dict[str, float]) -> None:
    """Tell the parent."""
    print(MARK + json.dumps(values), flush=True)


def wait() -> None:
    """Return once the parent says go."""
    if not sys.stdin.readline():
        raise SystemExit(1)


class Clock:
    """Waits for the parent before each step, times it, and counts the last one's live bytes."""

    def __init__(self, steps: int, model: Any, batches: list[tuple[int, int]]):
        self._steps, self._model, self._batches = steps, model, batches
        self._step, self._started, self._counter = 0, 0.0, None
        self._before = self._tokens_given = 0
        self.peak_bytes = 0
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        inner.get_input_embeddings().register_forward_pre_hook(self._count)

    def _count(self, _embedding: Any, inputs: tuple[Any, ...]) -> None:
        self._tokens_given += inputs[0].numel()

    def begin(self) -> None:
        """Start a step."""
        from labs_lib.training.engine.measure import LiveBytes, resident_bytes

        wait()
        if self._step == self._steps - 1:
            self._before = resident_bytes(self._model)
            self._counter = LiveBytes()
            self._counter.__enter__()
        self._tokens_given = 0
        self._started = time.perf_counter()

    def end(self, optimizer: Any) -> None:
        """End a step and tell its seconds and tokens."""
        from labs_lib.training.engine.measure import optimizer_bytes

        seconds = time.perf_counter() - self._started
        if self._counter:
            self._counter.__exit__(None, None, None)
            self.peak_bytes = self._before + self._counter.peak_bytes + optimizer_bytes(optimizer)
        tokens, labels = self._batches[self._step]
        self._step += 1
        given = self._tokens_given
        say({"seconds": seconds, "tokens": tokens, "labels": labels, "tokens_given": given})

"""What a case is: (exercise id, answer, expected status, part of the expected message)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Case = tuple[str, Any, str, str]


class Built(NamedTuple):
    """An answer that is made when its case runs, since making it loads torch."""

    make: Callable[[], Any]


build = Built


def answered(answer: Any) -> Any:
    """Return what the student hands to `check`."""
    return answer.make() if isinstance(answer, Built) else answer


def torch_loaded(answer: Any) -> Built:
    """Return an answer whose case loads torch first: seconds that are not the answer's."""

    def make() -> Any:
        import torch  # noqa: F401

        return answer

    return Built(make)

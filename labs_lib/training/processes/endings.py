"""How a run of several processes ends early: one line, whichever of them it began with."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from labs_lib.errors import LabError

LAUNCHED = "LABS_LAUNCHED"
"""Set in processes that `launching.launch` started: it says itself which one ended, and how."""
LOST_ANOTHER = 3
GO_ON = "the last checkpoint is kept: --resume goes on from it"

_SIGNS = ("gloo", "nccl", "by peer", "broken pipe", "timed out", "tcpstore")
_SECONDS = 2.0  # in which torchrun ends the others, once the first has said why


@contextmanager
def ended_together() -> Iterator[None]:
    """Let one process say why the run ends; one that lost another says just that.

    What ends the run mostly ends it in every process alike. The first says it at once, the others
    after two seconds, in which torchrun ends them.
    """
    number = int(os.environ.get("RANK", "0"))
    try:
        yield
    except LabError as error:
        if number:
            time.sleep(_SECONDS)
            raise LabError(f"process {number + 1}: {error}") from error
        raise
    except RuntimeError as error:
        if not about_another(error):
            raise
        if os.environ.get(LAUNCHED):
            sys.exit(LOST_ANOTHER)
        raise LabError(
            f"process {number + 1}: another process of the run ended; {GO_ON}"
        ) from error


def about_another(error: RuntimeError) -> bool:
    """Return whether an error says that a process on the other end of a connection is gone."""
    from torch.distributed import DistError

    text = str(error).lower()
    return isinstance(error, DistError) or any(sign in text for sign in _SIGNS)

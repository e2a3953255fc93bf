"""The pinned kernel takes up every cell, however close behind the last reply it comes."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Iterator

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

ROUNDS, CELLS = 40, 8
PATIENCE_SECONDS = 10.0


@pytest.fixture
def client() -> Iterator[BlockingKernelClient]:
    """A client of a kernel of this environment."""
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def unanswered(client: BlockingKernelClient, rng: random.Random) -> int:
    """Send a few cells a moment apart; return how many the kernel never replies to."""
    waiting = set()
    for _ in range(CELLS):
        waiting.add(client.execute("rank = 8"))
        time.sleep(0.003 * rng.random())
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting and time.monotonic() < deadline:
        try:
            reply = client.get_shell_msg(timeout=1)
        except queue.Empty:
            continue
        waiting.discard(reply["parent_header"].get("msg_id"))
    return len(waiting)


@pytest.mark.seconds
def test_no_cell_is_lost_between_two_replies(client):
    rng = random.Random(0)
    for number in range(ROUNDS):
        lost = unanswered(client, rng)
        assert not lost, f"round {number}: {lost} of {CELLS} cells wait beside an idle kernel"

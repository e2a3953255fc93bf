"""A card in a real kernel, spoken to as JupyterLab does it: where there are subshells, to one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

SECONDS = 60
CARD = """
import threading
from ipywidgets.widgets.widget import Widget
from labs_lib.widgets import mock_interview

heard = []
hear = Widget._handle_msg

def listening(widget, message):
    heard.append((type(widget).__name__, threading.current_thread().name))
    return hear(widget, message)

Widget._handle_msg = listening
card = mock_interview(minutes=5, seed=1, lessons=["05"])
"""


@pytest.fixture
def client() -> Iterator[BlockingKernelClient]:
    """A client of a new kernel, in which the card of an interview is made."""
    manager, client = start_new_kernel(startup_timeout=SECONDS)
    try:
        client.execute_interactive(CARD, timeout=SECONDS, silent=False, stop_on_error=True)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def evaluated(client: BlockingKernelClient, expression: str) -> str:
    """Return what the kernel shows of an expression."""
    reply = client.execute_interactive(
        "", user_expressions={"it": expression}, timeout=SECONDS, store_history=False
    )
    shown = reply["content"]["user_expressions"]["it"]
    assert shown["status"] == "ok", shown
    return shown["data"]["text/plain"]


def answer_to(channel: Any, request: str) -> dict[str, Any]:
    """Return the content of the reply to a request that was sent on a channel."""
    while True:
        reply = channel.get_msg(timeout=SECONDS)
        if reply["parent_header"].get("msg_id") == request:
            return reply["content"]


def new_subshell(client: BlockingKernelClient) -> str | None:
    """Return the id of a new subshell; None where the kernel has none (ipykernel before 7)."""
    info = answer_to(client.shell_channel, client.kernel_info())
    if "kernel subshells" not in info.get("supported_features", ()):
        return None
    request = client.session.msg("create_subshell_request", {})
    client.control_channel.send(request)
    return answer_to(client.control_channel, request["header"]["msg_id"])["subshell_id"]


def send(client: BlockingKernelClient, subshell: str | None, widget: str, data: dict) -> None:
    """Send a widget's model a message, to the subshell where there is one."""
    comm_id = evaluated(client, f"{widget}.comm.comm_id").strip("'")
    message = client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    if subshell is not None:
        message["header"]["subshell_id"] = subshell
    client.shell_channel.send(message)


def wait_for(client: BlockingKernelClient, expression: str) -> None:
    """Wait until the expression is true in the kernel."""
    last = time.monotonic() + SECONDS
    while evaluated(client, f"bool({expression})") != "True":
        assert time.monotonic() < last, f"{expression} stays false"
        time.sleep(0.05)


@pytest.mark.seconds
def test_the_field_and_the_buttons_of_a_card_are_heard_in_one_thread(
    client: BlockingKernelClient,
) -> None:
    # In two threads, the click on Answer may overtake the text that it sends.
    subshell = new_subshell(client)
    click = {"method": "custom", "content": {"event": "click"}}
    send(client, subshell, "card._go", click)
    wait_for(client, "len(card._body.children) > 1")
    text = {"method": "update", "state": {"value": "Look at the masked labels."}}
    send(client, subshell, "card._body.children[1]", text | {"buffer_paths": []})
    send(client, subshell, "card._submit", click)
    wait_for(client, "not card.interview.is_open")
    assert evaluated(client, "[name for name, _ in heard]") == "['Button', 'Textarea', 'Button']"
    assert evaluated(client, "len({thread for _, thread in heard})") == "1"

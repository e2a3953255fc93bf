"""The chat endpoint, asked by OpenAI's own client: two adapters by name over one base."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from click.testing import CliRunner
from run_making import make_adapter_run, make_run

from labs_lib.errors import LabError
from labs_lib.export import Served, serve
from labs_lib.training import Run, answer, load_with_adapter

# One worker makes what the whole file reads.
pytestmark = pytest.mark.xdist_group("serving")
PROMPTS = ("What is 7?", "Order 3 lamps", "Hello")
TARGETS = {"captain": ["q_proj", "down_proj"], "orders.v2": ["v_proj", "up_proj", "o_proj"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: make_adapter_run(folder / name, tiny_model, targets)
        for name, targets in TARGETS.items()
    }


@pytest.fixture(scope="module")
def served(runs: dict[str, Run]) -> Iterator[Served]:
    with serve([run.folder for run in runs.values()]) as served:
        yield served


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.url, api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def expected(runs: dict[str, Run], tiny_model: Path) -> dict[str, list[str]]:
    """What `labs generate` answers to each prompt with each adapter, and with none."""
    adapters = {name: str(run.output) for name, run in runs.items()} | {"model": None}
    models = {name: load_with_adapter(each, str(tiny_model)) for name, each in adapters.items()}
    # One at a time, as a server gets them: in a batch a machine's bf16 may round otherwise.
    return {
        name: [answer(*model, [prompt], 12)[0] for prompt in PROMPTS]
        for name, model in models.items()
    }


def ask(client: openai.OpenAI, model: str, prompt: str, **settings: Any) -> Any:
    messages: Any = [{"role": "user", "content": prompt}]
    return client.chat.completions.create(
        **{"model": model, "messages": messages, "max_tokens": 12, **settings}
    )


def test_both_adapters_and_the_base_are_listed_and_the_address_is_this_machines(
    served: Served, client: openai.OpenAI
):
    assert served.names == ("captain", "orders.v2", "model")
    assert tuple(model.id for model in client.models.list()) == served.names
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", served.url)


def test_each_name_answers_as_labs_generate_does(
    client: openai.OpenAI, expected: dict[str, list[str]]
):
    assert len({tuple(answers) for answers in expected.values()}) == 3, "the adapters do nothing"
    for index, prompt in enumerate(PROMPTS):  # from one name to the next and back
        for name, answers in expected.items():
            said = ask(client, name, prompt)
            assert said.choices[0].message.content.strip() == answers[index], (name, prompt)
            assert said.model == name
            assert said.usage.completion_tokens <= 12


def test_a_stream_says_the_same(client: openai.OpenAI, expected: dict[str, list[str]]):
    for name, answers in expected.items():
        parts = list(ask(client, name, PROMPTS[0], stream=True))
        assert len(parts) > 3
        said = "".join(part.choices[0].delta.content or "" for part in parts)
        # An answer may end within a character, whose bytes a stream leaves out.
        assert said.strip().rstrip("\ufffd") == answers[0].rstrip("\ufffd")


def test_names_asked_at_once_do_not_mix(client: openai.OpenAI, expected: dict[str, list[str]]):
    wanted = [(name, index) for _ in range(3) for name in expected for index in range(len(PROMPTS))]
    said: dict[int, str] = {}

    def one(place: int, name: str, index: int) -> None:
        content = ask(client, name, PROMPTS[index]).choices[0].message.content
        said[place] = content.strip()

    threads = [
        threading.Thread(target=one, args=(place, *each)) for place, each in enumerate(wanted)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert said == {place: expected[name][index] for place, (name, index) in enumerate(wanted)}


def test_a_temperature_draws_and_a_seed_repeats(client: openai.OpenAI):
    drawn = [
        ask(client, "captain", "Hello", temperature=1.5, seed=seed).choices[0].message.content
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    greedy = [
        ask(client, "captain", "Hello", temperature=0).choices[0].message.content for _ in "ab"
    ]
    assert greedy[0] == greedy[1] != drawn[0]


def test_an_unknown_name_gets_a_404_that_names_what_is_there(client: openai.OpenAI):
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError) as caught:
            ask(client, "captian", "Hello", stream=stream)
        body: Any = caught.value.body
        assert body["code"] == "model_not_found"
        assert body["message"] == (
            "model: 'captian' is not one of captain, orders.v2, model; did you mean 'captain'?"
        )


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"messages": []}, "messages: expected a list of 1 to 1000 messages"),
        ({"messages": [{"role": "user"}]}, "messages: content: this server reads text alone"),
        ({"messages": ["hi"]}, "messages: each is an object with role and content"),
        ({"messages": [{"role": "user", "content": "a " * 3000}]}, "leave no room for an answer"),
        ({"max_tokens": 0}, "max_tokens: 0 is not legal"),
        ({"temperature": 9}, "temperature: 9 is not legal; 0 to 2"),
    ],
)
def test_a_request_that_cannot_be_is_a_400_in_one_line(
    client: openai.OpenAI, settings: dict[str, Any], line: str
):
    with pytest.raises(openai.BadRequestError, match=line):
        ask(client, "captain", "Hello", **settings)


def status_of(address: str, data: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(address, data, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def test_there_is_nothing_else_to_reach(served: Served):
    root = served.url.removesuffix("/v1")
    assert status_of(f"{root}/health") == 200
    # A page elsewhere, whose name leads to this machine, is not answered.
    assert status_of(f"{root}/health", Host="evil.example") == 400
    for path in ("/load_model", "/reset", "/v1/completions", "/docs", "/openapi.json"):
        assert status_of(root + path, b"{}", **{"Content-Type": "application/json"}) == 404
    chat = f"{served.url}/chat/completions"
    assert status_of(chat, b"no JSON", **{"Content-Type": "application/json"}) == 400
    assert status_of(chat, b'{"model": "captain"}', **{"Content-Type": "text/plain"}) == 400


def test_other_interfaces_are_not_served(served: Served):
    port = int(served.url.split(":")[2].split("/")[0])
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", port)) != 0  # bound to one address, not to all


def test_the_port_is_free_after_the_block(runs: dict[str, Run]):
    with serve({"a": runs["captain"].folder}) as one:
        port = int(one.url.split(":")[2].split("/")[0])
        with (
            pytest.raises(LabError, match=f"port: {port} cannot be had"),
            serve({"b": runs["captain"].folder}, port),
        ):
            pass
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", port)) != 0


def test_runs_that_do_not_go_together_are_one_line(
    runs: dict[str, Run], tmp_path: Path, tiny_model: Path
):
    captain, orders = (str(run.folder) for run in runs.values())
    full = make_run(tmp_path / "full", tiny_model, method="full")
    other = make_run(tmp_path / "other", "smollm2-135m-instruct")
    for given, line in {
        ("nowhere",): "run: nowhere holds no finished run",
        (captain, captain): "two runs have the name 'captain'; name them: NAME=RUN",
        (f"model={captain}", orders): "model is the base model's name; name the run otherwise",
        (captain, str(full.folder)): "serve: run full trained all parameters",
        (captain, str(other.folder)): "the runs of one server share one base",
    }.items():
        with pytest.raises(LabError, match=re.escape(line)), serve(given):
            pass


def test_labs_serve_refuses_in_one_line():
    from labs_lib.cli import labs

    done = CliRunner().invoke(labs, ["serve", "nowhere"])
    assert "nowhere holds no finished run" in str(done.exception)


@pytest.mark.seconds
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_labs_serve_ends_at_ctrl_c_in_the_middle_of_an_answer(runs: dict[str, Run]):
    command = [sys.executable, "-m", "labs_lib", "serve", f"first={runs['captain'].folder}"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said = json.loads(process.stdout.readline())
        assert said["models"] == ["first", "model"]
        client = openai.OpenAI(base_url=said["url"], api_key="none", max_retries=0)
        stream = iter(ask(client, "first", "Hello", stream=True, max_tokens=2000))
        next(stream)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == "labs: server stopped\n"
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()

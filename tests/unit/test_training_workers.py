"""Runs shared out over processes: none lost, none doubled, the same record as of one process."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend
from worker_stand_ins import QUICK, Naps, distributed, naps

from labs_lib.errors import LabError
from labs_lib.training.workers import storage
from labs_lib.training.workers.study import SharedStudy
from labs_lib.training.workers.work import key_of

RUNS, RANDOM_KILLS = 50, 20


def completed(journal: Path, work: Naps) -> Counter[str]:
    """Return how many trials of each run ended with a result, as Optuna itself reads them."""
    import optuna

    study = optuna.load_study(
        study_name=work.name, storage=storage.open_storage(str(journal), QUICK)
    )
    trials = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    return Counter(key_of(trial.user_attrs["run"]) for trial in trials)


def test_every_run_is_done_once_and_told_in_order(tmp_path: Path):
    work = naps(tmp_path, 6)
    results = distributed(work, tmp_path)
    assert [result["rank"] for result in results] == [1, 2, 3, 4, 5, 6]
    assert results[5]["answers"] == ["é" * 50] * 6
    assert work.noted("begun") == {rank: 1 for rank in range(1, 7)}
    assert distributed(work, tmp_path) == results  # read back: nobody is started
    assert work.noted("begun") == {rank: 1 for rank in range(1, 7)}


def test_a_storage_of_the_commands_own_goes_when_all_is_done(tmp_path: Path):
    distributed(naps(tmp_path, 2), tmp_path, storage="")
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt"}


@pytest.mark.seconds
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_workers_lose_nothing_and_double_nothing(tmp_path: Path):
    """Kill workers at random moments, as long as there is something to do."""
    work, chance, killed = naps(tmp_path, RUNS), random.Random(7), []
    done = threading.Event()

    def kill() -> None:
        while len(killed) < RANDOM_KILLS and not done.wait(chance.uniform(0.1, 0.5)):
            workers = [w for w in multiprocessing.active_children() if w.pid not in killed]
            if workers and (pid := chance.choice(workers).pid):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        results = distributed(work, tmp_path)
    finally:
        done.set()
        killer.join()
    assert len(killed) == RANDOM_KILLS
    assert [result["rank"] for result in results] == list(range(1, RUNS + 1))
    assert set(completed(tmp_path / "s.journal", work).values()) == {1}
    begun = work.noted("begun")
    assert set(begun) == set(range(1, RUNS + 1))
    assert RUNS <= begun.total() <= RUNS + RANDOM_KILLS  # what was under way is done again, no more


def test_two_commands_at_once_share_the_runs(tmp_path: Path):
    work = naps(tmp_path, 12)
    found: list[list[Any]] = []
    commands = [
        threading.Thread(target=lambda: found.append(distributed(work, tmp_path, workers=1)))
        for _ in range(2)
    ]
    for command in commands:
        command.start()
    for command in commands:
        command.join()
    assert found[0] == found[1]
    assert len(found[0]) == 12
    assert work.noted("begun") == {rank: 1 for rank in range(1, 13)}


def test_a_run_whose_worker_is_silent_is_taken_over(tmp_path: Path):
    """Both are in this process: nothing but the counting in the trial tells that one is dead."""
    work, pace = naps(tmp_path, 1), replace(QUICK, beat_seconds=0.05, dead_after_seconds=0.4)
    one, other = (SharedStudy.open(str(tmp_path / "s.journal"), work, pace) for _ in range(2))
    one.restock(work.runs())
    silent = one.claim("silent")
    assert silent
    with silent.kept_alive():
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            other.tend(work.runs())
            assert other.claim("waiting") is None  # it lives
            time.sleep(0.05)
    other.tend(work.runs())
    time.sleep(0.5)
    other.tend(work.runs())
    heir = other.claim("heir")
    assert heir
    assert heir.finish({"by": "heir"}, 1.0)
    assert not silent.finish({"by": "silent"}, 1.0)  # it was only slow, and comes too late
    assert list(one.results(work.runs()).values()) == [{"by": "heir"}]


def test_a_storage_that_is_away_for_a_moment_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    work = naps(tmp_path, 1)
    study = SharedStudy.open(str(tmp_path / "s.journal"), work, replace(QUICK, beat_seconds=0.02))
    study.restock(work.runs())
    claim = study.claim("w")
    assert claim
    back_after = iter(range(4))

    def append(self: Any, logs: Any) -> None:
        if next(back_after, None) is not None:
            raise TimeoutError("the server does not answer")
        whole_append(self, logs)

    whole_append = JournalFileBackend.append_logs
    monkeypatch.setattr(JournalFileBackend, "append_logs", append)
    with claim.kept_alive():
        time.sleep(0.05)
    assert claim.finish({"rank": 1}, 1.0)
    assert next(back_after, None) is None
    assert list(study.results(work.runs()).values()) == [{"rank": 1}]


def test_a_run_that_two_commands_queued_is_given_to_one_worker(tmp_path: Path):
    work = naps(tmp_path, 1)
    one, other = (SharedStudy.open(str(tmp_path / "s.journal"), work, QUICK) for _ in range(2))
    for study in (one, other):  # as if neither had seen the other
        study._study.enqueue_trial({}, user_attrs={"run": work.runs()[0]})
    assert one.claim("first")
    assert other.claim("second") is None


def test_what_a_killed_writer_left_half_is_cut_off(tmp_path: Path):
    work, journal = naps(tmp_path, 1), tmp_path / "s.journal"
    SharedStudy.open(str(journal), work, QUICK).restock(work.runs())
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 8, "worker_id": "' + b"x" * 100_000)
    later = SharedStudy.open(str(journal), work, QUICK)
    claim = later.claim("w")
    assert claim
    assert claim.finish({"rank": 1}, 1.0)
    assert journal.read_bytes().startswith(whole + b'{"op_code":')
    again = SharedStudy.open(str(journal), work, QUICK)
    assert list(again.results(work.runs()).values()) == [{"rank": 1}]


def test_what_a_worker_cannot_do_ends_the_command_with_its_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(LabError, match=r"^memory: 2 GiB do not do; give a smaller batch_size$"):
        distributed(naps(tmp_path, 4, fails_at=2), tmp_path)
    assert capfd.readouterr().err == ""  # the command tells it, and no worker beside it
    assert not multiprocessing.active_children()
    results = distributed(naps(tmp_path, 4), tmp_path)  # mended: it goes on
    assert [result["rank"] for result in results] == [1, 2, 3, 4]


def test_a_stop_by_hand_ends_the_workers_and_frees_their_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    work = naps(tmp_path, 30)

    def stop_when_begun() -> None:
        while not work.noted("ended"):
            time.sleep(0.02)
        _thread.interrupt_main()

    threading.Thread(target=stop_when_begun).start()
    with pytest.raises(KeyboardInterrupt):
        distributed(work, tmp_path)
    assert not multiprocessing.active_children()
    assert capfd.readouterr().err == ""
    study = SharedStudy.open(str(tmp_path / "s.journal"), work, QUICK)
    study.restock(work.runs())
    claims = [study.claim("next") for _ in range(30 - len(study.results(work.runs())))]
    assert all(claims)  # at once, without waiting for a sign of life


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_kills_its_workers_is_given_up(tmp_path: Path):
    work, pace = naps(tmp_path, 2, kills_itself_at=2), replace(QUICK, most_deaths=2)
    with pytest.raises(LabError, match=r"--workers: rank 2, seed 0 ended its worker 2 times"):
        distributed(work, tmp_path, pace=pace)
    assert work.noted("begun")[2] == 2


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"recipe": {"steps": 24}}, "of another recipe (steps is 24 there and 12 here)"),
        ({"recipe": {"steps": 12, "rank": 4}}, "of another recipe (rank is 4 there and None here)"),
        ({"data": "e"}, "on other data"),
        ({"versions": {"torch": "2.12.0"}}, "of other library versions (torch is '2.12.0' there"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_results_of_something_else_are_not_mixed_in(
    other: dict[str, Any], line: str, tmp_path: Path
):
    SharedStudy.open(str(tmp_path / "s.journal"), naps(tmp_path, 1, made_of_else=other), QUICK)
    with pytest.raises(LabError) as error:
        distributed(naps(tmp_path, 1), tmp_path)
    assert f"--storage: {tmp_path / 's.journal'} holds a sweep naps {line}" in str(error.value)


# --- databases and the proxy ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Optuna's gRPC proxy before a database, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = tmp_path_factory.mktemp("proxy") / "s.db"
    command = [
        "-m",
        "labs_lib.training.workers.proxy",
        f"sqlite:///{database}",
        "--port",
        str(port),
    ]
    with subprocess.Popen([sys.executable, *command, "--host", "127.0.0.1"]) as server:
        yield f"grpc://127.0.0.1:{port}"
        server.terminate()


@pytest.mark.seconds
def test_a_database_and_the_proxy_do_what_a_file_does(tmp_path: Path, proxied: str):
    for address in (f"sqlite:///{tmp_path / 's.db'}", proxied):
        folder = tmp_path / address.partition(":")[0]
        folder.mkdir()
        work = naps(folder, 4)
        results = distributed(work, folder, storage=address)
        assert [result["rank"] for result in results] == [1, 2, 3, 4]
        assert work.noted("begun") == {rank: 1 for rank in range(1, 5)}
        with pytest.raises(LabError, match="holds a sweep naps of another recipe"):
            distributed(naps(folder, 4, recipe={"steps": 3}), folder, storage=address)


def test_one_worker_at_a_time_looks_for_a_run_in_a_file_of_sqlite(tmp_path: Path):
    address, order = f"sqlite:///{tmp_path / 's.db'}", []

    def look(name: str) -> None:
        with storage.turn(address, QUICK):
            order.append(f"{name} looks")
            time.sleep(0.1)
            order.append(f"{name} has looked")

    workers = [threading.Thread(target=look, args=[name]) for name in ("one", "another")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    first, second = order[0].split()[0], order[2].split()[0]
    assert order == [f"{n} {what}" for n in (first, second) for what in ("looks", "has looked")]


BAD_STORAGES = [
    ("nowhere/s.journal", "nowhere is not there; make it or give another"),
    (".", "is a folder; give a file, such as"),
    ("notes.txt", "notes.txt is no journal of Optuna; give a file of its own"),
    ("redis://node1", "'redis://' is not one of sqlite://, postgresql://"),
    ("grpc://node1", "'grpc://node1' is not grpc://host:port, such as grpc://node1:13000"),
    ("grpc://node1:x", "'grpc://node1:x' is not grpc://host:port"),
    ("sqlite:////no/such/folder/s.db", "unable to open database file"),
    ("postgresql://me:secret@node1/s", "postgresql://me:…@node1/s needs a driver"),
]


@pytest.mark.parametrize(("address", "line"), BAD_STORAGES, ids=[each for each, _ in BAD_STORAGES])
def test_a_storage_that_cannot_be_used_is_explained_in_one_line(
    address: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("begun 1\n", encoding="utf-8")
    with pytest.raises(LabError, match=f"^--storage: .*{re.escape(line)}") as error:
        storage.open_storage(address, QUICK)
    assert "secret" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storage, "_REACHED_WITHIN_SECONDS", 0.2)
    with pytest.raises(LabError, match=r"nothing answers at grpc://127\.0\.0\.1:1; start"):
        storage.open_storage("grpc://127.0.0.1:1", QUICK)


@pytest.mark.parametrize(
    ("package", "address", "option"),
    [("optuna", "s.journal", "--workers"), ("grpc", "grpc://node1:13000", "--storage")],
)
def test_a_missing_package_is_named_with_what_installs_it(
    package: str, address: str, option: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    line = f"{option}: needs {package}, which is not installed; pip install 'lora-lab[cluster]'"
    with pytest.raises(LabError, match=f"^{re.escape(line)}$"):
        storage.open_storage(address, QUICK)

"""Two hosts train one sweep through a storage of the first, and the second loses its power midway.

The hosts are network namespaces of this machine, joined by a virtual cable; what they share is
Optuna's gRPC proxy alone. A run is a nap of 0.05 to 0.2 s. Needs Linux, `ip`, `nsenter` and
`unshare`, and user namespaces or root.

    python benchmarks/two_hosts.py [--runs 60] [--json FILE]

Takes about a minute.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from record import ROOT, write_record

sys.path.insert(0, str(ROOT / "tests" / "unit"))
stand_ins = importlib.import_module("worker_stand_ins")  # the naps

FIRST, SECOND, PORT = "10.77.0.1", "10.77.0.2", 13000
STORAGE = f"grpc://{FIRST}:{PORT}"
DEAD_AFTER_SECONDS = 4.0
_READY_WITHIN_SECONDS = 60.0


def main() -> int:
    """Set the hosts up, let them work, print what each did; 1 where a run is lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--json", type=Path, help="file for comparing commits")
    parser.add_argument("--role", choices=("setup", "inside", "host"), default="setup",
                        help=argparse.SUPPRESS)  # fmt: skip
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "host":
        work_on(arguments.folder, arguments.name, arguments.runs)
        return 0
    if arguments.role == "setup":
        return subprocess.call([*own_network(), *own_command("inside", arguments)])
    with tempfile.TemporaryDirectory() as folder:
        figures = work_on_two(Path(folder), arguments)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        write_record(arguments.json, **figures)
    return 1 if figures["lost"] or figures["recorded_twice"] else 0


def own_network() -> list[str]:
    """Return the command that runs another in a network of its own; ends where none may be made."""
    for name in ("ip", "nsenter", "unshare"):
        if shutil.which(name) is None:
            sys.exit(f"two_hosts.py: needs the program {name}")
    for way in (["unshare", "--user", "--map-root-user", "--net"], ["unshare", "--net"]):
        if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
            return way
    sys.exit("two_hosts.py: this system lets neither users nor root make a network namespace")


def own_command(role: str, arguments: argparse.Namespace, **more: Any) -> list[str]:
    """Return this program's command in another role."""
    command = [sys.executable, __file__, "--role", role, "--runs", str(arguments.runs)]
    if arguments.json:
        command += ["--json", str(arguments.json.absolute())]
    return command + [part for name, value in more.items() for part in (f"--{name}", str(value))]


def work_on_two(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Start the proxy on the first host and a command on each; cut the second off midway."""
    second = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    enter = ["nsenter", "--net", "--target", str(second.pid)]
    processes = [second]
    try:
        lay_cable(second.pid, enter)
        proxy = ["-m", "labs_lib.training.workers.proxy", f"sqlite:///{folder / 'first.db'}"]
        processes.append(
            subprocess.Popen([sys.executable, *proxy, "--host", FIRST, "--port", str(PORT)])
        )
        started = time.monotonic()
        hosts = {
            name: subprocess.Popen(
                [*way, *own_command("host", arguments, folder=folder, name=name)],
                start_new_session=True,
            )
            for name, way in (("first", []), ("second", enter))
        }
        processes += hosts.values()
        wait_for(lambda: noted(folder, "second", "ended").total() >= arguments.runs // 6)
        os.killpg(hosts["second"].pid, signal.SIGKILL)  # all its processes at once
        hosts["first"].wait()
        seconds = time.monotonic() - started
        return figures_of(folder, arguments.runs) | {"seconds": round(seconds, 1)}
    finally:
        for process in processes:
            process.kill()
            process.wait()


def lay_cable(second_pid: int, enter: list[str]) -> None:
    """Join this network and that of the process `second_pid` by a virtual cable."""
    wait_for(lambda: network_of(second_pid) != network_of(os.getpid()))
    for command in (
        f"ip link add cable type veth peer name cable netns {second_pid}",
        f"ip address add {FIRST}/24 dev cable",
        "ip link set cable up",
        "ip link set lo up",  # the way to its own address
    ):
        subprocess.run(command.split(), check=True)
    for command in (f"ip address add {SECOND}/24 dev cable", "ip link set cable up"):
        subprocess.run([*enter, *command.split()], check=True)


def network_of(pid: int) -> str:
    """Return what tells a process's network namespace from others."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def wait_for(condition: Any) -> None:
    """Wait until `condition()` holds; ends the program where it does not in time."""
    until = time.monotonic() + _READY_WITHIN_SECONDS
    while not condition():
        if time.monotonic() > until:
            sys.exit("two_hosts.py: gave up waiting")
        time.sleep(0.05)


def work_on(folder: Path, name: str, runs: int) -> None:
    """Give one host's command: one worker, and what came out of all runs into its file."""
    from labs_lib.training.progress import Silent
    from labs_lib.training.workers.distributing import distribute
    from labs_lib.training.workers.work import Crew

    work = stand_ins.Naps(str(folder / f"{name}.txt"), runs)
    pace = replace(stand_ins.QUICK, dead_after_seconds=DEAD_AFTER_SECONDS)
    results = distribute(work, Crew(1, STORAGE, pace=pace), folder / f"{name}.out", Silent())
    (folder / f"{name}.json").write_text(json.dumps(results), encoding="utf-8")


def noted(folder: Path, name: str, what: str) -> Counter[int]:
    """Return run → how often a host began it, or ended it."""
    return stand_ins.Naps(str(folder / f"{name}.txt"), 0).noted(what)


def figures_of(folder: Path, runs: int) -> dict[str, Any]:
    """Return what the first host gathered, and which host did how much of it."""
    gathered = [r["rank"] for r in json.loads((folder / "first.json").read_text("utf-8"))]
    begun = [noted(folder, name, "begun") for name in ("first", "second")]
    return {
        "runs": runs,
        "lost": runs - len(set(gathered)),
        "recorded_twice": len(gathered) - len(set(gathered)),
        "begun_on_first": begun[0].total(),
        "begun_on_second": begun[1].total(),
        "done_again": (begun[0] + begun[1]).total() - runs,
        "dead_after_seconds": DEAD_AFTER_SECONDS,
    }


if __name__ == "__main__":
    sys.exit(main())

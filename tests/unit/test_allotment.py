"""Cores and memory are what this process may use: quota, limit, affinity, a hub's variables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labs_lib import allotment, hardware, health
from labs_lib.allotment import CPU_LIMIT, MEM_LIMIT, POLICY, SPIN, THREADS

GIB = 2**30
V2 = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 24 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 24 0:29 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores, and no hub."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(allotment, "_shown_cores", lambda: 8)
    for variable in (CPU_LIMIT, MEM_LIMIT, THREADS):
        monkeypatch.delenv(variable, raising=False)


def system(root: Path, cgroup: str, mounts: str, files: dict[str, str]) -> Path:
    """Write a system's /proc and cgroup files below `root`."""
    content = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts}
    content |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


# name → (own cgroups, mounts, files, cores, bytes)
SYSTEMS: dict[str, tuple[str, str, dict[str, str], float, float | None]] = {
    "none": ("", "", {}, 8, None),
    "version 2, no limit": (
        "0::/a\n", V2, {"a/cpu.max": "max 100000", "a/memory.max": "max"}, 8, None,
    ),
    "version 2, in a container": (
        "0::/\n", V2, {"cpu.max": "150000 100000", "memory.max": f"{2 * GIB}"}, 1.5, 2 * GIB,
    ),
    "version 2, an outer group is tighter": (
        "0::/students/ann/kernel\n", V2,
        {
            "students/cpu.max": "50000 100000", "students/ann/cpu.max": "400000 100000",
            "students/ann/kernel/memory.max": f"{8 * GIB}", "students/memory.max": f"{3 * GIB}",
        }, 0.5, 3 * GIB,
    ),
    "version 2, a namespace hides where it is": (
        "0::/../../outside\n", V2, {"cpu.max": "300000 100000", "memory.max": f"{GIB}"}, 3, GIB,
    ),
    "version 1, no limit": (
        "3:cpu,cpuacct:/\n4:memory:/\n", V1.format(root="/"),
        {
            "cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": "9223372036854771712",
        }, 8, None,
    ),
    "version 1, nested": (
        "3:cpu,cpuacct:/hub/ann\n4:memory:/hub/ann\n", V1.format(root="/"),
        {
            "cpu,cpuacct/hub/ann/cpu.cfs_quota_us": "200000",
            "cpu,cpuacct/hub/ann/cpu.cfs_period_us": "100000",
            "memory/hub/memory.limit_in_bytes": f"{2 * GIB}",
        }, 2, 2 * GIB,
    ),
    "version 1, in a container": (
        "3:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n", V1.format(root="/docker/1f"),
        {
            "cpu,cpuacct/cpu.cfs_quota_us": "25000", "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": f"{GIB}",
        }, 0.25, GIB,
    ),
    "torn files": (
        "0::/a\nx\n", V2 + "1 2\n", {"a/cpu.max": "", "a/memory.max": "much"}, 8, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_system_says_what_a_process_has(name: str, tmp_path: Path):
    cgroup, mounts, files, cores, size = SYSTEMS[name]
    root = system(tmp_path, cgroup, mounts, files)
    assert allotment.tightest(allotment.core_limits(root)).amount == cores
    limits = allotment.memory_limits(root)
    assert (allotment.tightest(limits).amount if limits else None) == size


@pytest.mark.parametrize(
    ("limit", "count"), [("0.5", 1), ("1", 1), ("1.5", 2), ("3.0", 3), ("16", 8), ("", 8), ("x", 8)]
)
def test_a_hubs_variable_counts_and_a_part_of_a_core_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, count: int
):
    monkeypatch.setenv(CPU_LIMIT, limit)
    found = allotment.threads(tmp_path)
    assert found.amount == count
    assert (CPU_LIMIT in found.setting) == (count < 8)


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(allotment, "_shown_cores", lambda: 3)
    assert allotment.threads(tmp_path) == allotment.Limit(3, "CPU affinity, 3 of 8 cores")


def test_openmp_is_told_and_what_a_person_set_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(sys, "platform", "linux")

    def told(**given: str) -> dict[str, str]:
        environment = dict(given)
        allotment.prepare_threads(environment, tmp_path)
        return environment

    assert told() == {SPIN: allotment.SPIN_COUNT}, "torch counts the cores itself"
    monkeypatch.setenv(CPU_LIMIT, "2")
    assert told() == {THREADS: "2", SPIN: allotment.SPIN_COUNT}
    own = {THREADS: "5", SPIN: "7"}
    assert told(**own) == own
    assert told(**{POLICY: "ACTIVE"}) == {POLICY: "ACTIVE", THREADS: "2"}


@pytest.mark.parametrize(
    ("count", "told", "words"),
    [
        (2, "", ["CPU_LIMIT=2"]),
        (1, "1", [f"{THREADS}=1", "2 would fit", "CPU_LIMIT=2"]),
        (1, "", ["torch's choice", "CPU_LIMIT=2"]),
        (4, "", ["2 fit", "CPU_LIMIT=2"]),
    ],
)
def test_the_number_of_threads_has_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, told: str, words: list[str]
):
    monkeypatch.setenv(CPU_LIMIT, "2")
    monkeypatch.setenv(THREADS, told)
    reason = allotment.why_so_many(count, tmp_path)
    assert all(word in reason for word in words), reason


def test_torch_computes_with_a_hubs_share():
    program = (
        "from labs_lib import hardware; found = hardware.detect();"
        "print(found.threads, found.cores, found.memory_bytes, found.memory_limited_by)"
    )
    limits = {CPU_LIMIT: "1.0", MEM_LIMIT: str(GIB)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | limits, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["1", "1", str(GIB), MEM_LIMIT]


@pytest.mark.parametrize(
    ("size", "state"), [(1 * GIB, "missing"), (2 * GIB, "optional"), (64 * GIB, "ok")]
)
def test_the_doctor_names_the_limit_of_memory(
    monkeypatch: pytest.MonkeyPatch, size: int, state: str
):
    import psutil

    class Plenty:
        total, available = 64 * GIB, 60 * GIB

    limits: Callable[[], list[allotment.Limit]] = lambda: [allotment.Limit(size, MEM_LIMIT)]  # noqa: E731
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Plenty)
    monkeypatch.setattr(allotment, "memory_limits", limits)
    assert hardware.memory_limit().amount == size
    found = health.checked("memory")
    assert found.state == state
    assert (MEM_LIMIT in found.found) == (size < Plenty.total)

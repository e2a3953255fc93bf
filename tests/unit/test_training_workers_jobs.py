"""Workers as jobs of a batch system, and what the command says to bad options."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from worker_stand_ins import QUICK, distributed, naps

from labs_lib.cli import main
from labs_lib.errors import LabError
from labs_lib.training.workers.job_options import read_job_options
from labs_lib.training.workers.study import SharedStudy
from labs_lib.training.workers.submitting import SubmittedPool
from labs_lib.training.workers.work import Crew

ROOT = Path(__file__).resolve().parents[2]


def test_jobs_of_submitit_work_as_processes_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, Path(__file__).parent))))
    work = naps(tmp_path, 5)
    results = distributed(work, tmp_path, submit="local", options={"timeout_min": 2})
    assert [result["rank"] for result in results] == [1, 2, 3, 4, 5]
    assert work.noted("begun") == {rank: 1 for rank in range(1, 6)}
    assert capfd.readouterr().err == ""
    with pytest.raises(LabError, match=r"^memory: 2 GiB do not do"):
        distributed(naps(tmp_path, 6, fails_at=6), tmp_path, submit="local")


SLURM = {
    "sbatch": 'cp "$1" "$SUBMITTED"; echo "Submitted batch job 12"',
    "srun": "exit 1",
    "squeue": "exit 0",
    "sacct": "echo 'JobID|State|NodeList'",
    "scancel": 'echo "$@" >> "$SUBMITTED.canceled"',
}


@pytest.mark.skipif(sys.platform == "win32", reason="SLURM's commands are shell scripts here")
def test_slurm_gets_an_array_with_the_options_that_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, script in SLURM.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(tmp_path / "batch.sh"))
    texts = ("time=90", "partition=gpu", "gpus_per_node=1", "cpus_per_task=4", "mem_gb=24")
    crew = Crew(4, str(tmp_path / "s.journal"), "slurm", read_job_options(texts, "slurm"))
    pool = SubmittedPool(naps(tmp_path, 3), crew.beside(tmp_path / "out.json"), "session")
    script = (tmp_path / "batch.sh").read_text(encoding="utf-8")
    flags = set(re.findall(r"^#SBATCH --(\S+)$", script, re.MULTILINE))
    assert {
        *("array=0-3%4", "time=90", "partition=gpu", "gpus-per-node=1", "cpus-per-task=4"),
        *("mem=24GB", "nodes=1"),
    } <= flags
    assert sys.executable in script
    pickles = list((tmp_path / "out.jobs").glob("12_*_submitted.pkl"))
    assert len(pickles) == 4
    pool.stop(SharedStudy.open(crew.storage, naps(tmp_path, 3), QUICK), False)
    assert len((tmp_path / "batch.sh.canceled").read_text().splitlines()) == 4


# --- the command ----------------------------------------------------------------------------------


BAD_OPTIONS = [
    ("--workers 0", "'--workers': 0 is not in the range 1<=x<=1024"),
    ("--workers two", "'two' is not a whole number"),
    ("--storage nowhere/s.journal", "nowhere is not there; make it or give another"),
    ("--storage ''", "--storage: '' names nothing; give a file"),
    ("--submit slrm", "--submit: 'slrm' is not one of slurm, local; did you mean 'slurm'?"),
    ("--submit slurm", "--submit: this machine has no sbatch and srun"),
    ("--job time=60", "--job: says how jobs are started; it needs --submit slurm"),
    ("--submit local --job tmie=60", "--job: 'tmie' is not one of time, gpus_per_node"),
    ("--submit local --job time", "--job: 'time' is not KEY=VALUE, such as time=60"),
    ("--submit local --job time=1h", "--job: time is '1h'; give whole minutes, at least 1"),
    ("--submit local --job time=0", "--job: time is '0'; give whole minutes, at least 1"),
    ("--submit local --job partition=gpu", "--job: partition means nothing to --submit local"),
    ("--workers 2 --recorded", "--workers: nothing is trained with --recorded"),
]


@pytest.mark.parametrize(("options", "line"), BAD_OPTIONS, ids=[each for each, _ in BAD_OPTIONS])
def test_bad_options_are_explained_in_one_line(
    options: str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "small-set", "--out", "out.json", *shlex.split(options)])
    assert stop.value.code == 2
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert line in told
    assert not list(tmp_path.iterdir())

"""Recipes for a cluster: they read as recipes, and script and README agree with each."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labs_lib.data.bundled import SETS
from labs_lib.models import find
from labs_lib.training import Recipe
from labs_lib.yamls import read_yaml
from tools.tables.cluster import CARDS, FOLDER, answer, commands, jobs

SCRIPTS = sorted(FOLDER.glob("*.sh"))
bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")


def test_each_recipe_has_its_script_and_its_card():
    names = {path.stem for path in FOLDER.glob("*.yaml")}
    assert names == {path.stem for path in SCRIPTS} == set(CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_a_recipe_reads_and_names_what_there_is(name: str):
    recipe = Recipe.from_yaml(FOLDER / f"{name}.yaml")
    assert recipe.name == name
    assert find(recipe.model) is not None
    assert recipe.dataset in SETS
    assert recipe.checkpoint_every  # a job that is queued again has something to go on from
    assert Recipe.from_yaml(f"recipes/cluster/{name}.yaml") == recipe


@pytest.mark.seconds
def test_every_job_fits_the_cards_that_it_asks_for():
    for job in jobs():
        recipe = Recipe.from_yaml(FOLDER / f"{job.recipe}.yaml")
        assert recipe.rows_per_step % (job.gpus * recipe.batch_size) == 0
        assert answer(commands(job)[0])["fit"]["verdict"] == "fits"


@pytest.mark.seconds
def test_a_job_asks_for_the_memory_in_which_each_process_loads_the_model():
    for job in jobs():
        text = (FOLDER / f"{job.recipe}.sh").read_text(encoding="utf-8")
        [asked] = re.findall(r"^#SBATCH --mem=(\d+)G$", text, re.MULTILINE)
        weights = answer(commands(job)[0])["weights_bytes"]
        assert int(asked) * 2**30 > 1.5 * job.gpus * weights


def test_what_fits_two_small_cards_does_so_by_offload_alone():
    job = next(job for job in jobs() if job.offload)
    with_offload, without = (answer(command) for command in commands(job))
    assert with_offload["on_each_gpu"]["offload"]
    assert without["fit"]["verdict"] == "does not fit"


def test_the_table_says_what_the_command_beside_it_says(root: Path):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    command = next(line for line in text.splitlines() if line.startswith("labs memory"))
    program = [sys.executable, "-m", "labs_lib", *shlex.split(command)[1:], "--json"]
    done = subprocess.run(program, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    row = next(line for line in text.splitlines() if line.startswith("| `lora-8b`"))
    reserved = said["fit"]["reserved"]
    sizes = (said["peak_bytes"], reserved["least_bytes"], reserved["most_bytes"])
    peak, least, most = (f"{size / 2**30:.1f}" for size in sizes)
    assert f"| {peak} | {least} to {most} | fits |" in row


def test_what_others_measured_is_as_the_sources_have_it(root: Path):
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    tables = read_yaml(root / "labs_lib" / "memory" / "published_gpus.yaml")["tables"]
    rows = [row for table in tables for row in table["rows"]]
    peft = [row["peak_gb"] for row in rows if "peak_gb" in row]
    [answer_ai] = [row["peak_gib"] for row in rows if row["request"].get("model") == "llama-2-70b"]
    for figure in (*(f"{peak} GB" for peak in peft), f"{answer_ai} GiB"):
        assert figure in text


@bash
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_sound(script: Path):
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)
    assert os.access(script, os.X_OK)


@bash
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_starts_its_recipe_on_as_many_gpus_as_it_asks_for(script: Path, tmp_path: Path):
    called = call(script, tmp_path, "--set", "dataset=my rows.jsonl")
    job = next(job for job in jobs() if job.recipe == script.stem)
    at = called.index("labs_lib.train")
    assert called[at + 1] == f"recipes/cluster/{job.recipe}.yaml"
    given = called[at + 2 :]
    assert given[-2:] == ["--set", "dataset=my rows.jsonl"]
    assert given[given.index("--out") + 1] == f"runs/{job.recipe}"
    assert "--resume" in given
    processes = [word for word in called if word.startswith("--nproc-per-node=")]
    assert processes == ([f"--nproc-per-node={job.gpus}"] if job.gpus > 1 else [])


@bash
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_gives_options_that_the_program_has(script: Path, tmp_path: Path):
    program = pytest.importorskip("labs_lib.train", reason="training in several processes")
    called = call(script, tmp_path)
    given = {word for word in called[called.index("labs_lib.train") :] if word.startswith("--")}
    known = {option for parameter in program.command.params for option in parameter.opts}
    assert given <= known


def call(script: Path, folder: Path, *arguments: str) -> list[str]:
    """Run a script with a `srun` that only says what it was called with."""
    srun = folder / "srun"
    srun.write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n', encoding="utf-8")
    srun.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"SLURM_SUBMIT_DIR": str(folder)}
    done = subprocess.run(
        ["bash", script, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")[:-1]

"""The options of a batch system's jobs, as people write them and as submitit takes them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from labs_lib.errors import LabError, choice_error

EXECUTORS = ("slurm", "local")
SUBMIT, JOB = "--submit", "--job"
_MOST = 10**6


@dataclass(frozen=True)
class JobOption:
    """An option of a job: what submitit calls it, what a person may give, for which executors."""

    passed_as: str
    kind: type[int] | type[float] | type[str]
    legal: str
    executors: tuple[str, ...] = EXECUTORS


JOB_OPTIONS = {
    "time": JobOption("timeout_min", int, "whole minutes, at least 1"),
    "gpus_per_node": JobOption("gpus_per_node", int, "a whole number, at least 1"),
    "cpus_per_task": JobOption("cpus_per_task", int, "a whole number, at least 1", ("slurm",)),
    "mem_gb": JobOption("mem_gb", float, "gigabytes, more than 0", ("slurm",)),
    "partition": JobOption("slurm_partition", str, "a partition's name", ("slurm",)),
    "account": JobOption("slurm_account", str, "an account's name", ("slurm",)),
    "qos": JobOption("slurm_qos", str, "the name of a quality of service", ("slurm",)),
    "constraint": JobOption("slurm_constraint", str, "a node's feature", ("slurm",)),
}


def check_executor(name: str) -> None:
    """Raise `LabError` for an executor that is none of `EXECUTORS`, or is not on this machine."""
    if name not in EXECUTORS:
        raise choice_error(SUBMIT, name, EXECUTORS)
    if name == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
        raise LabError(
            "this machine has no sbatch and srun; give the command where jobs are submitted, or "
            "start the workers here, without it",
            SUBMIT,
        )


def read_job_options(texts: tuple[str, ...], executor: str) -> dict[str, Any]:
    """Return the options in texts such as "time=60", by the names that submitit has for them.

    Raises `LabError` for an option that is not known or means nothing to the executor, and for a
    value of another kind.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise LabError(f"{text!r} is not KEY=VALUE, such as time=60", JOB)
        if name not in JOB_OPTIONS:
            raise choice_error(JOB, name, JOB_OPTIONS)
        option = JOB_OPTIONS[name]
        if executor not in option.executors:
            raise LabError(f"{name} means nothing to {SUBMIT} {executor}", JOB)
        options[option.passed_as] = _value(name, value, option)
    return options


def _value(name: str, text: str, option: JobOption) -> int | float | str:
    try:
        value = option.kind(text)
    except ValueError:
        value = ""
    if not value or (not isinstance(value, str) and not 0 < value < _MOST):
        raise LabError(f"{name} is {text!r}; give {option.legal}", JOB)
    return value

"""`--workers` and what goes with it: the options by which a verb shares its runs out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from labs_lib.commands.numbers import WholeRange
from labs_lib.errors import LabError

if TYPE_CHECKING:
    from labs_lib.training.workers.work import Crew

MOST_WORKERS = 1024


def with_crew(command: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the four options; it receives what they say as `crew`, None without any."""

    @click.option(
        "--workers",
        type=WholeRange(1, MOST_WORKERS),
        metavar="N",
        help="Share the runs out over N processes.",
    )
    @click.option(
        "--storage",
        metavar="WHERE",
        help="Where workers of several machines meet: a file on a shared folder, "
        "sqlite:///FILE, postgresql://…, grpc://HOST:PORT.",
    )
    @click.option("--submit", metavar="slurm|local", help="Start the workers as jobs by submitit.")
    @click.option(
        "--job", "job_options", multiple=True, metavar="KEY=VALUE", help="time=60, partition=gpu, …"
    )
    @functools.wraps(command)
    def with_options(
        *arguments: Any,
        workers: int | None,
        storage: str | None,
        submit: str | None,
        job_options: tuple[str, ...],
        **others: Any,
    ) -> None:
        crew = read_crew(workers, storage, submit, job_options)
        command(*arguments, crew=crew, **others)

    return with_options


def read_crew(
    workers: int | None, storage: str | None, submit: str | None, job_options: tuple[str, ...]
) -> Crew | None:
    """Return the crew that the options name; `LabError` where they do not go together."""
    if storage is not None and not storage.strip():
        raise LabError("'' names nothing; give a file, such as sweep.journal", "--storage")
    if job_options and submit is None:
        raise LabError("says how jobs are started; it needs --submit slurm", "--job")
    if workers is None and storage is None and submit is None:
        return None
    from labs_lib.training.workers.work import Crew

    options: dict[str, Any] = {}
    if submit is not None:
        from labs_lib.training.workers.job_options import check_executor, read_job_options

        check_executor(submit)
        options = read_job_options(job_options, submit)
    return Crew(workers or 1, storage or "", submit or "", options)

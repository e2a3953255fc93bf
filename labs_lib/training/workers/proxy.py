"""Let workers on other machines use a storage of this one, through Optuna's gRPC proxy.

    python -m labs_lib.training.workers.proxy sqlite:///sweep.db --host 10.0.0.1 --port 13000

Workers then get `--storage grpc://10.0.0.1:13000`. Whoever reaches the port can read and change
what is in the storage: bind it to an address of a network that you trust.
"""

from __future__ import annotations

import warnings

import click

from labs_lib.endings import one_line_errors
from labs_lib.errors import LabError
from labs_lib.training.workers.storage import OPTION, open_storage
from labs_lib.training.workers.work import Pace, needed

PORT = 13000


@click.command(help="Serve the database at STORAGE, such as sqlite:///sweep.db, to other machines.")
@click.argument("storage")
@click.option("--host", default="localhost", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535))
def serve(storage: str, host: str, port: int) -> None:
    """Serve until the process is stopped."""
    scheme = storage.partition("://")[0]
    if scheme == storage or scheme == "grpc":
        raise LabError(
            f"{storage!r} is no database's URL, such as sqlite:///sweep.db; Optuna's proxy serves "
            "nothing else",
            OPTION,
        )
    needed("grpc", OPTION)
    opened = open_storage(storage, Pace())
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import run_grpc_proxy_server

    click.echo(f"--storage grpc://{host}:{port}", err=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        run_grpc_proxy_server(opened, host=host, port=port)


if __name__ == "__main__":
    with one_line_errors("proxy"):
        serve(standalone_mode=False)

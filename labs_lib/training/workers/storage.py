"""Where workers meet: Optuna's storage in a shared file, in a database or behind its gRPC proxy."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error, first_line
from labs_lib.files import expanded
from labs_lib.training.workers.work import Pace, needed

OPTION = "--storage"
GRPC = "grpc"
DATABASES = ("sqlite", "postgresql", "mysql")
_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")
_REACHED_WITHIN_SECONDS = 10.0


def shown(address: str) -> str:
    """Return an address as a person may read it, without the password in it."""
    return _PASSWORD.sub(r"\1:…@", address)


def open_storage(address: str, pace: Pace) -> Any:
    """Return Optuna's storage at `address`: a file, a database's URL or `grpc://host:port`.

    Raises `LabError` for a folder that is not there, a file of something else, a kind of address
    that is not known and a server that does not answer.
    """
    optuna = needed("optuna", "--workers")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    scheme, separator, rest = address.partition("://")
    if not separator:
        return _journal(address, pace)
    if scheme == GRPC:
        return _proxy(address, rest)
    if scheme.partition("+")[0] not in DATABASES:
        raise choice_error(OPTION, f"{scheme}://", [f"{each}://" for each in (*DATABASES, GRPC)])
    return _database(address)


def unreachable() -> tuple[type[Exception], ...]:
    """Return what is raised while a folder, a database or a proxy cannot be reached for a time."""
    from optuna.exceptions import StorageInternalError

    grpc = sys.modules.get("grpc")  # loaded where there is a proxy
    return (OSError, StorageInternalError, *((grpc.RpcError,) if grpc else ()))


def _journal(address: str, pace: Pace) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from labs_lib.training.workers.journal_lock import WholeLinesLock

    file = expanded(address)
    if file.is_dir():
        raise LabError(f"{file} is a folder; give a file, such as {file / 'sweep.journal'}", OPTION)
    if not file.parent.is_dir():
        raise LabError(f"the folder {file.parent} is not there; make it or give another", OPTION)
    try:
        _check_is_journal(file)
        lock = WholeLinesLock(str(file), pace.lock_seconds)
        return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))
    except OSError as error:
        raise LabError(f"cannot use {file}: {error.strerror or error}", OPTION) from None


def _check_is_journal(file: Path) -> None:
    """Raise `LabError` where a file holds something else than operations of Optuna, one a line."""
    if not file.exists():
        return
    with file.open("rb") as opened:
        line = opened.readline(1 << 20)
    if not line:
        return
    try:
        operation = json.loads(line)
        if isinstance(operation, dict) and "op_code" in operation:
            return
    except ValueError:
        if not line.endswith(b"\n"):  # all that a worker wrote before it was killed
            return
    raise LabError(f"{file} is no journal of Optuna; give a file of its own", OPTION)


def _proxy(address: str, rest: str) -> Any:
    needed("grpc", OPTION)
    needed("google.protobuf", OPTION)
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import GrpcStorageProxy

    host, _, port = rest.rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise LabError(f"{address!r} is not grpc://host:port, such as grpc://node1:13000", OPTION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = GrpcStorageProxy(
            host=host.strip("[]") if ":" not in host else host, port=int(port)
        )
    try:
        storage.wait_server_ready(timeout=_REACHED_WITHIN_SECONDS)
    except ConnectionError:
        raise LabError(
            f"nothing answers at {address}; start the proxy there: "
            "python -m labs_lib.training.workers.proxy",
            OPTION,
        ) from None
    return storage


@contextmanager
def turn(address: str, pace: Pace) -> Iterator[None]:
    """Let no other worker look for a run meanwhile, where the storage does not see to that.

    SQLite locks a file when something is written, not when it is read: two workers could read that
    a run waits, and both would take it.
    """
    scheme, _, file = address.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not file:
        yield
        return
    from optuna.storages.journal import JournalFileOpenLock

    lock = JournalFileOpenLock(file.partition("?")[0], grace_period=pace.lock_seconds)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _database(address: str) -> Any:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    waits = {"connect_args": {"timeout": 60}} if address.startswith("sqlite") else {}
    try:
        return RDBStorage(address, engine_kwargs={"pool_pre_ping": True, **waits})
    except (ArgumentError, ValueError):
        raise LabError(f"{shown(address)!r} is no database's URL", OPTION) from None
    except ImportError as error:  # the driver, which no extra of the course brings
        why = first_line(error.__cause__ or error)
        raise LabError(f"{shown(address)} needs a driver: {why}", OPTION) from None
    except SQLAlchemyError as error:
        raise LabError(f"cannot use {shown(address)}: {first_line(error)}", OPTION) from None

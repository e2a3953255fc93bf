"""A lock on a journal that many machines append to; what a killed writer left half is removed."""

from __future__ import annotations

import os
from pathlib import Path

from optuna.storages.journal import JournalFileOpenLock
from typing_extensions import override

_BLOCK_BYTES = 1 << 16


class WholeLinesLock(JournalFileOpenLock):
    """Optuna's lock for shared folders (NFS 3 and later), given out with the journal in order.

    The lock is a file that one process alone can create, since locks of the system mean nothing
    between the nodes of some clusters. A process that is killed while it appends leaves a line
    without an end, to which the next one would add its own: Optuna could read neither, and
    nothing that follows.
    """

    def __init__(self, file: str, grace_seconds: int):
        super().__init__(file, grace_period=grace_seconds)
        self._journal = Path(file)

    @override
    def acquire(self) -> bool:
        """Wait for the lock, then cut the journal off after its last whole line."""
        acquired = super().acquire()
        try:
            cut_torn_line(self._journal)
        except BaseException:
            self.release()
            raise
        return acquired


def cut_torn_line(file: Path) -> None:
    """Remove what follows the last end of a line in `file`, if anything does."""
    with file.open("rb+") as journal:
        size = end = journal.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK_BYTES)
            journal.seek(start)
            newline = journal.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            journal.truncate(end)

"""The fits that come with the course, so that a first forecast does not wait for traces.

`python -m tools.memory_fits` makes them; with other versions of the libraries none is found, and
the traces are run where the student is.
"""

from __future__ import annotations

import io
import json
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

FILE = "shipped_fits.zip"
# The same content gives the same file, whenever it is written.
_DATE = (2000, 1, 1, 0, 0, 0)


def read_shipped(key: str) -> dict[str, Any] | None:
    """Return what is kept of a configuration in these settings, or None where it is not shipped."""
    file = resources.files("labs_lib.memory") / FILE
    if not file.is_file():
        return None
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        try:
            return json.loads(archive.read(f"{key}.json"))
        except KeyError:
            return None


def write_shipped(path: Path, fits: dict[str, dict[str, Any]]) -> None:
    """Write the fits, each under its key."""
    with zipfile.ZipFile(path, "w") as archive:
        for key in sorted(fits):
            told = json.dumps(fits[key], sort_keys=True, separators=(",", ":"))
            member = zipfile.ZipInfo(f"{key}.json", _DATE)
            archive.writestr(member, told, zipfile.ZIP_DEFLATED, compresslevel=9)

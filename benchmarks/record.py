"""What every benchmark's JSON begins with, so that two files can be compared."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any


def write_record(path: Path, **figures: Any) -> None:
    """Write `figures` after the machine, the versions and the date they were measured with."""
    from labs_lib import hardware
    from labs_lib.files import write_json
    from labs_lib.training.folder.provenance import versions

    provenance = {
        "machine": hardware.detect().as_dict(),
        "versions": versions(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    write_json(path, provenance | figures)

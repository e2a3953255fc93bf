"""What every benchmark's JSON begins with, so that two files can be compared."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # `tools` is installed nowhere, and this folder's code is measured


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

"""What the ledger's checks found, kept for pages that compute nothing.

`python -m tools.site.findings` runs every check, which takes half a minute, and records them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from labs_lib.files import write_text
from labs_lib.ledger.checking import finding_of
from labs_lib.ledger.finding import Finding
from labs_lib.ledger.reading import claims

RECORD = Path(__file__).resolve().parents[2] / "site" / "findings.json"


def recorded_findings() -> dict[str, Finding]:
    """Return claim → evidence, as it was recorded or as the ledger itself states it."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    return {
        each.id: Finding(**record[each.id]) if each.check else finding_of(each) for each in claims()
    }


def record() -> None:
    """Run the checks and write what they found."""
    found = {each.id: asdict(finding_of(each)) for each in claims() if each.check}
    write_text(RECORD, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    record()

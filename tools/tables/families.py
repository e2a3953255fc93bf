"""How far fitted forecasts are from the trace, as `benchmarks/memory_families.py` recorded it."""

from __future__ import annotations

import statistics

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import provenance, record

# A fit reads its traces in a second or more; what is kept answers in a thousandth of that.
FITTED_SECONDS = 0.1


def families() -> str:
    """Return a row a model: its cases, the worst error, the seconds with and without new traces."""
    values = record("memory-families")
    rows = []
    for model in dict.fromkeys(row["model"] for row in values["rows"]):
        mine = [row for row in values["rows"] if row["model"] == model]
        taken = [row["seconds"] for row in mine]
        new = [seconds for seconds in taken if seconds > FITTED_SECONDS]
        kept = [seconds for seconds in taken if seconds <= FITTED_SECONDS]
        rows.append(
            (
                model,
                str(len(mine)),
                f"{max(abs(row['error']) for row in mine):.3%}".replace("%", " %"),
                f"{statistics.median(new):.1f} ({max(new):.1f})",
                f"{statistics.median(kept) * 1e3:.1f}" if kept else "–",
            )
        )
    command = (
        "`python benchmarks/memory_families.py --json benchmarks/results/memory-families.json`"
    )
    header = ("model", "cases", "worst error", "with traces, s (most)", "kept, ms")
    return "\n\n".join([paragraph(f"{command}: {provenance(values)}."), table(header, rows)])

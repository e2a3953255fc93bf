"""How cost grows with the work, as `benchmarks/growth.py` recorded it."""

from __future__ import annotations

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import provenance, record


def growth() -> str:
    """Return the exponent of each series, with the sizes it was measured at."""
    values = record("growth")
    rows = [
        (
            name,
            f"{series['sizes'][0]:,} to {series['sizes'][-1]:,}",
            f"{series['exponent']:.2f}".replace("-0.00", "0.00").replace("-", "−"),
        )
        for name, series in values["series"].items()
    ]
    command = (
        "`python benchmarks/growth.py --plot benchmarks/growth.png "
        "--json benchmarks/results/growth.json`"
    )
    return "\n\n".join(
        [
            paragraph(f"{command}: {provenance(values)}."),
            table(("what grows", "from, to", "exponent"), rows),
        ]
    )

"""What the course's recipes give, as `benchmarks/recipes.py` recorded it."""

from __future__ import annotations

from typing import Any

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import percent, provenance, record

METRICS = {
    "in_voice": "in voice",
    "fact_right": "facts right",
    "exactly_right": "exactly right",
    "valid_json": "valid JSON",
}
# The heading and the record's field of each amount of memory; RSS is what a container must hold.
MEMORY = {"live tensors, GiB": "peak_bytes", "process (RSS), GiB": "process_peak_bytes"}


def recipes() -> str:
    """Return the table of the recipes; what they took in seconds stays in the record."""
    values = record("recipes")
    # Older records know the live tensors alone.
    sizes = {
        heading: field
        for heading, field in MEMORY.items()
        if all(field in row for row in values["recipes"])
    }
    rows = [
        (
            f"`recipes/{row['recipe']}.yaml`, {row['steps']} steps of {row['batch_size']} rows",
            *(f"{row[field] / 2**30:.2f}" for field in sizes.values()),
            str(row["held_out_rows"]),
            changes(row["scores"]),
        )
        for row in values["recipes"]
    ]
    header = ("recipe", *sizes, "held-out rows", "before → after training")
    return "\n\n".join(
        [paragraph(f"Measured: {provenance(values)}."), table(header, rows)],
    )


def changes(scores: dict[str, dict[str, Any]]) -> str:
    """Return how the share of right answers changed, metric by metric, and what was kept."""
    parts = []
    for metric, score in scores.items():
        name = METRICS.get(metric, metric)
        if score.get("before") is not None:
            parts.append(f"{name} {percent(score['before'])} → {percent(score['after'])}")
        if score.get("kept") is not None:
            parts.append(f"{name} before and still {percent(score['kept'])}")
    return "; ".join(parts)

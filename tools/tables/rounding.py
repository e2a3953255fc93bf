"""What of bf16's rounding moves the loss, as `benchmarks/rounding.py` recorded it."""

from __future__ import annotations

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import record


def rounding() -> str:
    """Return the held-out losses of each seed, a row for each kind of number that is rounded."""
    values = record("rounding")
    machine = values["machine"]
    seeds = range(len(values["losses"]["none"]))
    made = (
        f"`python benchmarks/rounding.py --seeds {len(seeds)} "
        f"--json benchmarks/results/rounding.json`: "
        f"{values['date']}, {machine['device_name']}, {machine['cores']} cores, computing in fp32; "
        f"full fine-tuning, {values['steps']} steps, {values['length']} rows."
    )
    header = ("rounded to bf16", *(f"seed {seed}" for seed in seeds))
    rows = [(kind, *(f"{loss:.4f}" for loss in found)) for kind, found in values["losses"].items()]
    return "\n\n".join([paragraph(made), table(header, rows)])

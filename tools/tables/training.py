"""What a training step costs beside other ways to take it, as `benchmarks/training.py` recorded."""

from __future__ import annotations

from typing import Any

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import mib, percent, provenance, record

RECORDS = ("training-short", "training-long")
METHODS = {"lora": "LoRA", "qlora": "QLoRA", "full": "full"}
CONTENDERS = {
    "trl": "TRL's defaults",
    "plain": "plain `Trainer`",
    "loop": "hand-written loop",
    "ours": "**ours**",
}
HEADER = (
    "method, rows", "way", "s a step (range)", "tokens/s", "against TRL", "of the matrix rate",
    "as given", "peak MiB", "held-out loss",
)  # fmt: skip


def recorded_rows() -> list[dict[str, Any]]:
    """Return a row for each method, length and contender."""
    return [row for name in RECORDS for row in record(name)["rows"]]


def training() -> str:
    """Return the commands, the table, and what it says when read across its rows."""
    rows = recorded_rows()
    # Methods in the order in which they were measured; of each, short rows before long ones.
    order = list(dict.fromkeys(row["method"] for row in rows))
    rows.sort(key=lambda row: order.index(row["method"]))
    cells, previous = [], None
    for row in rows:
        group = (row["method"], row["length"])
        name = f"{METHODS.get(row['method'], row['method'])}, {row['length']}"
        cells.append(("" if group == previous else name, *figures_of(row)))
        previous = group
    sources = [
        f"`python benchmarks/training.py --lengths {name.partition('-')[2]} "
        f"--steps {record(name)['steps']} --json benchmarks/results/{name}.json`: "
        f"{provenance(record(name))}."
        for name in RECORDS
    ]
    return "\n\n".join(
        [paragraph(" ".join(sources)), table(HEADER, cells), paragraph(" ".join(comparisons(rows)))]
    )


def figures_of(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a contender's cells."""
    contender: str = row["contender"]
    return (
        CONTENDERS.get(contender, contender),
        f"{row['seconds_per_step']:.2f} ({row['seconds_least']:.2f}–{row['seconds_most']:.2f})",
        f"{row['tokens_per_second']:.0f}",
        f"{row['times_trl']:.2f}",
        percent(row["matrix_share"]),
        percent(row["given_share"]),
        mib(row["peak_bytes"]),
        f"{row['held_out_loss']:.4f}",
    )


def comparisons(rows: list[dict[str, Any]]) -> list[str]:
    """Return sentences on what the rows say together: loss, peak, the machine, QLoRA's price."""
    of = {(row["method"], row["length"], row["contender"]): row for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lengths = list(dict.fromkeys(row["length"] for row in rows))
    loss = max(abs(row["loss_against_trl"]) for row in rows)
    peaks = [
        of[method, length, "ours"]["peak_bytes"] / of[method, length, "trl"]["peak_bytes"]
        for method in methods
        for length in lengths
    ]
    rates = [row["matrix_gflops"] for row in rows]
    sentences = [
        f"Held-out losses are within {100 * loss:.1g} % of TRL's.",
        f"Our peak is {min(peaks):.2f} to {max(peaks):.2f} of TRL's.",
        f"The square product ran at {min(rates):.0f} to {max(rates):.0f} GFLOP/s beside the cells.",
    ]
    if {"lora", "qlora"} <= set(methods):
        ratios = [
            f"{seconds(of, 'qlora', length) / seconds(of, 'lora', length):.2f} of LoRA's "
            f"on {length} rows"
            for length in lengths
        ]
        sentences.append(f"Our QLoRA step takes {' and '.join(ratios)}.")
    return sentences


def seconds(of: dict[tuple[str, str, str], dict[str, Any]], method: str, length: str) -> float:
    """Return the seconds of our step."""
    return of[method, length, "ours"]["seconds_per_step"]

"""What a training step costs beside other ways to take it, as `benchmarks/training.py` recorded."""

from __future__ import annotations

from typing import Any

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import PRECISIONS, mib, percent, provenance, records

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


def recorded_by_kind() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the records by what the CPU computed in and by name, of kinds that have them all."""
    found = {name: records(name) for name in RECORDS}
    kinds = [kind for kind in PRECISIONS if all(kind in each for each in found.values())]
    return {kind: {name: found[name][kind] for name in RECORDS} for kind in kinds}


def recorded_rows(kind: str) -> list[dict[str, Any]]:
    """Return a row for each method, length and contender on this kind of CPU."""
    return [row for values in recorded_by_kind()[kind].values() for row in values["rows"]]


def training() -> str:
    """Return of each kind of CPU the commands, the table, and what it says across its rows."""
    return "\n\n".join(
        part for kind, kept in recorded_by_kind().items() for part in _of_kind(kind, kept)
    )


def _of_kind(kind: str, kept: dict[str, dict[str, Any]]) -> list[str]:
    rows = recorded_rows(kind)
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
        f"--steps {values['steps']} --json benchmarks/results/{name}-{kind}.json`: "
        f"{provenance(values)}."
        for name, values in kept.items()
    ]
    return [
        f"### On a CPU that computes in {kind}",
        paragraph(" ".join(sources)),
        table(HEADER, cells),
        paragraph(" ".join(comparisons(rows))),
    ]


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
    loss = max(abs(row["loss_against_trl"]) for row in rows if row["contender"] == "ours")
    peaks = [
        of[method, length, "ours"]["peak_bytes"] / of[method, length, "trl"]["peak_bytes"]
        for method in methods
        for length in lengths
    ]
    rates = [row["matrix_gflops"] for row in rows]
    sentences = [
        f"Our held-out losses are within {100 * loss:.2g} % of TRL's.",
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

"""What GPUs make of the course, as `benchmarks/gpu.py` recorded it; or that none has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import RESULTS, provenance

NOT_YET = "Not measured yet: with CUDA `python benchmarks/gpu.py` fills this table in ten minutes."
ABOUT = (
    "Steps of larger models are in bf16, with random weights; those of 7B and more recompute their "
    'layers. "Forecast off" holds the forecast of the tensors against torch\'s allocator.'
)


def gpu(folder: Path = RESULTS) -> str:
    """Return a table for each card that was measured."""
    records = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("gpu-*.json"))
    ]
    if not records:
        return paragraph(NOT_YET)
    return "\n\n".join(_card(values) for values in records)


def _card(values: dict[str, Any]) -> str:
    rows = [_row(cell) for cell in values["cells"] if "peak_bytes" in cell]
    header = (
        "what",
        "s a step",
        "tokens/s",
        "peak, GiB",
        "forecast off",
        "reserved, GiB",
        "held-out loss",
    )
    lines = [f"Measured: {provenance(values)}.", *_rates(values["cells"])]
    if values["left_out"]:
        lines.append(f"Left out: {', '.join(values['left_out'])}.")
    return "\n\n".join([paragraph(" ".join(lines)), table(header, rows), paragraph(ABOUT)])


def _row(cell: dict[str, Any]) -> tuple[str, ...]:
    reserved, before = cell.get("reserved_bytes"), cell.get("loss_before")
    return (
        cell["cell"],
        _number(cell["step_seconds"], ".3g"),
        _number(cell["tokens_per_second"], ",.0f"),
        f"{cell['peak_bytes'] / 2**30:.2f}",
        _number(cell["forecast_off"], "+.1%").replace("%", " %"),
        f"{reserved / 2**30:.2f}" if reserved else "–",
        f"{before:.2f} → {cell['loss_after']:.2f}" if before else "–",
    )


def _rates(cells: list[dict[str, Any]]) -> list[str]:
    lines = []
    for cell in cells:
        if "tflops" in cell:
            lines.append(f"Square products in bf16 run at {cell['tflops']:,.3g} TFLOP/s.")
        if "prompts" in cell:
            lines.append(f"{cell['prompts']} answers take {cell['seconds']:.1f} s.")
    return lines


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)

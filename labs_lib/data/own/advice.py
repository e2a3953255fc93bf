"""What to do about a data set's faults: each check returns advice with its figure and its rows."""

from __future__ import annotations

from typing import NamedTuple

SEVERITIES = ("error", "warning", "note")


class Advice(NamedTuple):
    """One thing to do: how much it matters, what it is about, the figure, and the rows.

    `severity` is "error" (training or scores would be wrong), "warning" (look before training) or
    "note"; `rows` are positions in the data's rows, counted from 0 as Python does.
    """

    severity: str
    kind: str
    sentence: str
    rows: tuple[int, ...] = ()

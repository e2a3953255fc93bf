"""What fine-tuning costs in bytes: closed form, trace, published and measured.

`forecast` answers by formula at once; `trace` runs the real code on shapes; `measure` runs it
for real; `estimate` takes the formula where it knows the model, and the trace elsewhere. All
take the same `MemoryRequest` fields.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs_lib.memory.closed_form import forecast
    from labs_lib.memory.decision import PRIORITIES, Decision, decide
    from labs_lib.memory.estimating import estimate
    from labs_lib.memory.fitting import Card, Change, Fit, card, cards, describe, fit
    from labs_lib.memory.measuring import Measurement, measure
    from labs_lib.memory.picture import timeline_figure
    from labs_lib.memory.request import OPTIMIZERS, MemoryRequest, request_of
    from labs_lib.memory.result import Forecast, Timeline, format_bytes
    from labs_lib.memory.tables import PublishedRow, published, report
    from labs_lib.memory.tracing import timeline, trace

# Name → module, so that the closed form never loads torch. No module has a function's name.
_HOMES = {
    "forecast": "closed_form",
    **dict.fromkeys(("PRIORITIES", "Decision", "decide"), "decision"),
    "estimate": "estimating",
    **dict.fromkeys(("Card", "Change", "Fit", "card", "cards", "describe", "fit"), "fitting"),
    **dict.fromkeys(("Forecast", "Timeline", "format_bytes"), "result"),
    **dict.fromkeys(("Measurement", "measure"), "measuring"),
    "timeline_figure": "picture",
    **dict.fromkeys(("PublishedRow", "published", "report"), "tables"),
    **dict.fromkeys(("OPTIMIZERS", "MemoryRequest", "request_of"), "request"),
    **dict.fromkeys(("timeline", "trace"), "tracing"),
}

__all__ = [
    "OPTIMIZERS",
    "PRIORITIES",
    "Card",
    "Change",
    "Decision",
    "Fit",
    "Forecast",
    "Measurement",
    "MemoryRequest",
    "PublishedRow",
    "Timeline",
    "card",
    "cards",
    "decide",
    "describe",
    "estimate",
    "fit",
    "forecast",
    "format_bytes",
    "measure",
    "published",
    "report",
    "request_of",
    "timeline",
    "timeline_figure",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

"""One file an instrument, and the question card."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs_lib.widgets.knob_effects import KnobEffects
    from labs_lib.widgets.low_rank_explorer import LowRankExplorer
    from labs_lib.widgets.memory_planner import ByteBar, MemoryPlanner
    from labs_lib.widgets.method_chooser import MethodChooser
    from labs_lib.widgets.nf4_explorer import NF4Explorer
    from labs_lib.widgets.progress_card import ProgressCard, show_progress
    from labs_lib.widgets.question_card import QuestionCard, ask
    from labs_lib.widgets.rank_alpha import RankAlpha

# name → the file that holds it, so that one instrument loads without the others.
_HOMES = {
    "ByteBar": "memory_planner",
    "KnobEffects": "knob_effects",
    "LowRankExplorer": "low_rank_explorer",
    "MemoryPlanner": "memory_planner",
    "MethodChooser": "method_chooser",
    "NF4Explorer": "nf4_explorer",
    "ProgressCard": "progress_card",
    "QuestionCard": "question_card",
    "RankAlpha": "rank_alpha",
    "ask": "question_card",
    "show_progress": "progress_card",
}

__all__ = [
    "ByteBar",
    "KnobEffects",
    "LowRankExplorer",
    "MemoryPlanner",
    "MethodChooser",
    "NF4Explorer",
    "ProgressCard",
    "QuestionCard",
    "RankAlpha",
    "ask",
    "show_progress",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

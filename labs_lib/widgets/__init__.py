"""One file an instrument, and the question card."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs_lib.widgets.progress_card import ProgressCard, show_progress
    from labs_lib.widgets.question_card import QuestionCard, ask

# name → the file that holds it, so that one instrument loads without the others.
_HOMES = {
    "ProgressCard": "progress_card",
    "QuestionCard": "question_card",
    "ask": "question_card",
    "show_progress": "progress_card",
}

__all__ = ["ProgressCard", "QuestionCard", "ask", "show_progress"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

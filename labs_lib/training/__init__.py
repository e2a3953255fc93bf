"""Recipe to run: training, measurement and evaluation of adapters."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs_lib.training.adapter.loading import load_adapter, load_with_adapter
    from labs_lib.training.adapter.merged import merge
    from labs_lib.training.comparison import (
        Comparison,
        compare,
        load_run,
        recorded_comparison,
    )
    from labs_lib.training.comparison_plot import comparison_figure
    from labs_lib.training.engine.measure import LiveBytes
    from labs_lib.training.engine.quiet import quiet_libraries
    from labs_lib.training.evaluation import Evaluation, answer, evaluate, kept
    from labs_lib.training.folder.saving import count_parameters, save
    from labs_lib.training.learning import assert_learned
    from labs_lib.training.merging import Merged, Merges, compare_merges
    from labs_lib.training.recipe import Recipe, parse_assignment
    from labs_lib.training.run import Run
    from labs_lib.training.session import train
    from labs_lib.training.sweep import Point, Spread, Sweep, SweepResult, recorded, run_sweep

# name → module; the module loads, and torch with it, when the name is first used.
_HOME = {
    "Recipe": "recipe",
    "parse_assignment": "recipe",
    "Run": "run",
    "train": "session",
    "save": "folder.saving",
    "count_parameters": "folder.saving",
    "Evaluation": "evaluation",
    "evaluate": "evaluation",
    "answer": "evaluation",
    "kept": "evaluation",
    "LiveBytes": "engine.measure",
    "assert_learned": "learning",
    "quiet_libraries": "engine.quiet",
    "load_adapter": "adapter.loading",
    "load_with_adapter": "adapter.loading",
    "merge": "adapter.merged",
    "Comparison": "comparison",
    "compare": "comparison",
    "comparison_figure": "comparison_plot",
    "load_run": "comparison",
    "recorded_comparison": "comparison",
    "compare_merges": "merging",
    "Merges": "merging",
    "Merged": "merging",
    "Sweep": "sweep",
    "SweepResult": "sweep",
    "Point": "sweep",
    "Spread": "sweep",
    "run_sweep": "sweep",
    "recorded": "sweep",
}

__all__ = [  # noqa: RUF022  (in the order in which a reader meets them)
    "Recipe",
    "parse_assignment",
    "train",
    "Run",
    "evaluate",
    "answer",
    "kept",
    "Evaluation",
    "assert_learned",
    "count_parameters",
    "save",
    "load_adapter",
    "load_with_adapter",
    "merge",
    "LiveBytes",
    "quiet_libraries",
    "compare",
    "Comparison",
    "comparison_figure",
    "recorded_comparison",
    "load_run",
    "compare_merges",
    "Merges",
    "Merged",
    "Sweep",
    "run_sweep",
    "recorded",
    "SweepResult",
    "Point",
    "Spread",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

"""Answers to each lesson's exercises and what the course should say to them: a file a lesson."""

from __future__ import annotations

import importlib
import pkgutil

from exercise_cases.base import Case, answered

CASES: list[Case] = [
    case
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name)
    if module.name.startswith("lesson_")
    for case in importlib.import_module(f"{__name__}.{module.name}").CASES
]

__all__ = ["CASES", "Case", "answered"]

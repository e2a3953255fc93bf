"""Lesson 03: keep a scaling, spend a budget, set every knob, and judge a sweep by its seeds."""

from __future__ import annotations

from .budget import BUDGET
from .evidence import CLEARLY
from .knobs import CONFIG
from .scaling import KEEP_SCALING

EXERCISES = [KEEP_SCALING, BUDGET, CONFIG, CLEARLY]

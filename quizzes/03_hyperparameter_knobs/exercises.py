"""Lesson 03: keep a scaling, count the steps, set every knob, and judge a sweep by its seeds."""

from __future__ import annotations

from .evidence import CLEARLY
from .first_steps import COUNT_STEPS, SAME_SCALING
from .knobs import CONFIG

EXERCISES = [SAME_SCALING, COUNT_STEPS, CONFIG, CLEARLY]

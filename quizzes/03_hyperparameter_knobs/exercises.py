"""Lesson 03: keep a scaling, set every knob, judge a sweep by its seeds, count steps."""

from __future__ import annotations

from .evidence import CLEARLY
from .first_steps import COUNT_STEPS, SAME_SCALING
from .knobs import CONFIG

EXERCISES = [SAME_SCALING, CONFIG, CLEARLY, COUNT_STEPS]

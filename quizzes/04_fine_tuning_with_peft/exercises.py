"""Lesson 04: count what trains, configure an unknown model, count steps, repair a set-up."""

from __future__ import annotations

from .counting import COUNT_FUNCTION
from .repair import REPAIR
from .steps import COUNT_STEPS
from .unseen import CONFIG

EXERCISES = [COUNT_FUNCTION, CONFIG, COUNT_STEPS, REPAIR]

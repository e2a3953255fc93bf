"""Lesson 04: count what trains, configure an unknown model, repair a set-up."""

from __future__ import annotations

from .counting import COUNT_FUNCTION
from .repair import REPAIR
from .unseen import CONFIG

EXERCISES = [COUNT_FUNCTION, CONFIG, REPAIR]

"""Lesson 04: configure LoRA for an unknown model, count what trains, repair a set-up."""

from __future__ import annotations

from .counting import COUNT_BY_HAND, COUNT_FUNCTION
from .repair import REPAIR
from .unseen import CONFIG

EXERCISES = [CONFIG, COUNT_BY_HAND, COUNT_FUNCTION, REPAIR]

"""Lesson 06: what 4 bits save, what was gained, a fair comparison, the smallest card."""

from __future__ import annotations

from .fair_bench import BENCH
from .improvement import IMPROVEMENT
from .saved_bytes import SAVED
from .smallest_card import CARD

EXERCISES = [SAVED, IMPROVEMENT, BENCH, CARD]

"""Lesson 07: the rows that a claim needs, a leak between splits, two models on the same rows."""

from __future__ import annotations

from .leaks import LEAKS
from .paired import PAIRED
from .rows_needed import ROWS

EXERCISES = [LEAKS, ROWS, PAIRED]

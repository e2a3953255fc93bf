"""Lesson 02x: what a spectrum keeps at a rank, and the best two factors of a matrix."""

from __future__ import annotations

from .energy import ENERGY
from .factors import FACTORS

EXERCISES = [ENERGY, FACTORS]

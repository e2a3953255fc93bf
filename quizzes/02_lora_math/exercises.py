"""Lesson 02: count adapters, start their factors, merge them, write LoRA's forward pass."""

from __future__ import annotations

from .counting import COUNT
from .forward import FORWARD
from .merging import MERGE
from .one_matrix import SIZE
from .preparing import PREPARE

EXERCISES = [SIZE, COUNT, PREPARE, MERGE, FORWARD]

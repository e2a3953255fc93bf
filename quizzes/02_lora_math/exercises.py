"""Lesson 02: count adapters, write LoRA's forward pass, start its factors, merge them."""

from __future__ import annotations

from .counting import COUNT
from .forward import FORWARD
from .merging import MERGE
from .preparing import PREPARE

EXERCISES = [COUNT, FORWARD, PREPARE, MERGE]

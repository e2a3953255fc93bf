"""Lesson 09: PiSSA's start, DoRA's forward pass, LoRA+'s two rates, an equal size elsewhere."""

from __future__ import annotations

from .dora import DORA_FORWARD
from .equal_rank import EQUAL_RANK
from .pissa import PISSA_START
from .plus import PLUS_GROUPS

EXERCISES = [PISSA_START, DORA_FORWARD, PLUS_GROUPS, EQUAL_RANK]

"""Lesson 06: what was gained, a fair bench, what QLoRA's parameters hold, the smallest card."""

from __future__ import annotations

from .fair_bench import BENCH
from .improvement import IMPROVEMENT
from .qlora_bytes import QLORA_BYTES
from .smallest_card import CARD

EXERCISES = [IMPROVEMENT, BENCH, CARD, QLORA_BYTES]

"""Lesson 05: bits counted, blocks, who gets a gradient, a configuration, a 4-bit product."""

from __future__ import annotations

from .bits import BITS
from .blocks import BLOCKS
from .ledger import LEDGER
from .multiply import MULTIPLY
from .older_card import OLDER_CARD

EXERCISES = [BITS, BLOCKS, LEDGER, OLDER_CARD, MULTIPLY]

"""Lesson 05: a code book, blocks, bits counted, a 4-bit product, and who has a gradient."""

from __future__ import annotations

from .bits import BITS
from .blocks import BLOCKS
from .codebook import CODEBOOK
from .ledger import LEDGER
from .multiply import MULTIPLY

EXERCISES = [CODEBOOK, BLOCKS, BITS, LEDGER, MULTIPLY]

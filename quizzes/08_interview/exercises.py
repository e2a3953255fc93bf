"""Lesson 08: adapters on a card, what a training won and broke, a run that does not learn."""

from __future__ import annotations

from .fault import FAULT
from .paired import PAIRED
from .serving import SERVING

EXERCISES = [SERVING, PAIRED, FAULT]

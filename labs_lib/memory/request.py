"""What is asked of a forecast: one fine-tuning step, as `labs_lib.step` describes it."""

from __future__ import annotations

from labs_lib.step.bases import QUANTIZED
from labs_lib.step.methods import METHODS
from labs_lib.step.optimizers import OPTIMIZERS
from labs_lib.step.plan import ATTENTIONS, PRECISIONS, Step, step_of

__all__ = [
    "ATTENTIONS",
    "METHODS",
    "OPTIMIZERS",
    "PRECISIONS",
    "QUANTIZATIONS",
    "MemoryRequest",
    "request_of",
]

QUANTIZATIONS = tuple(QUANTIZED)
MemoryRequest = Step
request_of = step_of

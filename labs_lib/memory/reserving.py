"""What torch's caching allocator reserves of a GPU, beyond the tensors that are alive: a range.

Two models. `replay`: the allocator's own rules on the allocations of a trace (`allocator`).
`factor`: the peak times `FACTOR` and, under eager attention, one fp32 tensor of scores, fitted to
the calibration rows of `published_t4.yaml` alone. Its error is the largest on any of these rows,
calibration and holdout (tests/unit/test_memory_reserving.py). A replay takes many seconds a row: of
those that were tried the worst is Qwen2.5-1.5B in NF4, 1 × 1,024 tokens, which is 12.7 % too low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labs_lib.memory.architecture import architecture
from labs_lib.memory.known_fields import NoFormulaError
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.result import Forecast

FACTOR = 1.12
"""Reserved bytes for one that is allocated at the peak."""
FACTOR_ERROR, REPLAY_ERROR = 0.12, 0.13


@dataclass(frozen=True)
class Reserved:
    """Bytes that the allocator takes of a GPU: likely, and the range of its model's error.

    `how` names the model, "replay" or "factor". `least_bytes` is never below the tensors' peak.
    """

    how: str
    likely_bytes: int
    least_bytes: int
    most_bytes: int

    @property
    def range_bytes(self) -> tuple[int, int]:
        """Return (least, most)."""
        return self.least_bytes, self.most_bytes

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return vars(self)


def reserved_of(forecast: Forecast) -> Reserved:
    """Return what the allocator reserves for a forecast's step on CUDA."""
    if forecast.reserved_bytes is None:
        return reserved_for(forecast.request, forecast.peak_bytes)
    return _ranged("replay", forecast.reserved_bytes, REPLAY_ERROR, forecast.peak_bytes)


def reserved_for(request: MemoryRequest, peak_bytes: int) -> Reserved:
    """Return what the allocator reserves, from the tensors at the peak alone."""
    likely = round(FACTOR * peak_bytes) + _scores(request)
    return _ranged("factor", likely, FACTOR_ERROR, peak_bytes)


def _ranged(how: str, likely: int, error: float, peak: int) -> Reserved:
    # The error is (likely − measured) / measured.
    least = max(peak, round(likely / (1 + error)))
    return Reserved(how, likely, least, max(least, round(likely / (1 - error))))


def _scores(request: MemoryRequest) -> int:
    if request.attention != "eager":
        return 0
    try:
        heads = architecture(request.model).heads
    except NoFormulaError:
        return 0
    return 4 * request.batch * heads * request.seq_len**2

"""What torch's caching allocator reserves of a GPU, beyond the tensors that are alive: a range.

Two models. `replay`: the allocator's own rules on the allocations of a trace (`allocator`).
`factor`: the peak times `FACTOR` and, under eager attention, one fp32 tensor of scores, fitted to
the calibration rows of `published_t4.yaml` alone. Its error is the largest on any of these rows,
calibration and holdout (tests/unit/test_memory_reserving.py). A replay takes many seconds and is
fitted to nothing. `benchmarks/reserved.py` compares it with the same 71 rows: it is 2.4 % off in
the mean, and more than 8 % in four.

Three of the four are 4-bit models at a batch of one: SmolLM2-1.7B, 1 × 2,048 with eager attention
(15.6 % too high), and Qwen2.5-1.5B, 1 × 1,024 (12.7 and 10.0 % too low). transformers loads such a
model by threads, and how many 16-bit matrices are on the GPU at once decides which segments are
left. With sixteen at once the three are 2 % too high, 9 and 6 % too low. The fourth is TinyLlama,
2 × 1,024 in fp16 with eager attention, 8.9 % too low: as in other rows of fp16 LoRA with eager
attention, the run reserved one 16-bit tensor of scores, or three, more than the replay.
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
FACTOR_ERROR, REPLAY_ERROR = 0.12, 0.16


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

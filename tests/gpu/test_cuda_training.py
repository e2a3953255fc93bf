"""What a run says of the card's memory: its own training, whatever the process did before."""

from __future__ import annotations

import gc
from pathlib import Path

from labs_lib.training import Recipe, train


def test_a_runs_peak_is_its_own(tmp_path: Path):
    large = Recipe.of(name="large", dataset="sea-captain", steps=2, batch_size=8, eval_rows=1)
    first = train(large, tmp_path / "large")
    gc.collect()
    second = train(large.but(name="small", batch_size=1), tmp_path / "small")
    assert second.cost.peak_kind == "CUDA allocator"
    assert second.cost.peak_bytes < first.cost.peak_bytes

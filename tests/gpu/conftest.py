"""Tests that need CUDA: where there is none, each is skipped and says so."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and skip it where there is no CUDA."""
    import torch

    here = [item for item in items if "gpu" in item.path.parts]
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA on this machine"))

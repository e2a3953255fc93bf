"""What decides a run's result beside its recipe: data, the model's files, versions, precision."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from labs_lib import models
from labs_lib.data import DataSet
from labs_lib.training.recipe import Recipe

PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "datasets")

_PARTS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")


def versions() -> dict[str, str]:
    """Return the versions of the libraries that train."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def start_of(recipe: Recipe, data_set: DataSet, device: str, precision: str) -> dict[str, Any]:
    """Return what a run begins with, as plain values to compare when it is resumed."""
    return {
        "data": data_set.fingerprint,
        "model files": _model_files(recipe.model),
        "device": device,
        "precision": precision,
        **versions(),
    }


def _model_files(name: str) -> dict[str, list[Any]] | str:
    """Return file → [bytes, CRC-32] of a local model; a hub's is known by its name."""
    from labs_lib.training.folder.checkpoints import crc32  # loads torch; `versions` does without

    source = models.locate(name)
    if not source.local:
        return source.location
    folder = Path(source.location)
    files = sorted({path for pattern in _PARTS for path in folder.glob(pattern)})
    return {path.name: [path.stat().st_size, crc32(path)] for path in files if path.is_file()}

"""Make the fits of the memory forecast that come with the course.

    python -m tools.memory_fits [--models NAME …] [--processes N]

Each model of the catalogue that the formula has no layer for meets each method, on the usual pair
of projections and on all linear layers, with and without checkpointing, at every span of lengths.
With `--models` the others' fits stay as they are.

Takes about half an hour.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from labs_lib import paths
from labs_lib.memory import curves, request_of, shipped_fits
from labs_lib.memory.known_fields import families
from labs_lib.memory.request import MemoryRequest
from labs_lib.models.catalogue import catalogue

PLACE = Path(shipped_fits.__file__).with_name(shipped_fits.FILE)
NEWER = [name for name, each in catalogue().items() if each.family.model_type not in families()]
METHODS: tuple[dict[str, Any], ...] = (
    {"method": "full"},
    {"method": "lora"},
    {"method": "lora", "targets": "all-linear"},
    {"method": "qlora"},
    {"method": "qlora", "targets": "all-linear"},
)


def requests(model: str) -> Iterator[MemoryRequest]:
    """Yield one request a setting, of one short row."""
    for method, checkpointing in itertools.product(METHODS, (False, True)):
        yield request_of(model, **method, checkpointing=checkpointing, batch=1, seq_len=16)


def fits_of(model: str) -> dict[str, dict[str, Any]]:
    """Return what is kept of a model in each setting, by its shipped key."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        paths.own_cache_dir = lambda: Path(folder)
        curves.read_shipped = lambda _key: None
        for request in requests(model):
            found.update([kept_of(request)])
    return found


def kept_of(request: MemoryRequest) -> tuple[str, dict[str, Any]]:
    """Return the shipped key and all regions of one setting, from traces."""
    fields = curves._fields_of(request)
    path = paths.own_cache_dir() / "memory" / f"{curves._key(fields, request)}.json"
    lengths = [16]
    for batch in (1, 2):
        for seq_len in lengths:
            try:
                curves.fitted(request.but(batch=batch, seq_len=seq_len))
            except curves.NoFitError:
                continue
            finally:
                kept = curves._IN_MEMORY[path]
                most = kept["longest"] or 2**20
                lengths[1:] = [end for end in kept["windows"] if 16 < end < most]
    regions = {name: each for name, each in kept["regions"].items() if "reason" not in each}
    return curves.shipped_key(fields, request), {**kept, "regions": regions}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file anew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=NEWER, default=NEWER, metavar="NAME")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    fits = {}
    if options.models != NEWER:
        mine = {
            curves.shipped_key(curves._fields_of(request), request)
            for model in NEWER
            for request in requests(model)
        }
        fits = {key: kept for key in mine if (kept := shipped_fits.read_shipped(key))}
    with ProcessPoolExecutor(options.processes) as pool:
        for model, found in zip(options.models, pool.map(fits_of, options.models), strict=True):
            fits.update(found)
            shipped_fits.write_shipped(PLACE, fits)
            print(f"{model}: {len(found)} settings", flush=True)


if __name__ == "__main__":
    main()

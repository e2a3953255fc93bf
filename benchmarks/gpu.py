"""What a GPU takes for the course: recipes, steps of larger models against the forecast, answers.

    python benchmarks/gpu.py [--json results.json] [--minutes 9] [--only TEXT] [--dry-run]

Every cell runs once, the most telling first; after `--minutes` no new one begins, and what was left
out is recorded. Without `--json` the figures go to `benchmarks/results/gpu-CARD.json`, from which
`python -m tools.readme` makes the README's table. `--dry-run` walks through all cells with a tiny
model, on a CPU too, and writes nothing but to `--json`. The exit status is 1 where a cell failed.
Takes about 10 minutes.
"""

from __future__ import annotations

import argparse
import gc
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import ROOT, write_record

MINUTES = 9.0
METHODS = ("lora", "qlora", "full")
LARGER: dict[str, dict[str, Any]] = {
    "llama-3.2-1b, LoRA": {"model": "llama-3.2-1b", "method": "lora", "batch": 4},
    "llama-3.2-1b, QLoRA": {"model": "llama-3.2-1b", "method": "qlora", "batch": 4},
    "llama-2-7b, LoRA": {"model": "llama-2-7b", "method": "lora", "checkpointing": True},
    "llama-2-7b, QLoRA": {"model": "llama-2-7b", "method": "qlora", "checkpointing": True},
    "llama-3.2-1b, full": {"model": "llama-3.2-1b", "method": "full"},
    "llama-2-13b, QLoRA": {"model": "llama-2-13b", "method": "qlora", "checkpointing": True},
    "llama-2-70b, QLoRA": {
        "model": "llama-2-70b", "method": "qlora", "checkpointing": True, "seq_len": 512, "rank": 8,
    },
}  # fmt: skip
"""Steps in bf16 with random weights, whose bytes and times are those of real ones."""
STEP: dict[str, Any] = {
    "seq_len": 1024, "rank": 16, "targets": "all-linear", "optimizer": "adamw_fused",
}  # fmt: skip
PROMPTS, ANSWER_TOKENS = 40, 40


@dataclass(frozen=True)
class Size:
    """How large the cells are: the course's own, or tiny ones that show that all of them run."""

    model: str
    recipe: dict[str, Any]
    step: dict[str, Any]
    product: int
    prompts: int = PROMPTS
    answer_tokens: int = ANSWER_TOKENS


COURSE = Size("smollm2-135m-instruct", {"steps": 20}, {}, 8192)


def tiny(folder: Path) -> Size:
    """Return cells of a model of a few thousand weights, which lies in `folder`."""
    step = {"model": str(folder / "config.json"), "batch": 1, "seq_len": 32}
    recipe = {"steps": 2, "max_length": 48, "eval_rows": 2, "eval_tokens": 4}
    return Size(str(folder), recipe, step, 64, prompts=2, answer_tokens=4)


Figures = dict[str, Any]
Cell = tuple[str, Callable[[], Figures]]


def cells(size: Size) -> list[Cell]:
    """Return what is measured, by its name, in the order of its worth."""
    runs: list[Cell] = [(f"sea-captain, {way}", lambda way=way: run(way, size)) for way in METHODS]
    steps: list[Cell] = [
        (name, lambda fields=fields: step(STEP | fields | size.step))
        for name, fields in LARGER.items()
    ]
    rates: list[Cell] = [
        ("matrix product", lambda: product(size.product)),
        (f"{PROMPTS} answers", lambda: answers(size)),
    ]
    return [*runs, *rates, *steps]


def run(method: str, size: Size) -> Figures:
    """Train sea-captain by a method, as `labs train` does."""
    from labs_lib.step.methods import METHODS as KNOWN
    from labs_lib.training import Recipe, train
    from labs_lib.training.progress import Silent

    recipe = Recipe.from_yaml("recipes/sea-captain.yaml", checkpoint_every=0)
    fields = {"model": size.model, "method": method, **size.recipe}
    rate = recipe.learning_rate * KNOWN[method].rate_share
    with tempfile.TemporaryDirectory() as folder:
        made = train(
            recipe.but(learning_rate=rate, **fields), Path(folder) / "run", progress=Silent()
        )
    return {
        "step_seconds": made.cost.seconds_per_step,
        "tokens_per_second": made.cost.tokens_per_second,
        "peak_bytes": made.cost.peak_bytes,
        "peak_kind": made.cost.peak_kind,
        "forecast_off": made.forecast.get("difference"),
        "loss_before": made.before.loss,
        "loss_after": made.after.loss,
    }


def step(fields: dict[str, Any]) -> Figures:
    """Take steps of one request and hold them against its forecast."""
    from labs_lib.memory import measure
    from labs_lib.memory.reserving import reserved_of

    found = measure(**fields)
    seconds, reserved = found.step_seconds, reserved_of(found.forecast)
    return {
        "step_seconds": seconds,
        "tokens_per_second": found.request.tokens / seconds if seconds else None,
        "peak_bytes": found.peak_bytes,
        "forecast_off": found.difference,
        "reserved_bytes": found.reserved_bytes,
        "reserved_range_bytes": list(reserved.range_bytes),
    }


def product(size: int) -> Figures:
    """Multiply square matrices in bf16: the most that a training step can come near."""
    import torch

    from labs_lib.hardware import detect

    device = detect().device
    one = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(12):
        started = time.perf_counter()
        _ = one @ one
        synchronize()
        times.append(time.perf_counter() - started)
    return {"tflops": 2 * size**3 / statistics.median(times[2:]) / 1e12}


def answers(size: Size) -> Figures:
    """Answer held-out prompts greedily, as an evaluation does."""
    from labs_lib import data, models
    from labs_lib.training import answer

    model, tokenizer = models.load(size.model)
    rows = data.load_set("sea-captain").test[: size.prompts]
    prompts = [row.prompt for row in rows]
    answer(model, tokenizer, prompts, 2)
    synchronize()
    started = time.perf_counter()
    answer(model, tokenizer, prompts, size.answer_tokens)
    synchronize()
    return {"seconds": time.perf_counter() - started, "prompts": len(prompts)}


def synchronize() -> None:
    """Wait until the GPU has done what it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measured(
    todo: list[Cell], seconds: float, now: Callable[[], float] = time.monotonic
) -> tuple[list[Figures], dict[str, str], dict[str, str]]:
    """Run cells until `seconds` are over; return their figures, and why others have none.

    A cell that does not fit the card is left out (the second result). One that failed otherwise
    (the third) is a slip of ours; the others are measured all the same: a card is rarely at hand.
    """
    from labs_lib.errors import LabError
    from labs_lib.training.failures import ran_out_of_memory

    begun = now()
    figures: list[Figures] = []
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, cell in todo:
        if now() - begun > seconds:
            left_out[name] = "the time was over"
            continue
        started = now()
        try:
            found = cell()
        except Exception as error:
            expected = isinstance(error, LabError) or ran_out_of_memory(error)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            (left_out if expected else failed)[name] = reason
            print(f"{name}: {'left out' if expected else 'failed'}: {reason}", flush=True)
        else:
            figures.append({"cell": name, **found, "cell_seconds": now() - started})
            print(figures[-1], flush=True)
        empty_card()
    return figures, left_out, failed


def empty_card() -> None:
    """Give back what a cell took."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def place_of(card: str) -> Path:
    """Return where a card's figures are recorded."""
    name = re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")
    return ROOT / "benchmarks" / "results" / f"gpu-{name}.json"


def main() -> None:
    """Measure, print a line a cell, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="begin no cell after these")
    parser.add_argument("--only", default="", help="only the cells whose name holds this text")
    parser.add_argument("--dry-run", action="store_true", help="all cells, tiny, on any machine")
    arguments = parser.parse_args()
    if not arguments.minutes > 0:
        parser.error(f"--minutes: {arguments.minutes:g} is not legal; give a number above 0")
    if not [name for name, _ in cells(COURSE) if arguments.only in name]:
        names = "; ".join(name for name, _ in cells(COURSE))
        parser.error(f"--only: {arguments.only!r} is in none of {names}")

    from labs_lib.hardware import detect

    machine = detect()
    if machine.device != "cuda" and not arguments.dry_run:
        sys.stderr.write(f"gpu: no CUDA on this machine ({machine.device_name}); try --dry-run\n")
        sys.exit(2)
    with ExitStack() as stack:
        size = COURSE
        if arguments.dry_run:
            from labs_lib.ledger.loaded import saved
            from labs_lib.ledger.tiny import tiny_llama

            size = tiny(stack.enter_context(saved(tiny_llama())))
        todo = [cell for cell in cells(size) if arguments.only in cell[0]]
        figures, left_out, failed = measured(todo, 60 * arguments.minutes)
    place = arguments.json or (None if arguments.dry_run else place_of(machine.device_name))
    if place:
        write_record(place, cells=figures, left_out=left_out, failed=failed)
        print(f"written: {place}")
    if failed or (arguments.dry_run and left_out):
        sys.exit(1)


if __name__ == "__main__":
    main()

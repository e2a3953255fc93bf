"""Where the CPU time of a training step goes, by kind of operation, and how fast its products are.

    python benchmarks/profile_step.py [--methods lora,qlora,full] [--length short] [--json FILE]

Trains as `training.py` lets the course train, on one thread: torch's profiler tells the time of an
operation on its thread, and with several threads that of the others would be missing. Of the steps
profiled the quickest counts. A product of (m × k) and (k × n) numbers counts as 2·m·k·n operations.

Takes about 2 minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from record import write_record
from training_task import LENGTHS, METHODS
from training_ways import BUILD

STEPS, WARM = 6, 3

PRODUCTS = ("mm", "addmm", "addmm_", "bmm", "baddbmm", "addbmm", "mkldnn_linear")
KINDS: dict[str, tuple[str, ...]] = {
    "matrix products": PRODUCTS,
    "attention": ("_scaled_dot_product_flash_attention_for_cpu",
                  "_scaled_dot_product_flash_attention_for_cpu_backward"),
    "4-bit weights restored": ("dequantize_4bit", "dequantize_blockwise", "gemm_4bit"),
    "optimizer": ("_fused_adamw_", "_foreach_norm", "_foreach_mul_"),
    "conversions and copies": ("copy_", "cat", "clone", "repeat", "fill_", "zero_"),
    "look-ups": ("index_select", "embedding_dense_backward", "index", "index_put_",
                 "_index_put_impl_", "gather", "scatter_add_"),
}  # fmt: skip
ELEMENTWISE, INTERPRETER = "element-wise", "Python, autograd and dispatch"


def main() -> None:
    """Profile the methods and print a table of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", default=",".join(METHODS), help="which of lora,qlora,full")
    parser.add_argument("--length", default="short", choices=LENGTHS, help="the rows' length")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    methods = arguments.methods.split(",")
    if unknown := [name for name in methods if name not in METHODS]:
        parser.error(f"--methods: {unknown[0]!r} is none of {', '.join(METHODS)}")
    rows = []
    for method in methods:
        rows.append(profiled(method, arguments.length))
        print(table(rows[-1]), flush=True)
    if arguments.json:
        write_record(arguments.json, length=arguments.length, rows=rows)


def profiled(method: str, length: str) -> dict[str, Any]:
    """Return a step's milliseconds by kind, and those of its products by shape."""
    import torch

    from labs_lib.quiet import quiet_libraries

    torch.set_num_threads(1)
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        _, take_steps, _ = BUILD["ours"](method, length, STEPS, folder)
        clock = Profiler()
        take_steps(clock)
    return {"method": method, **min(clock.steps, key=lambda step: step["milliseconds"])}


class Profiler:
    """Profiles each step after the first few; what the trainer's clock is to other benchmarks."""

    def __init__(self) -> None:
        self._begun, self._profile = 0, None
        self.steps: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Start a step."""
        import torch.profiler as profiler

        self._begun += 1
        if self._begun > WARM:
            self._profile = profiler.profile(
                activities=[profiler.ProfilerActivity.CPU], record_shapes=True, with_flops=True
            )
            self._profile.__enter__()

    def end(self, _optimizer: Any) -> None:
        """End a step and sum up its operations."""
        if self._profile is not None:
            self._profile.__exit__(None, None, None)
            self.steps.append(summed(self._profile.key_averages(group_by_input_shape=True)))


def summed(operations: Iterable[Any]) -> dict[str, Any]:
    """Return the milliseconds of a step's operations by kind, and its largest products."""
    kinds: Counter[str] = Counter()
    products = []
    for operation in operations:
        milliseconds = operation.self_cpu_time_total / 1e3
        kinds[kind_of(operation.key)] += milliseconds
        if operation.flops and kind_of(operation.key) == "matrix products":
            products.append(
                {
                    "shapes": [shape for shape in operation.input_shapes if len(shape) >= 2],
                    "count": operation.count,
                    "milliseconds": milliseconds,
                    "gflops": operation.flops / milliseconds / 1e6,
                }
            )
    products.sort(key=lambda product: -product["milliseconds"])
    in_products = sum(product["milliseconds"] for product in products)
    operations_done = sum(product["gflops"] * product["milliseconds"] for product in products)
    return {
        "milliseconds": kinds.total(),
        "kinds": dict(kinds.most_common()),
        "product_gflops": operations_done / in_products,
        "products": products[:12],
    }


def kind_of(name: str) -> str:
    """Return the kind of an operation by its name in the profile."""
    space, _, operation = name.partition("::")
    if space not in ("aten", "bitsandbytes"):
        return INTERPRETER
    return next((kind for kind, names in KINDS.items() if operation in names), ELEMENTWISE)


def table(row: dict[str, Any]) -> str:
    """Return a method's figures as text."""
    lines = [f"{row['method']}: {row['milliseconds']:.0f} ms a step, one thread"]
    for kind, milliseconds in row["kinds"].items():
        lines.append(f"  {kind:30}{milliseconds:8.1f} ms {milliseconds / row['milliseconds']:6.1%}")
    lines.append(f"  products at {row['product_gflops']:.0f} GFLOP/s")
    for product in row["products"]:
        shapes = " · ".join("×".join(map(str, shape)) for shape in product["shapes"])
        lines.append(
            f"    {shapes:40}{product['count']:5} times {product['milliseconds']:7.1f} ms "
            f"{product['gflops']:6.0f} GFLOP/s"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

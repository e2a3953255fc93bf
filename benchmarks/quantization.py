"""How long NF4 quantization takes: this course's, from scratch, against bitsandbytes'.

    python benchmarks/quantization.py [--size 4096] [--rounds 9] [--json]

Both quantize the same fp32 matrix in blocks of 64 on the CPU, in turn, so that whatever else
the machine does falls on both; the medians are compared.  Their results must be equal.

Takes about a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from labs_lib.hardware import detect
from labs_lib.quantization import dequantize, quantize, quiet_bitsandbytes


def main() -> None:
    """Print medians in milliseconds and their ratio (below 1: ours is faster)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=4096, help="rows and columns of the matrix")
    parser.add_argument("--rounds", type=int, default=9, help="timed turns of each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with quiet_bitsandbytes():
        from bitsandbytes import functional as bnb
    weight = torch.randn(arguments.size, arguments.size, generator=torch.manual_seed(0))
    theirs, state = bnb.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    ours = quantize(weight)
    equal = torch.equal(theirs.view(-1), ours.packed) and torch.equal(state.absmax, ours.scales)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "quantize nf4": (
            lambda: quantize(weight),
            lambda: bnb.quantize_4bit(weight, blocksize=64, quant_type="nf4"),
        ),
        "quantize nf4, double": (
            lambda: quantize(weight, double_quant=True),
            lambda: bnb.quantize_4bit(
                weight, blocksize=64, quant_type="nf4", compress_statistics=True
            ),
        ),
        "dequantize nf4": (lambda: dequantize(ours), lambda: bnb.dequantize_4bit(theirs, state)),
    }
    rows = []
    for name, (mine, reference) in pairs.items():
        mine_ms, reference_ms = interleaved_medians(mine, reference, arguments.rounds)
        rows.append(
            {
                "what": name,
                "ours_ms": round(mine_ms, 1),
                "bitsandbytes_ms": round(reference_ms, 1),
                "ratio": round(mine_ms / reference_ms, 3),
            }
        )
    report = {
        "size": arguments.size,
        "rounds": arguments.rounds,
        "threads": torch.get_num_threads(),
        "machine": detect().device_name,
        "results_equal": equal,
        "timings": rows,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{arguments.size} x {arguments.size} fp32, blocks of 64, {report['threads']} threads,")
    print(f"{report['machine']}; codes and scales equal: {'yes' if equal else 'NO'}")
    for row in rows:
        print(
            f"{row['what']:<22} ours {row['ours_ms']:7.1f} ms   "
            f"bitsandbytes {row['bitsandbytes_ms']:7.1f} ms   ratio {row['ratio']:.2f}"
        )


def interleaved_medians(
    mine: Callable[[], object], reference: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Time both in turn, `rounds` times after a warm-up; return the medians in milliseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for which, work in enumerate((mine, reference)):
            start = time.perf_counter()
            work()
            if turn:
                times[which].append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()

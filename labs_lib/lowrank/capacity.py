"""How many bits an adapter holds: random pairs, learned by heart in a frozen random network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labs_lib import figures
from labs_lib.lowrank.knobs import check_rank

# A key is a random vector, its answer one of 16 symbols at random: four bits that nothing predicts.
KEY_FEATURES, HIDDEN_FEATURES, SYMBOLS = 64, 256, 16
BITS_A_PAIR = math.log2(SYMBOLS)


@dataclass(frozen=True)
class Memorized:
    """What an adapter of `parameters` numbers kept of `pairs` random pairs.

    `stored_bits` is what was offered less what the answers still cost after training, by the mean
    of −log2 p; `recalled` is the share of keys whose likeliest symbol is the right one.
    """

    rank: int
    parameters: int
    pairs: int
    stored_bits: float
    recalled: float

    @property
    def offered_bits(self) -> float:
        """Return the bits that the answers hold: log2 of the symbols for each pair."""
        return self.pairs * BITS_A_PAIR

    @property
    def bits_per_parameter(self) -> float:
        """Return the stored bits over the adapter's parameters."""
        return self.stored_bits / self.parameters


def memorize(pairs: int, rank: int, *, steps: int = 400, seed: int = 0) -> Memorized:
    """Train an adapter to answer random keys with random symbols, and measure the bits it holds.

    The base is a frozen random network, 64 → 256 → 16 with a ReLU; both maps get an adapter of
    `rank`, so that rank 1 has 592 parameters. Every step of Adam sees all pairs; the rate falls
    along a cosine. Raises `LabError` for a rank outside 1 … 16. After Allen-Zhu and Li, Physics of
    Language Models, part 3.3 (arXiv 2404.05405), which counts the bits that a model stores in the
    same way.
    """
    import torch

    from labs_lib.lowrank.layer import LoRALinear

    check_rank(rank, SYMBOLS, HIDDEN_FEATURES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        keys = torch.randn(pairs, KEY_FEATURES)
        answers = torch.randint(SYMBOLS, (pairs,))
        maps = (
            torch.nn.Linear(KEY_FEATURES, HIDDEN_FEATURES),
            torch.nn.Linear(HIDDEN_FEATURES, SYMBOLS),
        )
        first, last = (LoRALinear(each, rank=rank, alpha=8 * rank) for each in maps)
        model = torch.nn.Sequential(first, torch.nn.ReLU(), last)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(keys), answers).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        scores = model(keys)
    cost_bits = torch.nn.functional.cross_entropy(scores, answers).item() / math.log(2)
    return Memorized(
        rank=rank,
        parameters=sum(each.numel() for each in trained),
        pairs=pairs,
        stored_bits=pairs * max(0.0, BITS_A_PAIR - cost_bits),
        recalled=(scores.argmax(dim=1) == answers).double().mean().item(),
    )


def draw_capacity(measured: Mapping[int, Sequence[Memorized]]) -> figures.Picture:
    """Draw the stored bits over the offered ones, a line a rank; both axes are logarithmic."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    most = {rank: max(each.stored_bits for each in line) for rank, line in measured.items()}
    title = "; ".join(f"rank {rank} stops at {bits:,.0f} bits" for rank, bits in most.items())
    fig, axes = figures.new_figure(title[0].upper() + title[1:], "bits offered", "bits stored")
    for rank, line in measured.items():
        label = f"rank {rank}, {line[0].parameters:,} parameters"
        offered, stored = (
            [getattr(each, f"{name}_bits") for each in line] for name in ("offered", "stored")
        )
        axes.plot(offered, stored, marker="o", label=label)
    ends = [min(each.offered_bits for line in measured.values() for each in line)]
    ends.append(max(each.offered_bits for line in measured.values() for each in line))
    axes.plot(ends, ends, color=figures.INK, linestyle=":", label="everything offered")
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(base=4))  # the offers grow so
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_locator(NullLocator())
    axes.legend()
    words = "; ".join(
        f"rank {rank}: "
        + ", ".join(f"{each.stored_bits:,.0f} of {each.offered_bits:,.0f}" for each in line)
        for rank, line in measured.items()
    )
    return figures.show(fig, alt=f"Bits stored of the bits offered. {words}.")

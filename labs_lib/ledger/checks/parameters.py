"""Checks of what is said about numbers of parameters, by counting shapes."""

from __future__ import annotations

from typing import get_args, get_type_hints

from labs_lib.ledger.finding import Finding
from labs_lib.lowrank import count_bias_parameters, count_lora_parameters
from labs_lib.models import entry

SEVEN, SEVENTY, SMALL = "llama-2-7b", "llama-2-70b", "smollm2-135m-instruct"
QV, ALL = "q,v", "all-linear"
# GPT-3 175B has 96 layers of width 12,288 (arXiv 2005.14165, table 2.1).
GPT3_PARAMETERS, GPT3_LAYERS, GPT3_WIDTH = 175e9, 96, 12288
SETTINGS = ((SEVEN, QV, 8), (SEVEN, QV, 16), (SEVEN, ALL, 16), (SEVEN, ALL, 64), (SMALL, ALL, 64))


def _share(model: str, targets: str, rank: int) -> float:
    """Return the trained part of all parameters, the adapter's among them, as PEFT prints it."""
    trained = count_lora_parameters(model, targets, rank)
    return trained / (entry(model).parameters + trained)


def _shares() -> dict[str, float]:
    return {
        f"{model}, {'q and v' if targets == QV else targets}, r={rank}": _share(
            model, targets, rank
        )
        for model, targets, rank in SETTINGS
    }


def four_million_at_rank_16() -> Finding:
    """Count LoRA on q and v of a 7B at the printed rank and at half of it."""
    counts = {rank: count_lora_parameters(SEVEN, QV, rank) for rank in (8, 16)}
    return Finding(
        "Llama-2-7B, q and v: "
        + ", ".join(f"r={r} {n:,} ({_share(SEVEN, QV, r):.4%})" for r, n in counts.items()),
        {"r=16": round(counts[16] / 1e6) == 4},
    )


def printed_lora_count() -> Finding:
    """Count what PEFT prints for LoRA r=8 on q and v of Llama-2-7B."""
    trained = count_lora_parameters(SEVEN, QV, 8)
    total = entry(SEVEN).parameters + trained
    return Finding(
        f"trainable {trained:,}, all {total:,}, {100 * trained / total:.4f} %",
        {"Llama-2-7B, r=8": (trained, total) == (4_194_304, 6_742_609_920)},
    )


def printed_4_bit_count() -> Finding:
    """Find whose count 3,752,071,168 is: two 4-bit codes share an element of a tensor."""
    claimed = 3_752_071_168
    elements: dict[str, int] = {}
    for name in (SEVEN, "mistral-7b"):
        shape = entry(name)
        linear = shape.layers * sum(each.parameters for each in shape.linears)
        elements[name] = shape.parameters - linear // 2
    adapted = elements[SEVEN] + count_lora_parameters(SEVEN, QV, 8)
    return Finding(
        f"Llama-2-7B has {entry(SEVEN).parameters:,} parameters, in 4 bits stored in "
        f"{elements[SEVEN]:,} elements; {claimed:,} are Mistral-7B's "
        f"{elements['mistral-7b']:,} elements",
        {
            "parameters of Llama-2-7B in 4 bits": claimed == entry(SEVEN).parameters,
            "elements of Llama-2-7B with its adapter": claimed == adapted,
        },
    )


def one_matrix_of_20_million() -> Finding:
    """Count an adapter of rank 8 on a matrix of 5000 × 4000."""
    whole, adapter = 5000 * 4000, 8 * (5000 + 4000)
    return Finding(
        f"{adapter:,} instead of {whole:,}: {1 - adapter / whole:.2%} less",
        {"5000 × 4000, r=8": adapter == 72_000 and round(1 - adapter / whole, 3) == 0.996},
    )


def ten_thousand_times_fewer() -> Finding:
    """Divide all parameters by the trained ones, for GPT-3 and for models of today."""
    gpt3 = GPT3_LAYERS * 2 * 4 * 2 * GPT3_WIDTH
    factors = {"GPT-3 175B, r=4": GPT3_PARAMETERS / gpt3}
    for model in (SEVENTY, SEVEN, SMALL):
        factors[f"{model}, r=8"] = entry(model).parameters / count_lora_parameters(model, QV, 8)
    return Finding(
        "LoRA on q and v: "
        + ", ".join(f"{name} {factor:,.0f}×" for name, factor in factors.items()),
        {name: factor > 9000 for name, factor in factors.items()},
    )


def seventy_billion_to_ten_million() -> Finding:
    """Count LoRA of two 70B models at the usual ranks, against 10 million and 10,000 times."""
    counts = {
        f"{model}, r={rank}": (count_lora_parameters(model, QV, rank), entry(model).parameters)
        for model in (SEVENTY, "llama-3-70b")
        for rank in (8, 16, 64)
    }
    return Finding(
        "q and v: "
        + ", ".join(f"{name} {n / 1e6:.1f} M, {of / n:,.0f}×" for name, (n, of) in counts.items()),
        {name: n <= 10e6 and of / n >= 10_000 for name, (n, of) in counts.items()},
    )


def about_a_tenth_of_a_percent() -> Finding:
    """Compute the trained share for a few common settings: 0.1 %, within half and double."""
    shares = _shares()
    return Finding(
        ", ".join(f"{name} {share:.3%}" for name, share in shares.items()),
        {name: 0.0005 <= share <= 0.002 for name, share in shares.items()},
    )


def ninety_percent_fewer() -> Finding:
    """Compute by how much fewer parameters are trained: about 90 %, within 5 points."""
    shares = _shares()
    return Finding(
        ", ".join(f"{name} {1 - share:.2%} fewer" for name, share in shares.items()),
        {name: 0.85 <= 1 - share <= 0.95 for name, share in shares.items()},
    )


def far_fewer_parameters() -> Finding:
    """Compute the trained share for common settings: is it below a seventh everywhere."""
    shares = _shares()
    return Finding(
        f"from {min(shares.values()):.3%} to {max(shares.values()):.1%} of all parameters",
        {name: share < 1 / 7 for name, share in shares.items()},
    )


def bias_options() -> Finding:
    """Read from PEFT which values `bias` takes, and its default."""
    from peft import LoraConfig

    legal = set(get_args(get_type_hints(LoraConfig)["bias"]))
    default = LoraConfig().bias
    return Finding(
        f"LoraConfig.bias: {', '.join(sorted(legal))}; its default is {default!r}",
        {"PEFT": legal == {"none", "all", "lora_only"} and default == "none"},
    )


def bias_costs_memory() -> Finding:
    """Count the bias parameters that `bias="all"` adds to an adapter on all linear layers."""
    cases: dict[str, bool] = {}
    figures: list[str] = []
    for model in (SEVEN, "qwen2.5-7b", "gpt2"):
        adapter = count_lora_parameters(model, ALL, 8)
        extra = count_bias_parameters(model, ALL, "all")
        figures.append(f"{model} {extra:,} beside an adapter of {adapter:,}")
        cases[f"{model}: over a tenth more to train"] = extra > adapter / 10
    return Finding(f'bias="all" trains, r=8 on all linear layers: {"; ".join(figures)}', cases)


def one_file_a_task() -> Finding:
    """Compare the file of a fully tuned 70B with an adapter's."""
    whole = 2 * entry("llama-3-70b").parameters
    adapter = 4 * count_lora_parameters("llama-3-70b", QV, 8)
    return Finding(
        f"Llama-3-70B in 16 bits {whole / 1e9:.0f} GB; an adapter of r=8 on q and v in 32 bits "
        f"{adapter / 1e6:.0f} MB",
        {"full fine-tuning of a 70B": whole > 100e9},
    )


def adapters_are_small_files() -> Finding:
    """Compare ten tasks as ten models with ten tasks as one model and ten adapters."""
    model, tasks = SEVEN, 10
    whole = 2 * entry(model).parameters
    adapter = 4 * count_lora_parameters(model, ALL, 16)
    return Finding(
        f"{tasks} tasks of a 7B: {tasks * whole / 1e9:.0f} GB as models, "
        f"{(whole + tasks * adapter) / 1e9:.1f} GB as one model with adapters of r=16 on all "
        "linear layers",
        {"ten tasks": whole + tasks * adapter < tasks * whole / 5},
    )

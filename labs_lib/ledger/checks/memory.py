"""Checks of what is said about memory, by the closed-form forecast.

Figures in GB are 10⁹ bytes, as the claims have them; a card's room is what `labs_lib.memory` says a
process can use of it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from labs_lib.ledger.finding import Finding
from labs_lib.memory import Forecast, card, forecast, reserved_of
from labs_lib.models import entry

GB = 10**9
SEVEN, SEVENTY = "llama-2-7b", "llama-2-70b"
SIZES = {"7B": SEVEN, "13B": "llama-2-13b", "33B": "llama-33b", "70B": SEVENTY}
CARDS = {16: "RTX 4080", 24: "RTX 4090", 32: "RTX 5090", 40: "A100 40GB", 48: "L40S", 80: "H100"}

# What people mean by full fine-tuning, from the most to the least memory.
FULL: Mapping[str, Mapping[str, Any]] = {
    "AdamW in mixed precision": {"precision": "mixed", "optimizer": "adamw_fused"},
    "torch's default AdamW in bf16": {"optimizer": "adamw"},
    "fused AdamW in bf16": {"optimizer": "adamw_fused"},
    "8-bit AdamW in bf16": {"optimizer": "adamw_8bit"},
    "paged 8-bit AdamW in bf16": {"optimizer": "paged_adamw_8bit"},
}
ADAPTERS: Mapping[str, Mapping[str, Any]] = {
    "LoRA": {"method": "lora"},
    "LoRA with checkpointing": {"method": "lora", "checkpointing": True},
    "QLoRA": {"method": "qlora"},
    "QLoRA with checkpointing": {"method": "qlora", "checkpointing": True},
}


@functools.cache
def _step(model: str, method: str, **settings: Any) -> Forecast:
    return forecast(model, method=method, **{"optimizer": "adamw_fused", **settings})


def _full(model: str, **more: Any) -> dict[str, int]:
    """Return recipe → peak bytes of full fine-tuning."""
    return {name: _step(model, "full", **how, **more).peak_bytes for name, how in FULL.items()}


def _adapted(model: str, ways: Iterable[str] = ADAPTERS, **more: Any) -> dict[str, int]:
    """Return way → peak bytes of training an adapter."""
    return {way: _step(model, **ADAPTERS[way], **more).peak_bytes for way in ways}


def _gigabytes(peaks: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {peak / GB:,.1f} GB" for name, peak in peaks.items())


def _fits(peak: int, size: int) -> bool:
    return peak <= card(CARDS[size]).usable_bytes


def only_the_adapter_is_resident() -> Finding:
    """Compare the weights of the frozen base with the adapter's in a LoRA step of a 7B model."""
    step = _step(SEVEN, "lora")
    base = step.weights_bytes
    return Finding(
        f"Llama-2-7B, LoRA r=8 on q and v, 1 × 512 tokens: the base takes {base / GB:.2f} GB, "
        f"the adapter {step.adapter_bytes / GB:.3f} GB",
        {"a LoRA step of a 7B model": base == 0},
    )


def lora_takes_a_tenth_to_a_hundredth() -> Finding:
    """Divide the peak of full fine-tuning by LoRA's and by QLoRA's, recipe by recipe."""
    full = dict(list(_full(SEVEN).items())[:3])
    factors = {
        f"{way} against {recipe}": peak / low
        for way, low in _adapted(SEVEN).items()
        for recipe, peak in full.items()
    }
    ranges = []
    for way in ADAPTERS:
        own = [factor for name, factor in factors.items() if name.startswith(f"{way} against")]
        ranges.append(f"{way} {min(own):.1f}× to {max(own):.1f}×")
    return Finding(
        "Llama-2-7B, 1 × 512 tokens, less memory than full fine-tuning in bf16 to mixed "
        f"precision: {', '.join(ranges)}",
        {name: 10 <= factor <= 100 for name, factor in factors.items()},
    )


def qlora_takes_less_than_lora() -> Finding:
    """Compare the peaks of LoRA and QLoRA for four sizes."""
    peaks = {size: _adapted(model, ("LoRA", "QLoRA")) for size, model in SIZES.items()}
    return Finding(
        "1 × 512 tokens, r=8 on q and v: "
        + "; ".join(f"{size} {_gigabytes(both)}" for size, both in peaks.items()),
        {size: both["QLoRA"] < both["LoRA"] for size, both in peaks.items()},
    )


def qlora_takes_a_quarter_of_lora() -> Finding:
    """Divide LoRA's peak by QLoRA's, short and long, with and without checkpointing."""
    factors: dict[str, float] = {}
    for tokens in (128, 512, 2048):
        for ends in ("", " with checkpointing"):
            peaks = _adapted(SEVEN, (f"LoRA{ends}", f"QLoRA{ends}"), seq_len=tokens)
            high, low = peaks.values()
            factors[f"{tokens:,} tokens{ends}"] = high / low
    return Finding(
        "Llama-2-7B, LoRA's peak over QLoRA's: "
        + "; ".join(f"{name} {factor:.1f}×" for name, factor in factors.items()),
        {name: factor >= 3.95 for name, factor in factors.items()},
    )


def lora_takes_a_quarter_of_full() -> Finding:
    """Divide full fine-tuning's peak by LoRA's, recipe by recipe."""
    lora = _adapted(SEVEN, ("LoRA",))["LoRA"]
    factors = {name: peak / lora for name, peak in _full(SEVEN).items()}
    return Finding(
        "Llama-2-7B, 1 × 512 tokens, full fine-tuning's peak over LoRA's: "
        + "; ".join(f"{name} {factor:.1f}×" for name, factor in factors.items()),
        {name: factor >= 3.95 for name, factor in factors.items()},
    )


def seven_billion_are_14_gb() -> Finding:
    """Count the 16-bit weights of two models that are called 7B."""
    sizes = {name: 2 * entry(name).parameters / GB for name in (SEVEN, "llama-3-8b")}
    return Finding(
        "in 16 bits: " + ", ".join(f"{name} {size:.2f} GB" for name, size in sizes.items()),
        {name: round(size) in (13, 14) for name, size in sizes.items()},
    )


def seventy_billion_are_140_gb() -> Finding:
    """Count the 16-bit weights of a 70B model."""
    size = 2 * entry(SEVENTY).parameters / GB
    return Finding(f"Llama-2-70B in 16 bits: {size:.1f} GB", {"Llama-2-70B": 136 <= size <= 144})


def full_seven_in_40_to_50_gb() -> Finding:
    """Forecast full fine-tuning of a 7B model by five recipes."""
    peaks = _full(SEVEN)
    return Finding(
        f"Llama-2-7B, 1 × 512 tokens: {_gigabytes(peaks)}",
        {name: 40 <= peak / GB <= 50 for name, peak in peaks.items()},
    )


def full_seven_in_112_gb() -> Finding:
    """Forecast full fine-tuning of a 7B model, all of it in fp32 among the recipes."""
    whole = _step(SEVEN, "full", precision="fp32").peak_bytes
    peaks = {**_full(SEVEN), "fused AdamW in fp32": whole}
    return Finding(
        f"Llama-2-7B, 1 × 512 tokens: {_gigabytes(peaks)}",
        {name: abs(peak / GB / 112 - 1) < 0.1 for name, peak in peaks.items()},
    )


def full_seventy_in_300_gb() -> Finding:
    """Forecast full fine-tuning of a 70B model by five recipes: is it 300 GB and more."""
    peaks = _full(SEVENTY)
    return Finding(
        f"Llama-2-70B, 1 × 512 tokens: {_gigabytes(peaks)}",
        {name: peak / GB >= 300 for name, peak in peaks.items()},
    )


def full_seventy_in_hundreds_of_gb() -> Finding:
    """Forecast full fine-tuning of Llama-3-70B by five recipes: is it hundreds of GB."""
    peaks = _full("llama-3-70b")
    return Finding(
        f"Llama-3-70B, 1 × 512 tokens: {_gigabytes(peaks)}",
        {name: peak / GB >= 200 for name, peak in peaks.items()},
    )


def full_needs_a_large_gpu() -> Finding:
    """Forecast full fine-tuning for sizes from 135M to 70B on a 24 GB card."""
    models = ("smollm2-135m-instruct", "smollm2-1.7b-instruct", SEVEN, SEVENTY)
    peaks = {model: _step(model, "full").peak_bytes for model in models}
    return Finding(
        f"bf16, fused AdamW, 1 × 512 tokens: {_gigabytes(peaks)}",
        {f"{model} exceeds a 24 GB card": not _fits(peak, 24) for model, peak in peaks.items()},
    )


def saving_is_gradients_and_states() -> Finding:
    """Split what LoRA saves at the peak of a 7B step by kinds of bytes."""
    full, lora = _step(SEVEN, "full").at_peak, _step(SEVEN, "lora").at_peak
    saved = {kind: full[kind] - lora[kind] for kind in full}
    whole = sum(saved.values())
    trained = saved["gradients"] + saved["optimizer"]
    return Finding(
        f"Llama-2-7B, 1 × 512 tokens, bf16: LoRA's peak is {whole / GB:.1f} GB lower, by "
        f"{trained / GB:.1f} GB of gradients and states and {saved['weights'] / GB:.1f} GB "
        "of weights; activations take back the difference",
        {"a 7B step": trained >= 0.95 * whole and saved["weights"] == 0},
    )


def consumer_gpu_trains_seven() -> Finding:
    """Ask whether a 7B step fits the cards that people own."""
    cases = {
        f"{way} of a 7B on {size} GB": _fits(peak, size)
        for size in (16, 24)
        for way, peak in _adapted(SEVEN).items()
    }
    cases |= {
        f"{way} of a 70B on 24 GB": _fits(peak, 24) for way, peak in _adapted(SEVENTY).items()
    }
    return Finding(
        f"1 × 512 tokens, r=8 on q and v: 7B {_gigabytes(_adapted(SEVEN))}; "
        f"70B {_gigabytes(_adapted(SEVENTY))}",
        cases,
    )


def seven_on_16_gb() -> Finding:
    """Ask whether a 7B step fits a 16 GB card, by LoRA and by QLoRA."""
    peaks = _adapted(SEVEN)
    return Finding(
        f"Llama-2-7B, 1 × 512 tokens: {_gigabytes(peaks)}; a 16 GB card has room for "
        f"{card(CARDS[16]).usable_bytes / GB:.1f} GB",
        {way: _fits(peak, 16) for way, peak in peaks.items()},
    )


def sixty_five_on_48_gb() -> Finding:
    """Ask whether QLoRA of a 65B fits a 48 GB card, short and long."""
    peaks = {
        f"{tokens:,} tokens, {words}": _step(
            "llama-65b", "qlora", seq_len=tokens, checkpointing=True, **adapter
        ).peak_bytes
        for tokens in (512, 2048)
        for words, adapter in {
            "r=8 on q and v": {},
            "r=64 on all linear layers": {"rank": 64, "targets": "all-linear"},
            "r=64 on all, paged states": {
                "rank": 64, "targets": "all-linear", "optimizer": "paged_adamw_32bit",
                "adapter_precision": "bf16",
            },
        }.items()
    }  # fmt: skip
    return Finding(
        f"LLaMA-65B, QLoRA with checkpointing: {_gigabytes(peaks)}; a 48 GB card has room for "
        f"{card(CARDS[48]).usable_bytes / GB:.1f} GB",
        {name: _fits(peak, 48) for name, peak in peaks.items()},
    )


def seventy_on_48_gb() -> Finding:
    """Ask whether QLoRA of a 70B fits a 48 GB card."""
    peaks = _adapted(SEVENTY, ("QLoRA", "QLoRA with checkpointing"))
    wide = _step(SEVENTY, "qlora", checkpointing=True, rank=64, targets="all-linear").peak_bytes
    peaks["QLoRA with checkpointing and r=64 on all linear layers"] = wide
    return Finding(
        f"Llama-2-70B, 1 × 512 tokens: {_gigabytes(peaks)}",
        {way: _fits(peak, 48) for way, peak in peaks.items()},
    )


def seventy_on_one_gpu() -> Finding:
    """Ask which single cards hold a QLoRA step of a 70B."""
    step = _step(SEVENTY, "qlora", checkpointing=True)
    peak, reserved = step.peak_bytes, reserved_of(step)
    return Finding(
        f"Llama-2-70B, QLoRA with checkpointing, 1 × 512 tokens: {peak / GB:.1f} GB of tensors; "
        f"with what torch's allocator reserves, up to {reserved.most_bytes / GB:.1f} GB; a 40 GB "
        f"card has room for {card(CARDS[40]).usable_bytes / GB:.1f} GB, one of 48 GB for "
        f"{card(CARDS[48]).usable_bytes / GB:.1f} GB",
        {f"a {size} GB card": _fits(peak, size) for size in (24, 32, 40, 48, 80)},
    )


def seventy_on_a_consumer_gpu() -> Finding:
    """Ask whether a QLoRA step of a 70B fits the largest cards made for PCs."""
    peak = _adapted(SEVENTY, ("QLoRA with checkpointing",), seq_len=128)["QLoRA with checkpointing"]
    return Finding(
        f"Llama-2-70B, QLoRA with checkpointing, 1 × 128 tokens: {peak / GB:.1f} GB",
        {f"{CARDS[size]}, {size} GB": _fits(peak, size) for size in (24, 32)},
    )


def _table(method: str, claimed: Mapping[str, int]) -> Finding:
    """Compare a column of claimed GB with the range from checkpointing to none."""
    cases: dict[str, bool] = {}
    figures: dict[str, str] = {}
    settings: dict[str, dict[str, Any]] = {
        "512 tokens, q and v": {}, "2,048 tokens, q and v": {"seq_len": 2048},
        "512 tokens, r=64 on all": {"rank": 64, "targets": "all-linear"},
    }  # fmt: skip
    for size, gigabytes in claimed.items():
        for words, how in settings.items():
            low, high = (
                _step(SIZES[size], method, checkpointing=on, **how).peak_bytes / GB
                for on in (True, False)
            )
            cases[f"{size}, {words}"] = low <= gigabytes <= high
            figures.setdefault(size, f"{low:.1f} to {high:.1f}")
    ranges = ", ".join(f"{size} {words} GB" for size, words in figures.items())
    return Finding(f"512 tokens, r=8 on q and v, with to without checkpointing: {ranges}", cases)


def lora_column() -> Finding:
    """Check 16, 30, 70 and 150 GB for LoRA of a 7B, 13B, 33B and 70B."""
    return _table("lora", {"7B": 16, "13B": 30, "33B": 70, "70B": 150})


def qlora_column() -> Finding:
    """Check 6, 10, 20 and 40 GB for QLoRA of a 7B, 13B, 33B and 70B."""
    return _table("qlora", {"7B": 6, "13B": 10, "33B": 20, "70B": 40})


def recommended_cards() -> Finding:
    """Ask whether the recommended method fits the recommended card, with two adapters."""
    table = (("7B", "lora", 24), ("13B", "qlora", 24), ("33B", "qlora", 40), ("70B", "qlora", 48))
    cases: dict[str, bool] = {}
    for size, method, room in table:
        for words, how in {
            "q and v": {},
            "r=64 on all": {"rank": 64, "targets": "all-linear"},
        }.items():
            peak = _step(SIZES[size], method, checkpointing=True, **how).peak_bytes
            cases[f"{size} by {method} on {room} GB, {words}"] = _fits(peak, room)
    return Finding("1 × 512 tokens with checkpointing, a card's 94 % that a process can use", cases)


def rank_costs_memory() -> Finding:
    """Compare rank 8 with rank 128: LoRA on q and v, QLoRA on all layers with checkpointing."""
    ways: dict[str, dict[str, Any]] = {
        "LoRA on q and v": {"method": "lora"},
        "QLoRA on all layers with checkpointing": {
            "method": "qlora", "targets": "all-linear", "checkpointing": True,
        },
    }  # fmt: skip
    peaks = {
        name: [_step(SEVEN, rank=rank, **how).peak_bytes / GB for rank in (8, 128)]
        for name, how in ways.items()
    }
    return Finding(
        "Llama-2-7B, 1 × 512 tokens, r=8 → r=128: "
        + "; ".join(f"{name} {low:.1f} → {high:.1f} GB" for name, (low, high) in peaks.items()),
        {f"over 10 % more: {name}": high > 1.1 * low for name, (low, high) in peaks.items()},
    )


def more_targets_cost_memory() -> Finding:
    """Compare adapters on q and v with adapters on all linear layers."""
    cases: dict[str, bool] = {}
    figures: list[str] = []
    for way in ADAPTERS:
        few = _step(SEVEN, **ADAPTERS[way]).peak_bytes / GB
        many = _step(SEVEN, **ADAPTERS[way], targets="all-linear").peak_bytes / GB
        cases[way] = many > few
        figures.append(f"{way} {few:.1f} → {many:.1f} GB")
    return Finding(
        f"Llama-2-7B, r=8, 1 × 512 tokens, q and v → all linear layers: {'; '.join(figures)}", cases
    )


def base_in_lower_precision() -> Finding:
    """Compare the bytes of the frozen base under LoRA and QLoRA."""
    lora, qlora = _step(SEVEN, "lora"), _step(SEVEN, "qlora")
    return Finding(
        f"Llama-2-7B: the frozen base takes {lora.weights_bytes / GB:.2f} GB in bf16, "
        f"{qlora.weights_bytes / GB:.2f} GB in NF4",
        {"NF4": qlora.weights_bytes < lora.weights_bytes / 3},
    )


def base_that_fits_trains() -> Finding:
    """Ask whether the LoRA step fits where the 16-bit base does, with checkpointing too."""
    cases: dict[str, bool] = {}
    for size, model in {**SIZES, "8B": "llama-3-8b"}.items():
        for room in CARDS:
            if _fits(2 * entry(model).parameters, room):
                peak = _adapted(model, ("LoRA",))["LoRA"]
                cases[f"{size} on {room} GB"] = _fits(peak, room)
    return Finding(
        f"of {len(cases)} cards that hold the 16-bit base, {sum(cases.values())} hold the LoRA "
        "step of 1 × 512 tokens without checkpointing",
        cases,
    )

"""Checks of what is said about DoRA, PiSSA, LoRA+ and merged adapters, on PEFT's own calls."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labs_lib.ledger.finding import Finding
from labs_lib.ledger.tiny import IDS, fill, logits, tiny_llama, with_lora

RATIO = 16.0  # of B's learning rate to A's, LoRA+'s own suggestion
STEPS = 6


def _off(found: Any, wanted: Any) -> float:
    return float((found - wanted).norm() / wanted.norm())


def dora_when_answering() -> Finding:
    """Count the operations of a token through LoRA, DoRA unmerged and DoRA merged."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def operations(model: Any) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(input_ids=torch.tensor([[1]]))
        return counter.get_total_flops()

    base = operations(tiny_llama())
    dora = with_lora(tiny_llama(), trained=True, use_dora=True)
    counts = {
        "LoRA, unmerged": operations(with_lora(tiny_llama(), trained=True)),
        "DoRA, unmerged": operations(dora),
    }
    before = logits(dora)
    merged = dora.merge_and_unload()
    counts["DoRA, merged"] = operations(merged)
    same = _off(logits(merged), before) < 1e-4
    more = {name: count - base for name, count in counts.items()}
    return Finding(
        "a small Llama, operations for one token beyond the base's: "
        + ", ".join(f"{name} {each:,}" for name, each in more.items())
        + f"; merged, the answers are {'the same' if same else 'others'}",
        {
            "merged: no more operations than the base": same and more["DoRA, merged"] == 0,
            "unmerged: no more operations than LoRA": (
                more["DoRA, unmerged"] <= more["LoRA, unmerged"]
            ),
        },
    )


def pissa_on_the_original_base() -> Finding:
    """Save a trained PiSSA adapter as it is and converted, and load each on the original base."""
    from peft import LoraConfig, PeftModel

    from labs_lib.quiet import quiet_libraries

    model = with_lora(tiny_llama(), init_lora_weights="pissa")
    start = _off(logits(model), logits(tiny_llama()))
    # PEFT warns, rightly, that this adapter goes with no other on the same base.
    with quiet_libraries(), TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        initial, own, converted = (str(Path(folder, name)) for name in ("start", "own", "plain"))
        model.save_pretrained(initial)
        _shift(model)
        wanted = logits(model)
        model.save_pretrained(own)
        model.save_pretrained(converted, path_initial_model_for_weight_conversion=initial)
        again = PeftModel.from_pretrained(tiny_llama(), own)
        plain: Any = LoraConfig.from_pretrained(own)
        plain.init_lora_weights = True
        mistaken = PeftModel.from_pretrained(tiny_llama(), own, config=plain)
        doubled: Any = LoraConfig.from_pretrained(converted)
        off = {
            "loaded by PEFT as PiSSA": _off(logits(again), wanted),
            "loaded as plain LoRA": _off(logits(mistaken), wanted),
            "converted when saved": _off(
                logits(PeftModel.from_pretrained(tiny_llama(), converted)), wanted
            ),
        }
    return Finding(
        f"a small Llama: at the start the logits are off by {_share(start)} of their size; on the "
        "original base: "
        + ", ".join(f"{name} {_share(each)}" for name, each in off.items())
        + f"; converted, the rank is {doubled.r} instead of {model.peft_config['default'].r}",
        {name: each < 1e-3 for name, each in off.items()},
    )


def _share(off: float) -> str:
    """Return how far logits are off; what rounding leaves differs from machine to machine."""
    return "less than 1e-5" if off < 1e-5 else f"{off:.0e}"


def two_rates_do_what_alpha_cannot() -> Finding:
    """Train with LoRA+'s two rates, and with one rate and an alpha raised by the same factor."""
    apart = {name: _apart(name) for name in ("Adam", "SGD")}
    return Finding(
        f"a small Llama, {STEPS} steps, {RATIO:g} times B's rate against {RATIO:g} times alpha: "
        + ", ".join(
            f"the logits end {_share(each)} apart with {name}" for name, each in apart.items()
        ),
        {
            f"with {name} a larger alpha does not do the same": off > 1e-3
            for name, off in apart.items()
        },
    )


def linear_is_off() -> Finding:
    """Merge two random adapters by "linear" and by "cat", and compare with the sum of updates."""
    import torch

    model = with_lora(tiny_llama(), trained=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model.add_adapter("second", model.peft_config["default"])
    model.set_adapter("second")
    fill(model, seed=3)
    for how in ("linear", "cat"):
        model.add_weighted_adapter(["default", "second"], [1.0, 1.0], how, combination_type=how)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    with torch.no_grad():
        total = layer.get_delta_weight("default") + layer.get_delta_weight("second")
        off = {how: _off(layer.get_delta_weight(how), total) for how in ("linear", "cat")}
    return Finding(
        "two adapters of rank 4, weights 1 and 1: the merged update is off the sum of the two by "
        + ", ".join(f"{each:.0%} ({how})" for how, each in off.items()),
        {"linear is off by more than a tenth, cat is not": off["linear"] > 0.1 > off["cat"]},
    )


def _shift(model: Any) -> None:
    """Move the adapter's factors a little, as training would."""
    import torch

    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)


def _apart(optimizer: str) -> float:
    """Return how far LoRA+ and a larger alpha end from each other, over LoRA+'s logits."""
    import torch
    from peft.optimizers import create_loraplus_optimizer

    # Adam's epsilon is an absolute number: with it near zero, the size of a gradient means nothing.
    how: dict[str, Any] = {"Adam": {"eps": 1e-30}, "SGD": {}}[optimizer]
    kind: Any = getattr(torch.optim, optimizer)
    rate = 1e-3 if optimizer == "Adam" else 0.1
    ended = []
    for ratio, alpha in ((RATIO, 8.0), (1.0, 8.0 * RATIO)):
        model = with_lora(tiny_llama(), lora_alpha=alpha).double()
        steps = create_loraplus_optimizer(model, kind, lr=rate, loraplus_lr_ratio=ratio, **how)
        ids = torch.tensor(IDS)
        for _ in range(STEPS):
            steps.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            steps.step()
        ended.append(logits(model))
    return _off(ended[1], ended[0])


def pissa_beside_lora() -> Finding:
    """Hold PiSSA against LoRA in the recorded bench: at equal rates, and each at its best."""
    from labs_lib.training import recorded_bench

    bench = recorded_bench("methods")
    told, cases = [], {}
    for task in bench.tasks():
        lora, pissa = (bench.searched(task, name) for name in ("lora", "pissa"))
        for rate in sorted(lora.keys() & pissa.keys()):
            told.append(f"{task}, both at {rate:g}: LoRA {lora[rate]:.3f}, PiSSA {pissa[rate]:.3f}")
            cases[f"{task}: PiSSA is lower with both at {rate:g}"] = pissa[rate] < lora[rate]
        best = {name: bench.spread(task, name, "loss") for name in ("lora", "pissa")}
        told.append(
            f"{task}, each at its best: LoRA {best['lora'].text()}, PiSSA {best['pissa'].text()}"
        )
        cases[f"{task}: PiSSA is clearly lower with each at its best rate"] = (
            best["pissa"].versus(best["lora"]) == "clearly lower than"
        )
    return Finding(f"held-out loss. {'; '.join(told)} ({bench.provenance()})", cases)

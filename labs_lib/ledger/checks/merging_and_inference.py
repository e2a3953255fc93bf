"""Checks of what is said about merging an adapter, switching it and answering with it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labs_lib.ledger.finding import Finding
from labs_lib.ledger.tiny import fill, logits, tiny_llama, with_lora
from labs_lib.lowrank import count_lora_parameters
from labs_lib.models import entry

SEVEN = "llama-2-7b"
SIZE = 256  # of the square weight that is merged in several formats


def _relative(found: Any, wanted: Any) -> float:
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


def merged_answers_alike() -> Finding:
    """Compare PEFT's merged model in fp32 with the same model before the merge."""
    wrapped = with_lora(tiny_llama(), trained=True)
    before, base = logits(wrapped), logits(tiny_llama())
    merged = wrapped.merge_and_unload()
    left = [name for name, _ in merged.named_parameters() if "lora" in name]
    off, moved = _relative(logits(merged), before), _relative(base, before)
    return Finding(
        f"a small Llama in fp32: merging changes the logits by {off:.0e} of their size, the "
        f"adapter itself by {moved:.0e}",
        {"fp32": off < 1e-5 < moved and not left},
    )


def merged_without_loss() -> Finding:
    """Merge a small update into a weight in fp32, bf16 and NF4, and measure what is left of it."""
    import torch

    from labs_lib.quantization import dequantize, quantize

    generator = torch.Generator().manual_seed(0)
    weight = 0.02 * torch.randn(SIZE, SIZE, generator=generator)
    factors = torch.randn(SIZE, 8, generator=generator), torch.randn(8, SIZE, generator=generator)
    update = factors[0] @ factors[1]
    update *= 0.005 * weight.norm() / update.norm()
    on_grid = dequantize(quantize(weight))
    ways = {
        "fp32": (weight + update) - weight,
        "bf16": (weight.bfloat16() + update.bfloat16()).float() - weight.bfloat16().float(),
        "NF4": dequantize(quantize(on_grid + update)) - on_grid,
    }
    off = {name: _relative(kept, update) for name, kept in ways.items()}
    return Finding(
        "an update of 0.5 % of the weight's size, merged: it is off by "
        + ", ".join(f"{error:.1%} in {name}" for name, error in off.items()),
        {name: error < 1e-3 for name, error in off.items()},
    )


def no_latency() -> Finding:
    """Count the multiplications that an adapter adds to a token, merged and unmerged."""
    base = entry(SEVEN).parameters
    shares = {"merged": 0.0}
    for words, how in {"q and v": ("q,v", 8), "all linear layers": ("all-linear", 64)}.items():
        shares[f"unmerged, r={how[1]} on {words}"] = count_lora_parameters(SEVEN, *how) / base
    products = 2 * 2 * entry(SEVEN).layers
    return Finding(
        "Llama-2-7B, more multiplications a token: "
        + ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
        + f"; unmerged on q and v, {products} more products to start",
        {name: share == 0 for name, share in shares.items()},
    )


def built_on_the_fly() -> Finding:
    """Count B(Ax) against building BA, for a layer of 5000 × 4000 and rank 8."""
    d_out, d_in, rank = 5000, 4000, 8
    narrow, build = rank * (d_in + d_out), d_out * rank * d_in
    return Finding(
        f"for one token B(Ax) takes {narrow:,} multiplications, building BA {build:,}",
        {"unmerged, W + BA built for each input": build <= narrow},
    )


def adapters_switch() -> Finding:
    """Switch two adapters on one base by name, then both off."""
    import torch
    from peft import LoraConfig

    base = logits(tiny_llama())
    wrapped = with_lora(tiny_llama(), trained=True)
    first = logits(wrapped)
    second_config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    wrapped.add_adapter("second", second_config)
    wrapped.set_adapter("second")
    fill(wrapped, seed=3)
    second = logits(wrapped)
    wrapped.set_adapter("default")
    again = logits(wrapped)
    with wrapped.disable_adapter():
        off = logits(wrapped)
    apart = not torch.equal(first, second)
    return Finding(
        f"two adapters on one base: their answers differ: {apart}; switched back: "
        f"{'bit for bit the same' if torch.equal(first, again) else 'changed'}; switched off: "
        f"{'the base, bit for bit' if torch.equal(off, base) else 'not the base'}",
        {"two adapters": apart and torch.equal(first, again) and torch.equal(off, base)},
    )


def saved_alone() -> Finding:
    """Save a PEFT model, list the files, and load them on a new base."""
    import torch
    from peft import PeftModel

    wrapped = with_lora(tiny_llama(), trained=True)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        wrapped.save_pretrained(folder)
        files = {path.name: path.stat().st_size for path in Path(folder).iterdir()}
        loaded = PeftModel.from_pretrained(tiny_llama(), folder)
        same = torch.equal(logits(loaded), logits(wrapped))
    return Finding(
        f"save_pretrained writes {', '.join(sorted(files))}; on a new base the adapter answers "
        f"{'alike' if same else 'otherwise'}",
        {"PEFT": same and "adapter_model.safetensors" in files},
    )


def checkpoint_holds_the_adapter() -> Finding:
    """Train one step with `Trainer` and list what its checkpoint holds."""
    from transformers import PrinterCallback, Trainer, TrainingArguments

    wrapped = with_lora(tiny_llama())
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        arguments = TrainingArguments(
            folder, max_steps=1, per_device_train_batch_size=1, save_steps=1, use_cpu=True,
            report_to="none", disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        rows: Any = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]}]
        trainer = Trainer(wrapped, arguments, train_dataset=rows)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        files = sorted(path.name for path in Path(folder, "checkpoint-1").iterdir())
    whole = [name for name in files if name.startswith(("model", "pytorch_model"))]
    return Finding(
        f"checkpoint-1 holds {', '.join(files)}",
        {"Trainer": "adapter_model.safetensors" in files and not whole},
    )

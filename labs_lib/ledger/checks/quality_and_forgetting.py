"""Checks of what is said about quality, forgetting and dropout, by recorded runs over seeds."""

from __future__ import annotations

from labs_lib.ledger import tiny
from labs_lib.ledger.finding import Finding
from labs_lib.training import Comparison, recorded, recorded_comparison

ALIKE = "not clearly different from"
THREE_METHODS, TWO_METHODS = "compare", "structured-output"  # the course's two recorded comparisons


def as_good_as_full_fine_tuning() -> Finding:
    """Compare held-out loss and exact answers of LoRA and QLoRA with full fine-tuning's."""
    bench = recorded_comparison(THREE_METHODS)
    return Finding(
        f"{_told(bench, 'exactly_right', 'exactly right')}; "
        f"{_told(bench, 'loss', 'loss', form='{:.3f}')} ({_provenance(bench)})",
        {
            f"{method} gets as many answers exactly right as full fine-tuning": (
                bench.spread(method, "exactly_right").versus(bench.spread("full", "exactly_right"))
                == ALIKE
            )
            for method in ("lora", "qlora")
        },
    )


def lora_is_better_than_qlora() -> Finding:
    """Compare the exact answers of LoRA and QLoRA in both recorded comparisons."""
    benches = {name: recorded_comparison(name) for name in (THREE_METHODS, TWO_METHODS)}
    return Finding(
        "; ".join(
            f"{bench.recipe.steps} steps: {_told(bench, 'exactly_right', 'exactly right')} "
            f"({_provenance(bench)})"
            for bench in benches.values()
        ),
        {
            f"{bench.recipe.steps} steps: every seed of LoRA above every one of QLoRA": (
                bench.spread("lora", "exactly_right").versus(bench.spread("qlora", "exactly_right"))
                == "clearly higher than"
            )
            for bench in benches.values()
        },
    )


def qlora_reaches_90_to_95_percent() -> Finding:
    """Divide QLoRA's exact answers by LoRA's, seed by seed, in both recorded comparisons."""
    ratios = {}
    for name in (THREE_METHODS, TWO_METHODS):
        bench = recorded_comparison(name)
        pairs = zip(*(bench.values(m, "exactly_right") for m in ("qlora", "lora")), strict=True)
        for seed, (qlora, lora) in enumerate(pairs):
            ratios[f"{bench.recipe.steps} steps, seed {seed}"] = qlora / lora
    ratios["QLoRA's table 4: mean MMLU, NF4 with double quantization over bf16"] = 53.1 / 53.0
    return Finding(
        "QLoRA's score in percent of LoRA's: "
        + ", ".join(f"{100 * ratio:.1f} ({where})" for where, ratio in ratios.items()),
        {f"{where}: 90 to 95 %": 0.90 <= ratio <= 0.95 for where, ratio in ratios.items()},
    )


def training_makes_a_model_forget() -> Finding:
    """Read what share of the facts that the base knew each trained model still gave."""
    bench = recorded_comparison(THREE_METHODS)
    kept = {method: bench.spread(method, "probe_kept") for method in bench.methods()}
    return Finding(
        f"{_told(bench, 'probe_kept', 'kept of the facts it knew')} ({_provenance(bench)})",
        {
            f"{method}: facts are lost with every seed": each.high < 1
            for method, each in kept.items()
        },
    )


def frozen_weights_prevent_forgetting() -> Finding:
    """Compare what LoRA and full fine-tuning kept; then switch a trained adapter off."""
    import torch

    from labs_lib.quiet import quiet_libraries

    bench = recorded_comparison(THREE_METHODS)
    lora, full = (bench.spread(method, "probe_kept") for method in ("lora", "full"))
    ids = torch.arange(16)[None]
    with quiet_libraries():
        plain = tiny.tiny_llama()
        with torch.no_grad():
            before = plain(ids).logits
        model = tiny.with_lora(plain)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
        for _ in range(3):
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
        with torch.no_grad():
            moved = not torch.equal(model(ids).logits, before)
            with model.disable_adapter():
                returns = torch.equal(model(ids).logits, before)
    return Finding(
        f"{_told(bench, 'probe_kept', 'kept of the facts it knew')}; with the adapter off the "
        f"base's logits come back bit for bit: {returns} ({_provenance(bench)})",
        {
            "LoRA loses no fact that the base knew": lora.low == 1,
            "every seed of LoRA keeps more than every one of full fine-tuning": (
                lora.versus(full) == "clearly higher than"
            ),
            "the adapter switched off, nothing is forgotten": moved and returns,
        },
    )


def dropout_prevents_overfitting() -> Finding:
    """Compare the recorded held-out losses of four dropouts after 12 epochs on eight rows."""
    sweep = recorded("small-set")
    at = {share: sweep.spread_at(rank=8, dropout=share) for share in (0.0, 0.05, 0.1, 0.3)}
    return Finding(
        "held-out loss after 12 epochs on 8 rows: "
        + ", ".join(f"{spread.text()} at dropout {share:g}" for share, spread in at.items())
        + f" ({sweep.provenance()})",
        {
            f"dropout {share:g} ends below none": at[share].versus(at[0.0]) == "clearly lower than"
            for share in (0.05, 0.1, 0.3)
        },
    )


def dropout_of_5_to_10_percent() -> Finding:
    """Read PEFT's default dropout, and compare QLoRA's settings with it."""
    from peft import LoraConfig

    shares = {
        "PEFT's LoraConfig()": float(LoraConfig().lora_dropout),
        "QLoRA up to 13B (appendix B.2)": 0.1,
        "QLoRA at 33B and 65B (appendix B.2)": 0.05,
    }
    return Finding(
        ", ".join(f"{who}: {share:g}" for who, share in shares.items()),
        {f"{who}: 0.05 to 0.1": 0.05 <= share <= 0.1 for who, share in shares.items()},
    )


def dropout_acts_on_the_adapter() -> Finding:
    """Compare outputs of a layer with dropout 0.5 in training and in evaluation."""
    import torch

    model = tiny.with_lora(tiny.tiny_llama(), lora_dropout=0.5)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    x = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.train()
        base_is_whole = torch.equal(layer(x), layer.base_layer(x))  # B is zero
        torch.nn.init.normal_(layer.lora_B["default"].weight)
        differs = not torch.equal(layer(x), layer(x))
        layer.eval()
        agrees = torch.equal(layer(x), layer(x))
    return Finding(
        f"B = 0, training: the output is the base's: {base_is_whole}; B ≠ 0: two passes differ in "
        f"training: {differs}, agree in evaluation: {agrees}",
        {
            "the base's input is untouched": base_is_whole,
            "the adapter's input is thinned, in training only": differs and agrees,
        },
    )


def _told(bench: Comparison, metric: str, words: str, form: str = "{:.0%}") -> str:
    return f"{words}: " + ", ".join(
        f"{method} {bench.spread(method, metric).text(form)}" for method in bench.methods()
    )


def _provenance(bench: Comparison) -> str:
    versions = ", ".join(f"{name} {bench.versions[name]}" for name in ("torch", "peft"))
    return (
        f"{bench.recipe.steps} steps, three seeds, {bench.hardware['device_name']}, "
        f"{bench.hardware['precision']}; {versions}; {bench.finished_utc[:10]}"
    )

"""Checks of what is said about 4-bit storage: code books, scales, the flow of a step."""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

from labs_lib.ledger import loaded, tiny
from labs_lib.ledger.finding import Finding
from labs_lib.memory import forecast
from labs_lib.models import entry

SIXTEEN_BIT_MODELS = ("smollm2-135m-instruct", "llama-2-7b", "llama-2-70b")

NF4 = "nf4"  # of which most of these claims speak


def nf4_code_book() -> Finding:
    """Read bitsandbytes' sixteen NF4 values, and compare the course's derivation with them."""
    import torch
    from bitsandbytes.functional import get_4bit_type

    from labs_lib.quantization import nf4_codebook

    theirs = get_4bit_type("nf4", device="cpu")
    first, second, *_, last_but_one, last = theirs.tolist()
    return Finding(
        f"{len(theirs)} values: {first:g}, {second:.4f} … 0 … {last_but_one:.4f}, {last:g}",
        {
            "sixteen values from −1 to 1": len(theirs) == 16 and (first, last) == (-1.0, 1.0),
            "−0.6962 and 0.7230 are the neighbors of the ends": (
                math.isclose(second, -0.6962, abs_tol=5e-5)
                and math.isclose(last_but_one, 0.7230, abs_tol=5e-5)
            ),
            "zero is one of them": 0.0 in theirs.tolist(),
            "the normal distribution's quantiles give the same values": torch.equal(
                nf4_codebook(), theirs
            ),
        },
    )


def block_sizes() -> Finding:
    """Read the block sizes of a weight that bitsandbytes stored by its defaults."""
    state = loaded.stored_matrix(double_quant=True)[1]
    return Finding(
        f"a block of {state.blocksize} weights shares a scale; {state.state2.blocksize} scales, in "
        f"{8 * state.absmax.itemsize} bits each, share one of their own",
        {
            "64 weights a block": state.blocksize == 64,
            "256 scales a block, 8 bits each": (
                state.state2.blocksize == 256 and state.absmax.itemsize == 1
            ),
        },
    )


def bits_per_weight() -> Finding:
    """Compute what a weight costs with its scales, and measure it on a stored matrix."""
    from labs_lib.quantization import bits_per_parameter

    computed = [bits_per_parameter(double_quant=twice) for twice in (False, True)]
    measured = [loaded.measured_bits(twice) for twice in (False, True)]
    return Finding(
        f"computed {computed[0]:.3f} bits, with double quantization {computed[1]:.3f}; measured on "
        f"a matrix of 576 × 1536: {measured[0]:.3f} and {measured[1]:.3f}",
        {
            "4.5 bits": computed[0] == 4.5 and round(measured[0], 3) == 4.5,
            "4.127 bits with double quantization": (
                round(computed[1], 3) == 4.127 and abs(measured[1] - computed[1]) < 0.005
            ),
        },
    )


def the_base_shrinks_by_75_percent() -> Finding:
    """Forecast how much smaller the stored base gets from 16 bits to NF4, model by model."""
    shrunk = {}
    for name in SIXTEEN_BIT_MODELS:
        lora, qlora = (forecast(name, method=method) for method in ("lora", "qlora"))
        shrunk[name] = 1 - qlora.weights_bytes / lora.weights_bytes
    return Finding(
        "the stored weights shrink by "
        + ", ".join(f"{share:.1%} ({name})" for name, share in shrunk.items()),
        {f"{name}: 75 %, within 2 points": abs(s - 0.75) <= 0.02 for name, s in shrunk.items()},
    )


def seventy_billion_from_140_to_35_gb() -> Finding:
    """Compute Llama-2-70B's weights in 16 bits and as QLoRA stores them, in GB."""
    wide, narrow = (
        forecast("llama-2-70b", method=method).weights_bytes / 1e9 for method in ("lora", "qlora")
    )
    codes_alone = entry("llama-2-70b").parameters / 2 / 1e9
    return Finding(
        f"Llama-2-70B: {wide:.1f} GB in 16 bits, {narrow:.1f} GB as QLoRA stores it; half a byte a "
        f"weight would be {codes_alone:.1f} GB",
        {
            "140 GB in 16 bits, within 5 %": abs(wide / 140 - 1) <= 0.05,
            "35 GB as QLoRA stores it, within 5 %": abs(narrow / 35 - 1) <= 0.05,
        },
    )


def double_quantization_saves_900_mb() -> Finding:
    """Compute what double quantization saves on all linear weights of two Llamas."""
    saved = {name: _saved_by_double_quantization(name) for name in ("llama-2-7b", "llama-65b")}
    return Finding(
        ", ".join(f"{name}: {gigabytes:.2f} GB saved" for name, gigabytes in saved.items()),
        {"about 0.9 GB on a 7B": abs(saved["llama-2-7b"] - 0.9) <= 0.1},
    )


def scales_are_quantized_too() -> Finding:
    """Look at the dtype of the scales that bitsandbytes keeps with a doubly quantized weight."""
    import torch

    once, twice = (loaded.stored_matrix(double_quant=each)[1] for each in (False, True))
    return Finding(
        f"scales are {loaded.dtype_name(once.absmax.dtype)}, with double quantization "
        f"{loaded.dtype_name(twice.absmax.dtype)} plus a mean and one scale for 256 of them",
        {
            "the scales become 8-bit codes": (once.absmax.dtype, twice.absmax.dtype)
            == (torch.float32, torch.uint8)
        },
    )


def zero_points_are_stored() -> Finding:
    """List the tensors that bitsandbytes keeps with an NF4 weight."""
    import torch

    from labs_lib.quantization import dequantize, quantize

    state = loaded.stored_matrix(double_quant=True)[1]
    kept = [name for name, part in vars(state).items() if isinstance(part, torch.Tensor)]
    weights = torch.tensor([[0.0, 0.7, -0.2, 0.4]])
    zero_is_exact = dequantize(quantize(weights))[0, 0].item() == 0.0
    return Finding(
        f"kept with a weight: {', '.join(kept)} and the scales of the scales; the offset is one "
        f"number, the mean of the scales; a weight of 0 comes back as 0: {zero_is_exact}",
        {"each block has a zero-point": any("zero" in name for name in kept)},
    )


def paging_prevents_running_out() -> Finding:
    """Simulate three steps, the second one long, on cards of two sizes."""
    from labs_lib.quantization import simulate_paging, training_phases

    how: dict[str, Any] = dict(
        method="qlora", rank=64, targets="all-linear", batch=4, checkpointing=True
    )
    costs = [forecast("llama-2-7b", seq_len=n, **how) for n in (512, 2048, 512)]
    states = {f"layer {n}": costs[0].optimizer_bytes // 32 for n in range(32)}
    phases = training_phases(
        weights_bytes=costs[0].weights_bytes + costs[0].adapter_bytes,
        gradients_bytes=costs[0].gradients_bytes,
        activations_bytes=[cost.activations_bytes for cost in costs],
        state_names=list(states),
    )
    cards = {n: simulate_paging(phases, states, limit_bytes=n * 10**9) for n in (9, 7)}
    unpaged = max(step.fixed_bytes for step in cards[9].steps) + cards[9].buffer_bytes
    paged = max(step.used_bytes for step in cards[9].steps)
    return Finding(
        f"QLoRA 7B, rank 64 on all linear maps, 4 rows of up to 2,048 tokens: {unpaged / 1e9:.2f} "
        f"GB with all states on the card, {paged / 1e9:.2f} GB with paging",
        {f"{n} GB free: paging rescues the step": report.fits for n, report in cards.items()},
    )


def all_of_the_base_is_in_nf4() -> Finding:
    """Load a small Llama in 4 bits and look at how each part is stored."""
    kinds = {}
    for name, part in loaded.qlora_base().named_parameters():
        kinds.setdefault(_part(name), set()).add(loaded.dtype_name(part.dtype))
    stored = {part: ", ".join(sorted(dtypes)) for part, dtypes in kinds.items()}
    return Finding(
        "; ".join(f"{part}: {dtype}" for part, dtype in stored.items()),
        {f"in 4 bits: {part}": dtype == "uint8" for part, dtype in stored.items()},
    )


def restored_to_16_bits_on_the_fly() -> Finding:
    """Watch the products of a 4-bit layer, with and without a compute dtype of 16 bits."""
    told = {"bf16 asked for": _watched(bf16=True), "no compute dtype given": _watched(bf16=False)}
    return Finding(
        "; ".join(
            f"{how}: the base multiplies in {dtype}, restored {times} times in a step"
            for how, (dtype, times) in told.items()
        ),
        {
            f"{how}: restored for each product, to bf16": dtype == "bfloat16" and times == 2
            for how, (dtype, times) in told.items()
        },
    )


def the_math_is_in_16_bits() -> Finding:
    """Compare the dtypes of the base's and the adapter's products in a PEFT layer over 4 bits."""
    layer = tiny.with_lora(loaded.qlora_base()).base_model.model.model.layers[0].self_attn.q_proj
    base, adapter = layer.base_layer.compute_dtype, layer.lora_A["default"].weight.dtype
    return Finding(
        f"the base's products: {loaded.dtype_name(base)}; the adapter's, as PEFT makes it: "
        f"{loaded.dtype_name(adapter)}",
        {
            "the base's products are in 16 bits": base.itemsize == 2,
            "the adapter's products are in 16 bits": adapter.itemsize == 2,
        },
    )


def only_the_adapter_gets_gradients() -> Finding:
    """Take one backward pass through a small 4-bit model and count the gradients."""
    import torch

    from labs_lib.quiet import quiet_libraries

    model = tiny.with_lora(loaded.qlora_base())
    ids = torch.arange(16)[None]
    with quiet_libraries():
        model(input_ids=ids, labels=ids).loss.backward()
    with_gradient = [name for name, part in model.named_parameters() if part.grad is not None]
    adapter = [name for name, _ in model.named_parameters() if "lora_" in name]
    return Finding(
        f"{len(with_gradient)} tensors have a gradient, {len(adapter)} belong to the adapter",
        {"the adapter's tensors and no others": with_gradient == adapter},
    )


def adapters_are_in_16_bits() -> Finding:
    """Look at the dtype of the adapter of a 4-bit model, as PEFT and as TRL make it."""
    import torch

    by_peft = _trained_dtype(tiny.with_lora(loaded.qlora_base()))
    by_trl = _trained_dtype(loaded.sft_trainer(tiny.with_lora(loaded.qlora_base())).model)
    return Finding(
        f"PEFT alone makes the adapter in {loaded.dtype_name(by_peft)}; SFTTrainer rounds that of "
        f"a quantized model to {loaded.dtype_name(by_trl)}",
        {
            "get_peft_model on a 4-bit base": by_peft == torch.bfloat16,
            "SFTTrainer on a 4-bit base": by_trl == torch.bfloat16,
        },
    )


def as_stable_as_16_bits() -> Finding:
    """Compare storage and exactness of NF4 with those of bf16 on normal random numbers."""
    import torch

    from labs_lib.quantization import quantization_error

    weight = torch.randn(576, 1536, generator=torch.Generator().manual_seed(0))
    nf4 = quantization_error(weight, "nf4", double_quant=True).relative
    bf16 = ((weight.bfloat16().float() - weight).norm() / weight.norm()).item()
    bits = loaded.measured_bits(True)
    return Finding(
        f"a weight costs {bits:.2f} bits; the error of a normal weight is {nf4:.1%} of its size, "
        f"{bf16:.2%} in bf16",
        {
            "4-bit storage": bits < 4.5,
            "weights as exact as in 16 bits": nf4 <= 2 * bf16,
        },
    )


def nf4_has_the_smallest_error() -> Finding:
    """Compare the errors of three 4-bit types on normal and on evenly spread random numbers."""
    import torch

    from labs_lib.quantization import quantization_error

    source = torch.Generator().manual_seed(0)
    weights = {
        "normal": torch.randn(576, 1536, generator=source),
        "evenly spread": torch.rand(576, 1536, generator=source) - 0.5,
    }
    errors = {
        kind: {name: quantization_error(w, name).relative for name in ("nf4", "fp4", "int4")}
        for kind, w in weights.items()
    }
    return Finding(
        "; ".join(
            f"{kind} weights: " + ", ".join(f"{name} {error:.2%}" for name, error in each.items())
            for kind, each in errors.items()
        ),
        {
            f"{kind} weights": min(each, key=each.__getitem__) == NF4
            for kind, each in errors.items()
        },
    )


def lora_needs_a_16_bit_base() -> Finding:
    """Look at the bytes a weight of the base took in the recorded LoRA runs."""
    from labs_lib.training import recorded_comparison

    parameters = entry("smollm2-135m-instruct").parameters
    widths = {
        name: round(recorded_comparison(name).mean("lora", "weights_bytes") / parameters)
        for name in ("compare", "structured-output")
    }
    return Finding(
        ", ".join(f"record {name}: {width} bytes a weight" for name, width in widths.items()),
        {f"record {name}: a 16-bit base": width == 2 for name, width in widths.items()},
    )


def four_bit_training_needs_cuda() -> Finding:
    """Take steps with a 4-bit model on the CPU and see whether the loss falls."""
    import torch

    from labs_lib.quiet import quiet_libraries

    model = tiny.with_lora(loaded.qlora_base(), target_modules="all-linear")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    ids = torch.arange(16)[None]
    losses = []
    with quiet_libraries():
        for _ in range(8):
            optimizer.zero_grad()
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return Finding(
        f"NF4 on a CPU: the loss falls from {losses[0]:.2f} to {losses[-1]:.2f} in 8 steps",
        {"without CUDA nothing is learned": losses[-1] > losses[0] - 0.1},
    )


def load_in_4bit_is_qlora() -> Finding:
    """Read what `BitsAndBytesConfig(load_in_4bit=True)` sets."""
    import torch
    from transformers import BitsAndBytesConfig

    chosen: Any = BitsAndBytesConfig(load_in_4bit=True)
    dtype = loaded.dtype_name(chosen.bnb_4bit_compute_dtype)
    return Finding(
        f"type {chosen.bnb_4bit_quant_type}, compute dtype {dtype}, "
        f"double quantization {chosen.bnb_4bit_use_double_quant}",
        {
            "NF4": chosen.bnb_4bit_quant_type == NF4,
            "products in bf16": chosen.bnb_4bit_compute_dtype == torch.bfloat16,
            "double quantization": chosen.bnb_4bit_use_double_quant,
        },
    )


def _saved_by_double_quantization(model: str) -> float:
    from labs_lib.quantization import bits_per_parameter

    saved_bits = bits_per_parameter() - bits_per_parameter(double_quant=True)
    return _linear_weights(model) * saved_bits / 8 / 1e9


def _linear_weights(model: str) -> int:
    shape = entry(model)
    return shape.layers * sum(linear.parameters for linear in shape.linears)


def _watched(*, bf16: bool) -> tuple[str, int]:
    """Return the compute dtype of a small 4-bit layer, and how often a step restores its weight."""
    import torch

    from labs_lib.quantization import Watch

    dtype = {"bnb_4bit_compute_dtype": torch.bfloat16} if bf16 else {}
    layer = loaded.four_bit(bnb_4bit_quant_type="nf4", **dtype).model.layers[0].self_attn.q_proj
    x = torch.randn(4, 32).requires_grad_()
    with contextlib.redirect_stdout(io.StringIO()), Watch() as watched:
        layer(x).sum().backward()
    return loaded.dtype_name(layer.compute_dtype), watched.times_restored


def _trained_dtype(model: Any) -> Any:
    (dtype,) = {part.dtype for part in model.parameters() if part.requires_grad}
    return dtype


def _part(name: str) -> str:
    if "embed" in name:
        return "embedding"
    if "lm_head" in name:
        return "output layer"
    return "norms" if "norm" in name else "linear layers"

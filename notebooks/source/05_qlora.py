# %% [markdown]
# # 05 · QLoRA
#
# After this lesson you can
#
# - say which bytes a 4-bit base saves, and which it does not,
# - derive NF4's sixteen values, quantise a block by hand, and count its bits,
# - say for each tensor of a training step how it is stored, how it is computed, and whether a
#   gradient arrives there,
# - prepare a 4-bit model, train it, and see that it learnt.
#
# **Time:** about an hour and a half; the machine works for about two minutes of it on two
# laptop cores. No GPU is needed: bitsandbytes quantises and trains on a CPU too.

# %%
from labs_lib.warm_up import load_in_background

load_in_background()

# %% [markdown]
# ## The base-model memory problem
#
# LoRA made gradients and optimiser states small. The frozen base is still there, every weight of
# it, since each forward and backward pass goes through it.

# %%
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

from labs_lib import memory, models
from labs_lib import quantization as quant
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.figures import MEMORY_COLOURS, PALETTE, new_figure, show
from labs_lib.tables import Table
from labs_lib.training import LiveBytes, Recipe, assert_learned, train
from labs_lib.widgets import NF4Explorer, ask, show_progress

with quant.quiet_bitsandbytes():
    import bitsandbytes

# %% [markdown]
# **Predict:** LoRA (r = 8 on q and v) trains Llama-2-7B in bf16, one row of 512 tokens. Which share
# of the peak memory is the frozen base, in percent?

# %%
predict("05.base-share", ...)

# %%
forecasts = {
    method: memory.forecast("llama-2-7b", method=method, seq_len=512)
    for method in ("full", "lora", "qlora")
}

# %%
rows = []
for name, cost in forecasts.items():
    held = cost.at_peak["weights"] + cost.at_peak["adapter"]
    parts = (held, cost.peak_bytes - held, cost.peak_bytes)
    rows.append((name, *(f"{part / 1e9:.2f}" for part in parts)))
Table.of(
    ("method", "base and adapter (GB)", "gradients, states, activations (GB)", "peak (GB)"), rows
)

# %%
lora = forecasts["lora"]
base_share = 100 * lora.weights_bytes / lora.peak_bytes
compare_prediction("05.base-share", round(base_share), unit="%")

# %%
title = f"Under LoRA {base_share:.0f} % of the peak is the frozen base: QLoRA goes for that"
fig, axes = new_figure(title, "bytes at the peak (GB)", "", height_inches=2.6)
names = [name for name in forecasts if name != "full"]
left = [0.0] * len(names)
for kind, colour in MEMORY_COLOURS.items():
    widths = [forecasts[name].at_peak[kind] / 1e9 for name in names]
    axes.barh(names, widths, left=left, color=colour, label=kind)
    left = [start + width for start, width in zip(left, widths, strict=True)]
axes.invert_yaxis()
axes.legend(ncols=3, loc="lower right")
show(fig, alt=f"Stacked bars of Llama-2-7B, peak {left[0]:.1f} GB under LoRA, {left[1]:.1f} QLoRA.")

# %% [markdown]
# These are forecasts by formula, which the course checks against traces of the real code. QLoRA
# shrinks the base and nothing else: gradients, states and activations are untouched.
#
# QLoRA (arXiv 2305.14314) has three parts: **NF4**, a 4-bit code for weights; **double
# quantisation** of its scales; **paged optimisers**. We take them one by one.

# %% [markdown]
# ## NF4 by hand
#
# Four bits are sixteen codes. Which sixteen *values* should they stand for? Look at the weights
# first: one real layer, each run of 64 weights divided by its largest absolute value.

# %%
with quant.quiet_bitsandbytes():
    base = models.load_model("smollm2-135m-instruct", dtype="bf16", device="cpu")
weight = base.model.layers[15].mlp.down_proj.weight.detach().float()
absmax = quant.block_absmax(weight, 64)
scaled = weight.view(-1, 64) / absmax.unsqueeze(1)
inner = (scaled.abs() < 0.5).float().mean().item()
books = {name: quant.codebook(name) for name in ("nf4", "int4")}
print(f"{weight.numel():,} weights, standard deviation {weight.std():.3f}")
print(f"{inner:.0%} lie in the inner half of their block's range")
for name, values in books.items():
    print(f"{name}: {int((values.abs() < 0.5).sum())} of {len(values)} values lie there")

# %%
there = int((books["nf4"].abs() < 0.5).sum())
title = f"{inner:.0%} of the weights lie in the inner half; NF4 puts {there} of 16 values there"
fig, axes = new_figure(title, "weight ÷ absmax of its block of 64", "weights (thousands)")
counts = torch.histc(scaled, bins=80, min=-1, max=1) / 1000
axes.bar(torch.linspace(-1, 1, 81)[:-1], counts, width=0.024, align="edge", color=PALETTE[4])
for value in books["nf4"]:
    axes.axvline(value, color=PALETTE[5], linewidth=1.2, linestyle="--")
axes.set_xlim(-1.02, 1.02)
show(
    fig, alt=f"Histogram of scaled weights, a bell; {inner:.0%} within ±0.5; dashed: NF4's values."
)

# %% [markdown]
# The dashed lines are what we shall derive now. The recipe: weights are nearly normal, so take
# values at equal steps of **probability**, not of distance.
#
# **Step 1.** From the outermost probability to the median, 0.5: eight steps for the positive side,
# seven for the negative. The median itself is left out; zero is put in exactly.

# %%
# NBVAL_CHECK_OUTPUT
outermost = quant.codebooks.NF4_OUTERMOST
positive = torch.linspace(outermost, 0.5, 8 + 1)[:-1]
negative = torch.linspace(outermost, 0.5, 7 + 1)[:-1]
print("positive:", [round(p, 4) for p in positive.tolist()])
print("negative:", [round(p, 4) for p in negative.tolist()])

# %% [markdown]
# **Step 2.** Turn probabilities into quantiles of the normal distribution: below which value does
# that share of all weights lie? `ndtri` is the inverse of the cumulative distribution.

# %%
# NBVAL_CHECK_OUTPUT
above = torch.special.ndtri(positive.double()).float()
below = -torch.special.ndtri(negative.double()).float()
print("above zero:", [round(q, 3) for q in above.tolist()])
print("below zero:", [round(q, 3) for q in below.tolist()])

# %% [markdown]
# **Step 3.** Put zero between them, sort, and divide by the largest, since a block divided by its
# absmax lies in [−1, 1]. Is that the table inside bitsandbytes?

# %%
# NBVAL_CHECK_OUTPUT
values = torch.cat([below, torch.zeros(1), above]).sort().values
by_hand = values / values.max()
table = bitsandbytes.functional.get_4bit_type("nf4", device="cpu")
print([round(v, 4) for v in by_hand.tolist()])
print("equal to bitsandbytes, bit for bit:", torch.equal(by_hand, table))

# %% [markdown]
# ### Why it is not symmetric
#
# Zero has to be exact: padding and pruned weights are zero and must stay so. Sixteen codes without
# zero leave fifteen, and fifteen cannot be shared out evenly. Mirroring one side would waste one.

# %%
# NBVAL_CHECK_OUTPUT
book = quant.nf4_codebook()
print("zero is one of the values:", 0.0 in book.tolist())
print("below, above zero:", int((book < 0).sum()), int((book > 0).sum()))
print("nearest neighbours of zero:", [round(v, 4) for v in (book[6].item(), book[8].item())])
print("values of a symmetric book:", len(quant.symmetric_normal_codebook()), "of 16")

# %% [markdown]
# ## A block by hand
#
# Eight weights, one block. Divide by the absmax, take the nearest value's position, pack two codes
# into a byte.

# %%
# NBVAL_CHECK_OUTPUT
eight = torch.tensor([0.12, -0.50, 0.03, 0.0, 0.31, -0.07, 0.44, -0.26])
largest = eight.abs().max()
divided = eight / largest
codes = (divided.unsqueeze(1) - book).abs().argmin(dim=1)
restored = book[codes] * largest
columns = (eight, divided, codes, book[codes], restored, restored - eight)
Table.of(
    ("weight", "÷ absmax", "code", "its value", "restored", "error"),
    [[f"{float(x):.4g}" for x in row] for row in zip(*columns, strict=True)],
)

# %% [markdown]
# The extreme comes back exactly, and so does zero. The others move to the nearest value. Now the
# bytes, and bitsandbytes beside them:

# %%
# NBVAL_CHECK_OUTPUT
packed = codes[::2] * 16 + codes[1::2]
theirs, state = bitsandbytes.functional.quantize_4bit(eight, blocksize=64, quant_type="nf4")
back = bitsandbytes.functional.dequantize_4bit(theirs, state)
print("our bytes:         ", packed.tolist())
print("bitsandbytes' bytes:", theirs.flatten().tolist())
print("same scale: ", state.absmax.item() == largest.item())
print("same values:", torch.equal(back.flatten(), restored))

# %% [markdown]
# Eight fp32 numbers took 32 bytes; now they take four, and one scale. The same with every weight of
# the layer, in blocks of 64, by the course's own `quantize` (open it: under 60 lines) and by
# bitsandbytes:

# %%
# NBVAL_CHECK_OUTPUT
ours = quant.quantize(weight, "nf4", block_size=64)
theirs, state = bitsandbytes.functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
print("packed codes:", torch.equal(ours.packed, theirs.flatten()))
print("absmax:      ", torch.equal(ours.scales, state.absmax))
there = bitsandbytes.functional.dequantize_4bit(theirs, state)
print("restored:    ", torch.equal(quant.dequantize(ours), there))

# %% [markdown]
# ## How large is the error?
#
# Three 4-bit types: **nf4**; **fp4**, a tiny floating-point number; **int4**, evenly spaced values.
# Each uses blocks of 64. **Predict:** which of them has the smallest error on this model's weights?

# %%
predict("05.best-type", ...)  # "nf4", "fp4" or "int4"

# %%
errors = [
    error
    for layer in ("layers.0.", "layers.15.", "layers.29.")
    for error in quant.summarize_errors(quant.layer_errors(base, containing=layer))
]
by_type = {e.quant_type: e.relative for e in quant.summarize_errors(errors)}
Table.of(
    ("type", "error ÷ size of the weights (rms)"),
    [(name, f"{relative:.2%}") for name, relative in by_type.items()],
)

# %%
best = min(by_type, key=lambda name: by_type[name])
compare_prediction("05.best-type", best)

# %% [markdown]
# A caution. These weights were once 4-bit already (evenly spaced, in blocks of 32: see the model's
# card in lesson 00) and were restored to 16 bits. So we repeat it with normal random numbers. And a
# small error of weights is no proof of good answers: that is measured in lesson 06.

# %%
run_of_32 = weight.view(-1, 32)[:1000]
print("different values in a run of 32, at most:", max(len(row.unique()) for row in run_of_32))
normal = torch.randn(576, 1536, generator=torch.Generator().manual_seed(0))
for name in ("nf4", "fp4", "int4"):
    print(f"{name:5} on normal numbers: {quant.quantization_error(normal, name).relative:.2%}")

# %% [markdown]
# ## Block size and outliers
#
# A block shares one scale. Make one weight 50 standard deviations large, and see who pays.

# %%
effects = quant.outlier_effect(weight, 50, (32, 64, 256, 1024, 4096, 65536))
Table.of(
    ("block size", "error without", "error with one outlier", "bits per weight"),
    [
        (f"{size:,}", f"{plain:.2%}", f"{hit:.2%}", f"{quant.bits_per_parameter(size):.3f}")
        for size, plain, hit in effects
    ],
)

# %%
small, large = effects[1], effects[-1]
added = [hit - plain for _, plain, hit in (small, large)]
title = f"One outlier adds {added[0]:.2%} of error at 64, {added[1]:.0%} at 65,536"
fig, axes = new_figure(title, "block size (weights)", "error ÷ size of the weights")
sizes = [size for size, _, _ in effects]
axes.plot(sizes, [plain for _, plain, _ in effects], "o-", label="as it is")
axes.plot(sizes, [hit for _, _, hit in effects], "s--", label="with one outlier of 50 sd")
axes.set_xscale("log", base=2)
axes.yaxis.set_major_formatter("{x:.0%}")
axes.set_ylim(0)
axes.legend()
show(fig, alt=f"Error against block size, rising; {title}.")

# %% [markdown]
# Small blocks are accurate and cost bits; large blocks are cheap and fragile. 64 is QLoRA's choice.
# Try it yourself: type, block size, outlier; watch which codes are used, and what a weight costs.

# %%
NF4Explorer(weights=weight)

# %% [markdown]
# ## Double quantisation
#
# Each block of 64 keeps an absmax in fp32: 32 bits for 64 weights, half a bit each. Double
# quantisation subtracts the mean of the scales and stores what remains in 8 bits, with one fp32
# scale for 256 of them. Not by formula, but counted in what bitsandbytes allocates for our layer:

# %%
# NBVAL_CHECK_OUTPUT
rows = []
for double in (False, True):
    data, state = bitsandbytes.functional.quantize_4bit(
        weight, blocksize=64, quant_type="nf4", compress_statistics=double
    )
    scales = [state.absmax, *([state.state2.absmax, state.offset] if double else [])]
    scale_bytes = sum(part.nbytes for part in scales)
    mine = quant.stored_bytes(quant.quantize(weight, "nf4", 64, double))
    same = (mine.packed_bytes, mine.scale_bytes) == (data.nbytes, scale_bytes)
    bits = 8 * (data.nbytes + scale_bytes) / weight.numel()
    rows.append((double, f"{data.nbytes:,}", f"{scale_bytes:,}", f"{bits:.3f}", same))
Table.of(("double", "bytes of codes", "bytes of scales", "bits per weight", "ours the same"), rows)

# %% [markdown]
# bitsandbytes also keeps a copy of its small tables with every layer (16 values, and 256 for the
# scales). What does the second quantisation cost in accuracy?

# %%
for double in (False, True):
    error = quant.quantization_error(weight, double_quant=double)
    print(f"double={double!s:5}  error {error.relative:.4%}  {error.bits_per_parameter:.3f} bits")

# %% [markdown]
# ## Paged optimisers
#
# Adam's states are touched once a step. For the rest of it they only occupy memory, and a rare long
# batch may need just that room. A paged optimiser lets the GPU's driver move states to main memory,
# and back when they are used.
#
# A CPU has no second memory to page to. So what follows is a **simulation**: it computes what would
# move, and times nothing.

# %%
settings = dict(method="qlora", rank=64, targets="all-linear", batch=4, checkpointing=True)
lengths = (512, 2048, 512)
costs = [memory.forecast("llama-2-7b", seq_len=n, **settings) for n in lengths]
states = {f"layer {n}": costs[0].optimizer_bytes // 32 for n in range(32)}

# %%
phases = quant.training_phases(
    weights_bytes=costs[0].weights_bytes + costs[0].adapter_bytes,
    gradients_bytes=costs[0].gradients_bytes,
    activations_bytes=[cost.activations_bytes for cost in costs],
    state_names=list(states),
)
paged = quant.simulate_paging(phases, states, limit_bytes=9 * 10**9)
print("simulated:", paged.simulated, " states:", f"{paged.buffer_bytes / 1e9:.2f} GB")
print(f"fits in 9 GB: {paged.fits}; moved: {paged.transferred_bytes / 1e9:.2f} GB")

# %%
unpaged = [(step.fixed_bytes + paged.buffer_bytes) / 1e9 for step in paged.steps]
used = [step.used_bytes / 1e9 for step in paged.steps]
title = f"Simulated: the long batch needs {max(unpaged):.1f} GB, paged {max(used):.1f} GB"
fig, axes = new_figure(
    title, "moments of three steps (the second batch is long)", "on the card (GB)"
)
axes.step(range(len(used)), unpaged, where="mid", color=PALETTE[5], label="states stay")
axes.step(range(len(used)), used, where="mid", color=PALETTE[0], label="states paged")
axes.axhline(9, color=PALETTE[7], linestyle="--", label="limit, 9 GB")
axes.set_ylim(0, 12)
axes.legend(ncols=3, loc="upper right")
show(fig, alt=f"Bytes on the card over three simulated steps. {title}; the limit is 9 GB.")

# %% [markdown]
# Two limits. Only states can move: if weights and activations alone do not fit, paging cannot help.
# And bitsandbytes pages no state of fewer than 100,000 numbers, as the next cell reads off its
# source: a small rank leaves nothing to page.

# %%
# NBVAL_CHECK_OUTPUT
import inspect

from bitsandbytes.optim.optimizer import Optimizer8bit

source = inspect.getsource(Optimizer8bit.get_state_buffer)
print(next(line.strip() for line in source.splitlines() if "1e5" in line))
print("lora_A of a 4096-wide layer, r=8:", 8 * 4096, " r=64:", 64 * 4096)

# %%
if torch.cuda.is_available():
    print(quant.paged_optimizer_on_cuda())
else:
    print("no CUDA card here; on one, this cell takes a real paged step")

# %% [markdown]
# ## A real 4-bit model
#
# Now the libraries. First what you get if you ask for 4 bits and nothing else:

# %%
# NBVAL_CHECK_OUTPUT
from transformers import BitsAndBytesConfig

default = BitsAndBytesConfig(load_in_4bit=True)
qlora = quant.qlora_config(compute_dtype="bf16")
fields = ("bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype")
Table.of(
    ("field", "library default", "QLoRA"),
    [(field, getattr(default, field), getattr(qlora, field)) for field in fields],
)

# %% [markdown]
# No line agrees. The default works without a word; it is not what the paper measured. And a setting
# that makes no sense gets one clear line from the course:

# %%
# NBVAL_CHECK_OUTPUT
for wrong in ({"quant_type": "nf5"}, {"block_size": 48}, {"quant_type": None}):
    try:
        quant.qlora_config(**wrong)
    except ValueError as error:
        print(error)

# %%
with quant.quiet_bitsandbytes():
    model = models.load_model(
        "smollm2-135m-instruct", dtype="bf16", quantization=qlora, device="cpu"
    )
quantised, rest_bytes = quant.model_stored_bytes(model)
before_bytes = sum(part.nbytes for part in base.parameters())
print(f"16 bits: {before_bytes / 1e6:.0f} MB")
print(f" 4 bits: {(quantised.total_bytes + rest_bytes) / 1e6:.0f} MB, of which")
print(f"         {quantised.total_bytes / 1e6:.0f} MB are {quantised.parameters:,} 4-bit weights")
print(f"         {rest_bytes / 1e6:.0f} MB stayed in 16 bits: the embedding and the norms")

# %% [markdown]
# ### Where did half of the parameters go?

# %%
# NBVAL_CHECK_OUTPUT
layer = model.model.layers[0].self_attn.q_proj
print("the weight's shape:", tuple(layer.weight.quant_state.shape), "of", 576 * 576, "numbers")
print("the tensor's shape:", tuple(layer.weight.shape), layer.weight.dtype)
print("numel():         ", sum(part.numel() for part in model.parameters()))
print("num_parameters():", model.num_parameters())

# %% [markdown]
# Two codes share a byte, and `numel()` counts bytes. Nothing is gone: it is a matter of display.
# `num_parameters()` knows, and so does today's PEFT.

# %% [markdown]
# ## Preparing it for training
#
# `prepare_model_for_kbit_training` is one call with several effects. We write down the state of the
# model before and after.


# %%
def state_of(model):
    """Describe what the call may change."""
    parts = list(model.parameters())
    four_bit = [p for p in parts if p.dtype == torch.uint8]
    embedding = model.get_input_embeddings()
    return {
        "4-bit weights": f"uint8, {sum(p.nbytes for p in four_bit) / 1e6:.1f} MB",
        "embedding": f"{embedding.weight.dtype}, {embedding.weight.nbytes / 1e6:.1f} MB",
        "norms": str(model.model.norm.weight.dtype),
        "tensors that ask for a gradient": sum(p.requires_grad for p in parts),
        "gradient checkpointing": model.is_activation_checkpointing,
        "embedding's output asks for a gradient": embedding(torch.tensor([1])).requires_grad,
    }


# %%
# NBVAL_CHECK_OUTPUT
before = state_of(model)
with quant.quiet_bitsandbytes():
    model = prepare_model_for_kbit_training(model)
after = state_of(model)
Table.of(("what", "before", "after"), [(key, before[key], after[key]) for key in before])

# %% [markdown]
# Line by line:
#
# - **4-bit weights**: untouched.
# - **Embedding and norms** become fp32, for stability. For a small model with a large vocabulary
#   that is a good part of what 4 bits saved.
# - **Nothing asks for a gradient** any more. Loading froze the 4-bit weights alone.
# - **Checkpointing** is on: activations are computed twice rather than kept. On a small model it
#   costs more time than it is worth; `use_gradient_checkpointing=False` leaves it off.
# - **The embedding's output** still asks for a gradient, though its weights no longer do: a
#   checkpointed block whose input asks for none would pass none on.

# %% [markdown]
# ## The training flow, as it happens
#
# The adapter comes on top, as in lesson 04. Here is one adapted layer, and everything it stores:

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
adapted = get_peft_model(model, config).train()
layer = adapted.base_model.model.model.layers[0].self_attn.q_proj
state = layer.base_layer.weight.quant_state
rows = [(name, part) for name, part in layer.named_parameters()]
rows += [("block scales", state.absmax), ("scales of the scales", state.state2.absmax)]
Table.of(
    ("stored", "shape", "dtype", "trained"),
    [(name, tuple(part.shape), part.dtype, part.requires_grad) for name, part in rows],
)

# %% [markdown]
# To see what is *computed* we listen to PyTorch: each product, each restoring and each change of
# dtype prints what goes in and what comes out.

# %%
from torch.utils._python_dispatch import TorchDispatchMode

WORTH_TELLING = ("mm", "gemm_4bit", "dequantize_4bit", "dequantize_blockwise", "_to_copy")


def kind(tensor):
    """Say dtype and shape in few letters."""
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


# %%
class Listen(TorchDispatchMode):
    restored = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2]
        self.restored += name in ("gemm_4bit", "dequantize_4bit")
        if name in WORTH_TELLING:
            inputs = " × ".join(kind(part) for part in args[:2] if isinstance(part, torch.Tensor))
            print(f"  {name:20} {inputs} → {kind(result)}")
        return result


# %% [markdown]
# **Predict:** how often will the base weight be restored from its 4 bits, in one forward and one
# backward pass?

# %%
predict("05.times-restored", ...)

# %%
# NBVAL_CHECK_OUTPUT
x = torch.randn(4, 576, generator=torch.Generator().manual_seed(0)).requires_grad_()
with Listen() as listener:
    print("forward")
    y = layer(x)
    print("backward")
    y.sum().backward()

# %% [markdown]
# Read it against the four sentences of the notes that this lesson grew from:
#
# 1. *Stored in 4 bits*: `uint8[165888, 1]`, two codes a byte.
# 2. *De-quantised on the fly*: `gemm_4bit` restores inside and multiplies; in backward you see
#    `dequantize_4bit` give a `bfloat16[576, 576]`.
# 3. *The maths in 16 bits*: x goes to bf16 on the way in, the product comes back to fp32.
# 4. *Only the adapter learns*: its products run in fp32.

# %%
compare_prediction("05.times-restored", listener.restored)

# %%
# NBVAL_CHECK_OUTPUT
reached = [(name, part.grad) for name, part in layer.named_parameters()] + [("x", x.grad)]
Table.of(
    ("tensor", "gradient", "its size"),
    [
        (name, "none" if g is None else str(g.dtype), "" if g is None else f"{g.abs().max():.3g}")
        for name, g in reached
    ],
)

# %% [markdown]
# No gradient collects in the base, but one passes *through* it to x. `lora_A`'s is zero in the
# first step, since `lora_B` starts at zero (lesson 02).

# %% [markdown]
# ### Answering first, training afterwards
#
# On a CPU with AVX512-BF16 bitsandbytes 0.50 repacks a 4-bit weight as soon as the model answers in
# evaluation mode. The new format is for answering alone: no gradient passes through it. Train
# afterwards, and nearly nothing is learnt, without an error. `qlora_config` has forbidden it for
# every layer (`quant.forbid_repacking`). With the libraries alone, set each layer's
# `support_avx512bf16_for_cpu` to `False` before the first answer. Here the layer answers, then
# learns:

# %%
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    layer.eval()(x)
layer.train().zero_grad()
layer(x).sum().backward()
print("repacked layers:", len(quant.repacked_layers(adapted)))
print("B has a gradient:", bool(layer.lora_B["default"].weight.grad.abs().sum() > 0))

# %% [markdown]
# Why restore twice? Because a copy kept for the backward pass would be kept by every layer at once.
# Count the bytes that stay alive between the two passes:

# %%
# NBVAL_CHECK_OUTPUT
stored = quant.quantize(weight, double_quant=True)
wide = torch.randn(4, 1536, requires_grad=True)
layers = {
    "an ordinary product": lambda x: x @ quant.dequantize(stored).T,
    "a 4-bit layer": quant.Linear4bit(stored),
}
for name, product in layers.items():
    with LiveBytes() as counter:
        y = product(wide)
        print(f"{name:20} keeps {counter.live_bytes - y.nbytes:>9,} bytes")

# %% [markdown]
# `quant.Linear4bit` is the course's own layer, with an autograd function of its own. In the
# exercises you write that function yourself.

# %% [markdown]
# ## A real QLoRA run
#
# The task of lesson 04: an order in free text, to be turned into JSON. The same recipe with
# `method="qlora"`, and fewer steps, since restoring weights takes time on a CPU; so at twice the
# rate. The score counts held-out rows that are exactly right. **Predict** it, in percent:

# %%
predict("05.exact-percent-after", ...)

# %% tags=["trains"]
recipe = Recipe.from_yaml(
    "recipes/structured-output.yaml",
    name="structured-output-qlora",
    method="qlora",
    learning_rate=1e-3,
    steps=32,
    eval_rows=20,
)
run = train(recipe, reuse=True)
run

# %%
assert_learned(run)
exact = run.scores()["exactly_right"]
compare_prediction("05.exact-percent-after", round(100 * exact["after"]), unit="%")

# %%
run.examples(3)

# %%
score = f"{exact['before']:.0%} → {exact['after']:.0%} exactly right"
title = f"{score} after {len(run.losses)} QLoRA steps"
fig, axes = new_figure(title, "step", "training loss (nats per token)")
axes.plot(range(1, len(run.losses) + 1), run.losses, color=PALETTE[0])
axes.set_yscale("log")
show(fig, alt=f"Training loss on a log scale over {len(run.losses)} steps: a steep fall.")

# %% [markdown]
# What this shows: training through a frozen 4-bit base works, on a CPU, with the real libraries.
# What it cannot show: that nothing was lost. One seed, one task, a small model whose weights had
# been 4-bit before. Lesson 06 puts LoRA and QLoRA on one bench, over three seeds.

# %% [markdown]
# ## Exercises
#
# Five tasks, from the code book to the layer. `hint("05.codebook")` gives one hint at a time,
# `solution("05.codebook")` the solution.

# %%
show_task("05.codebook")


# %%
# exercise: 05.codebook
def normal_codebook(bits, outermost):
    ...


# %%
check("05.codebook", normal_codebook)

# %%
show_task("05.quantize-blocks")


# %%
# exercise: 05.quantize-blocks
def quantize_blocks(values, book, block_size):
    ...


# %%
check("05.quantize-blocks", quantize_blocks)

# %%
show_task("05.count-bits")


# %%
# exercise: 05.count-bits
def count_bits(block_size, double_block):
    ...


# %%
check("05.count-bits", count_bits)

# %%
show_task("05.ledger")

# %%
# exercise: 05.ledger
ledger = ...  # {'base weight': (bits, gradient), …}

# %%
check("05.ledger", ledger)

# %%
show_task("05.multiply-4bit")


# %%
# exercise: 05.multiply-4bit
def multiply_4bit(x, stored):
    from labs_lib.quantization import dequantize

    weight = dequantize(stored, x.dtype).requires_grad_()
    return x @ weight.T


# %%
check("05.multiply-4bit", multiply_4bit)

# %% [markdown]
# ## Claim checks
#
# **"Double quantisation saves an extra ~0.9 GB on a 7B model."**

# %%
# NBVAL_CHECK_OUTPUT
saved_bits = quant.bits_per_parameter(64) - quant.bits_per_parameter(64, double_quant=True)
for name in ("llama-2-7b", "llama-65b"):
    shape = models.entry(name)
    linear = shape.layers * sum(each.parameters for each in shape.linears)
    saved = linear * saved_bits / 8 / 1e9
    print(f"{name}: {linear:,} weights × {saved_bits:.3f} bits = {saved:.2f} GB")

# %% [markdown]
# A third of the claim. The paper speaks of about 3 GB, for 65 billion parameters. LitGPT measured
# 14.14 → 13.84 GB for Llama-2-7B on an A100 (its resource tables).
#
# **"4 bits cut the base's memory by 75 %."**


# %%
def reduction(model):
    """Return how much the resident weights and the whole peak shrink from LoRA to QLoRA."""
    pair = [memory.forecast(model, method=method) for method in ("lora", "qlora")]
    weights = 1 - pair[1].weights_bytes / pair[0].weights_bytes
    peak = 1 - pair[1].peak_bytes / pair[0].peak_bytes
    return model, f"{pair[1].weights_bytes / 1e9:.2f}", f"{weights:.1%}", f"{peak:.1%}"

# %%
print(
    f"codes alone: {1 - 4 / 16:.1%}; with scales: {1 - quant.bits_per_parameter(64, True) / 16:.1%}"
)
names = ("smollm2-135m-instruct", "llama-2-7b", "llama-2-70b")
Table.of(
    ("model", "4-bit base (GB)", "less for weights", "less at the peak"), map(reduction, names)
)

# %% [markdown]
# 75 % is the codes alone. Scales cost a little; embedding and output layer stay in 16 bits, which
# weighs most in small models; and activations do not shrink at all (1 × 512 tokens here).
#
# **"all params: 3,752,071,168", printed for Llama-2-7B in 4 bits.**

# %%
# NBVAL_CHECK_OUTPUT
claimed = 3_752_071_168
for name in ("llama-2-7b", "mistral-7b"):
    shape = models.entry(name)
    linear = shape.layers * sum(each.parameters for each in shape.linears)
    packed_elements = shape.parameters - linear // 2
    print(f"{name}: {shape.parameters:,} parameters, {packed_elements:,} elements when packed")
    print(f"  the claimed number: {packed_elements == claimed}")

# %% [markdown]
# So it is the display artefact from above, and of another model: it is Mistral-7B's packed base,
# without any adapter. A printed number that nobody computed again.

# %% [markdown]
# ## Knowledge check

# %%
ask("05.memory.problem")

# %%
ask("05.memory.base-gb")

# %%
ask("05.nf4.why-quantiles")

# %%
ask("05.nf4.asymmetry")

# %%
ask("05.nf4.order")

# %%
ask("05.nf4.block-by-hand")

# %%
ask("05.nf4.outlier")

# %%
ask("05.count.double")

# %%
ask("05.count.saving-7b")

# %%
ask("05.count.code")

# %%
ask("05.count.numel")

# %%
ask("05.flow.precision")

# %%
ask("05.flow.gradients")

# %%
ask("05.flow.twice")

# %%
ask("05.flow.adapters")

# %%
ask("05.paging.when")

# %%
ask("05.set-up.defaults")

# %%
ask("05.set-up.function")

# %%
ask("05.set-up.prepare-costs")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - LoRA leaves the frozen base as the largest item; QLoRA stores it in 4 bits.
# - NF4: values at equal steps of probability, zero exact, one value more above it than below; a
#   scale for each block of 64.
# - 4.5 bits a weight with its scale, 4.127 with double quantisation.
# - Stored in 4 bits, restored for each product, forwards and backwards; gradients pass through the
#   base and collect in the adapter alone.
# - The library's defaults are not QLoRA: say nf4, double quantisation and the compute dtype.
#
# **Sources.** Dettmers et al., QLoRA, arXiv 2305.14314. LitGPT, resource tables. bitsandbytes
# 0.50, PEFT 0.21 and transformers 5.23, documentation and source.

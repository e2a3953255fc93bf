# %% [markdown]
# # 01 · Why PEFT
#
# After this lesson you can
#
# - say what lies in memory while a model trains, and count its bytes for a named recipe,
# - check that count against a real training step on this machine,
# - carry it to 7B and 70B, and say what a card of 24 GB holds,
# - tell LoRA from adapters, IA³, prompt and prefix tuning: where each acts, what it trains,
# - decide between full fine-tuning, LoRA and QLoRA, and defend it in bytes.
#
# **Time:** about 50 minutes; the machine works for about one of them on two laptop cores.

# %%
from labs_lib.warm_up import load_in_background

load_in_background()

# %% [markdown]
# ## What lies in memory
#
# To *use* a model you need its **weights**. To *train* it you need more:
#
# - **activations**: what the forward pass leaves for the backward pass,
# - **gradients**: for each trained parameter, which way to move it,
# - **optimiser states**: Adam keeps two running averages for each trained parameter, of its
#   gradient and of the gradient's square,
# - **temporary** tensors, which live for one operation.
#
# The picture follows every byte through one full fine-tuning step of SmolLM2, 4 sequences of 256
# tokens in 32-bit floats. It is *traced*: the real code runs, on shapes without numbers.

# %%
import torch

from labs_lib import models
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.figures import GRID, INK, MEMORY_COLOURS, PALETTE, new_figure, show
from labs_lib.memory import card, fit, forecast, measure, request_of
from labs_lib.tables import Table
from labs_lib.training import quiet_libraries
from labs_lib.widgets import ByteBar, ask, show_progress

SMALL, GB, GIB = "smollm2-135m-instruct", 10**9, 2**30

# %%
from labs_lib.memory import timeline, timeline_figure

step = timeline(SMALL, method="full", precision="fp32", batch=4, seq_len=256)
figure, words = timeline_figure(step, title="Full fine-tuning of SmolLM2, one step")
show(figure, alt=words)

# %% [markdown]
# Read it from below. Weights and states are always there. Activations rise through the forward
# pass and fall through the backward pass, while the gradients grow. Memory must suffice for the
# highest point, the **peak**; which part makes it depends on how many tokens go through at once.

# %% [markdown]
# ## Bytes by hand
#
# A 32-bit float takes 4 bytes, a 16-bit one 2, an NF4 weight about half a byte. So a part costs
# *how many numbers* × *bytes each*.
#
# Mind the unit. A **GB** is 10⁹ bytes, a **GiB** 2³⁰: more by 7 %. Whoever mixes them up plans for
# memory that is not there. We write both, and always say which.

# %%
# NBVAL_CHECK_OUTPUT
count = models.entry(SMALL).parameters
print(f"{count:,} parameters × 4 bytes = {4 * count:,} bytes")
print(f"= {4 * count / 10**6:.1f} MB = {4 * count / 2**20:.1f} MiB")
print(f"1 GiB is {GIB / GB:.4f} GB")

# %% [markdown]
# ### Predict
#
# Full fine-tuning of SmolLM2 in 32-bit floats with AdamW, one sequence of 64 tokens. How many MB
# (10⁶ bytes) at the peak?

# %%
predict("01.full-peak-mb", ...)

# %% [markdown]
# ### Count the parts on the real model
#
# No formula now: load the model, run one step, and add up the bytes of what is there. PyTorch
# tells us through a hook which tensors it saves for the backward pass.

# %%
with quiet_libraries():
    model, tokenizer = models.load(SMALL, dtype="fp32")
text = "The frozen weights stay in memory. " * 20
ids = tokenizer(text, return_tensors="pt").input_ids[:, :64].to(model.device)
storages = [parameter.untyped_storage() for parameter in model.parameters()]
weights = {storage.data_ptr(): storage.nbytes() for storage in storages}
saved = {}


def keep(tensor):
    storage = tensor.untyped_storage()
    if storage.data_ptr() not in weights:
        saved[storage.data_ptr()] = storage.nbytes()
    return tensor


# %%
with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
    loss = model(input_ids=ids, labels=ids).loss
loss.backward()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
optimizer.step()

states = [tensor for state in optimizer.state.values() for tensor in state.values()]
counted = {
    "weights": sum(weights.values()),
    "gradients": sum(p.grad.nbytes for p in model.parameters()),
    "optimizer": sum(tensor.nbytes for tensor in states),
    "activations": sum(saved.values()),
}

# %%
small_full = dict(method="full", precision="fp32", batch=1, seq_len=64)
by_formula = forecast(SMALL, device=model.device.type, **small_full)
by_hand = {"weights": 4 * count, "gradients": 4 * count, "optimizer": 8 * count}
Table.of(
    ("part", "by hand (MB)", "formula (MB)", "counted (MB)", "bytes per parameter"),
    [
        (
            part,
            f"{by_hand[part] / 1e6:.1f}" if part in by_hand else "?",
            f"{getattr(by_formula, f'{part}_bytes') / 1e6:.1f}",
            f"{size / 1e6:.1f}",
            f"{size / count:.2f}",
        )
        for part, size in counted.items()
    ],
)

# %% [markdown]
# Weights 4, gradients 4, states 8: **16 bytes for each parameter**, whatever the data. Activations
# are another matter. They grow with the tokens of a step, not with the parameters, so "bytes per
# parameter" says little about them, and by hand they are tedious. `forecast` adds them up tensor
# by tensor.
#
# We drop the model before the next experiment.

# %%
del model, optimizer, loss, states, storages
saved.clear()

# %% [markdown]
# ## Measure: full, LoRA, QLoRA
#
# Now the *peak*. `measure` runs a real step and follows every live tensor (on a CUDA device it
# reads the allocator's peak). LoRA is rank 8 on `q_proj` and `v_proj`; QLoRA is the same over a
# base in 4-bit NF4.
#
# First what is trained; then predict: how many times less **memory** will LoRA take?

# %%
# NBVAL_CHECK_OUTPUT
trained_by_lora = forecast(SMALL, **{**small_full, "method": "lora"}).trainable_parameters
print(f"LoRA trains {trained_by_lora:,} parameters: {count / trained_by_lora:.0f} times fewer")

# %%
predict("01.lora-times-less", ...)

# %%
measured = {}
with quiet_libraries():
    for method in ("full", "lora", "qlora"):
        measured[method] = measure(SMALL, **{**small_full, "method": method})

# %%
full_peak = measured["full"].peak_bytes
Table.of(
    ("method", "trained", "formula (MB)", "measured (MB)", "apart", "times less"),
    [
        (
            method,
            f"{each.forecast.trainable_parameters:,}",
            f"{forecast(each.request).peak_bytes / 1e6:.1f}",
            f"{each.peak_bytes / 1e6:.1f}",
            f"{forecast(each.request).peak_bytes / each.peak_bytes - 1:+.2%}",
            f"{full_peak / each.peak_bytes:.1f}",
        )
        for method, each in measured.items()
    ],
)

# %%
compare_prediction("01.full-peak-mb", round(full_peak / 1e6), unit="MB")

# %%
times_less = full_peak / measured["lora"].peak_bytes
compare_prediction("01.lora-times-less", round(times_less, 1), unit="x")

# %%
title = f"LoRA takes {times_less:.1f} times less, QLoRA "
title += (
    f"{full_peak / measured['qlora'].peak_bytes:.1f}: first states and gradients go, then weights"
)
fig, axes = new_figure(title, "alive at the peak of one step (MB)", "", height_inches=3.2)
for row, each in enumerate(measured.values()):
    left = 0.0
    for kind, colour in MEMORY_COLOURS.items():
        size = each.forecast.at_peak[kind] / 1e6
        axes.barh(row, size, left=left, color=colour, label=kind if row == 0 else None)
        left += size
axes.set_yticks(range(3), ["full", "LoRA", "QLoRA"])
axes.invert_yaxis()
axes.legend(ncols=2, loc="lower right")
show(fig, alt=f"Stacked bars of the peak of full, LoRA and QLoRA, in MB. {title}.")

# %% [markdown]
# Nothing of the base is *updated*, so nothing of it needs a gradient or a state. But all of it is
# still *used*: weights and activations remain. QLoRA then shrinks the weights.
#
# Not all of them, as the next cell shows. The embedding stays in the model's own precision; in a
# small model with a large vocabulary it is most of what is left.

# %%
# NBVAL_CHECK_OUTPUT
shape = models.entry(SMALL)
embedding = 4 * shape.vocab_size * shape.hidden_size
four_bit = forecast(SMALL, **{**small_full, "method": "qlora"}).weights_bytes
print(f"QLoRA's weights: {four_bit / 1e6:.1f} MB, of which the embedding {embedding / 1e6:.1f} MB")
print(f"share: {embedding / four_bit:.0%}")

# %% [markdown]
# ## Exercises: count it yourself
#
# `hint("…")` gives a nudge at a time, `solution("…")` one way to do it.

# %%
show_task("01.bytes-by-hand")

# %%
# exercise: 01.bytes-by-hand
total_gb = ...  # 3e9 × bytes for each parameter, in GB

# %%
check("01.bytes-by-hand", total_gb)

# %%
show_task("01.training-bytes")


# %%
# exercise: 01.training-bytes
def training_bytes(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
    ...


# %%
check("01.training-bytes", training_bytes)

# %% [markdown]
# ## The idea of PEFT
#
# A pretrained model knows the language already. To give it a task or a manner, a small change
# will often do. **Parameter-efficient fine-tuning** freezes the model and trains few numbers of
# its own. Then gradients and states are small, and so is the file that you keep for a task.
#
# The methods differ in *where* those numbers sit:
#
# - **LoRA** adds $\frac{\alpha}{r}BA$ to chosen weight matrices.
# - **Adapters** are small two-layer networks after a sublayer.
# - **IA³** multiplies keys, values and MLP activations by vectors.
# - **Prompt tuning** puts trained vectors before the text.
# - **Prefix tuning** puts trained keys and values into every layer's attention.

# %%
FROZEN = [
    (5, 22, "embed"), (21, 36, "W q"), (21, 22, "W k"), (21, 8, "W v"), (45, 22, "attend"),
    (56, 22, "W o"), (79, 22, "W gate, up"), (94, 22, "W down"),
]  # fmt: skip
TRAINED = {
    "LoRA": [(28, 36, "+ BA"), (28, 8, "+ BA")],
    "adapters": [(66, 22, "adapter"), (104, 22, "adapter")],
    "IA³": [(34, 22, "×"), (34, 8, "×"), (87, 22, "×")],
    "prompt tuning": [(5, 36, "prompt")],
    "prefix tuning": [(46, 36, "prefix")],
}
WIRES = [[(5, 22), (21, y), (36, y), (45, 22)] for y in (8, 22, 36)]
WIRES += [[(45, 22), (104, 22)], [(5, 36), (5, 22)], [(46, 36), (45, 22)]]

# %%
title = f"{len(TRAINED)} methods, each at its own place in the block; every W stays frozen"
fig, axes = new_figure(title, "", "", height_inches=3.2)
axes.axis("off")
axes.set(xlim=(0, 110), ylim=(3, 47))
for wire in WIRES:
    axes.plot(*zip(*wire, strict=True), color=INK, linewidth=1, zorder=0)
box = dict(ha="center", va="center", size=9)
for x, y, words in FROZEN:
    axes.text(x, y, words, **box, bbox=dict(boxstyle="round,pad=0.5", fc=GRID, ec=INK))
for colour, places in zip(PALETTE, TRAINED.values(), strict=False):
    for x, y, words in places:
        edge = dict(boxstyle="round,pad=0.4", fc="white", ec=colour, lw=2.5)
        axes.text(x, y, words, weight="bold", **box, bbox=edge)
show(fig, alt="A Transformer block, from embedding to MLP. " + title + ".")

# %% [markdown]
# Grey is frozen; residual sums and norms are left out. `+ BA` is LoRA, here beside W q and W v. `×`
# is IA³, on keys, values and inside the MLP.
#
# Which of them trains the *fewest* numbers on Llama-2-7B, with the settings of the next cell?
# Answer with its name there.

# %%
predict("01.fewest", ...)  # "LoRA", "IA³", "prompt tuning" or "prefix tuning"

# %% [markdown]
# PEFT itself does the counting. The models are built on the *meta* device: shapes, no weights, so
# that a 70B costs nothing.

# %%
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model

from labs_lib.lowrank import meta_model

qv, task = ["q_proj", "v_proj"], dict(task_type="CAUSAL_LM")
CONFIGS = {
    "LoRA": lambda: LoraConfig(r=8, target_modules=qv, **task),
    "IA³": lambda: IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], **task
    ),
    "prompt tuning": lambda: PromptTuningConfig(num_virtual_tokens=20, **task),
    "prefix tuning": lambda: PrefixTuningConfig(num_virtual_tokens=20, **task),
}

# %%
sizes = (SMALL, "llama-2-7b", "llama-2-70b")
counts = {}
with quiet_libraries():
    for name, config in CONFIGS.items():
        for size in sizes:
            wrapped = get_peft_model(meta_model(models.config_of(size)), config())
            counts[name, size] = wrapped.get_nb_trainable_parameters()[0]

# %% [markdown]
# Adapters of this older kind (Houlsby et al., arXiv 1902.00751) have no class in PEFT 0.21, so we
# build one in torch and count: down to 8 numbers and up again, twice in a layer.

# %%
for size in sizes:
    d, layers = models.entry(size).hidden_size, models.entry(size).layers
    with torch.device("meta"):
        adapter = torch.nn.Sequential(torch.nn.Linear(d, 8), torch.nn.Linear(8, d))
    counts["adapters", size] = 2 * layers * sum(p.numel() for p in adapter.parameters())

# %%
# NBVAL_CHECK_OUTPUT
names = ("LoRA", "adapters", "IA³", "prefix tuning", "prompt tuning")
Table.of(
    ("trained parameters", *sizes, "weights, gradients, states of the 7B's (MB, fp32)"),
    [
        (
            name,
            *(f"{counts[name, size]:,}" for size in sizes),
            f"{16 * counts[name, 'llama-2-7b'] / 1e6:.1f}",
        )
        for name in names
    ],
)

# %%
fewest = min(CONFIGS, key=lambda name: counts[name, "llama-2-7b"])
compare_prediction("01.fewest", fewest)

# %% [markdown]
# Look at the last column: megabytes, beside gigabytes of frozen weights.
# **Which PEFT method you take hardly changes the peak**: the frozen base and the activations make
# it. Choose by what the method can learn and how you will serve it.

# %% [markdown]
# ### When which
#
# | | trained numbers act | merged into W | takes up sequence | choose it when |
# |---|---|---|---|---|
# | LoRA | on weight matrices | yes | no | the default: capacity by rank |
# | adapters | between sublayers | no | no | a code base already uses them |
# | IA³ | on activations | yes | no | few examples, tiny files |
# | prefix tuning | in every attention | no | yes | weights must not be touched |
# | prompt tuning | before the text | no | yes | very large frozen base, many tasks |

# %% [markdown]
# What has no place to be merged stays as a cost at inference: an adapter is one more network in
# series, a prefix lengthens what attention reads (LoRA, arXiv 2106.09685, section 3).

# %% [markdown]
# ## To 7B and 70B
#
# The formula met real steps of a small model. Before it is carried further, hold it against peaks
# that others measured on GPUs and published.

# %%
from labs_lib.memory import report

rows = []
for each in report():
    if each.row.comparable:
        run = each.row.request
        source, measured_gb = each.row.source.split(",")[0], each.row.measured_bytes / GB
        told = f"{run.model}, {run.method}, {run.tokens:,} tokens"
        rows.append((source, told, f"{measured_gb:.2f}", f"{each.difference:+.1%}"))
Table.of(("source", "what was run", "measured (GB)", "formula"), rows)

# %% [markdown]
# "Full fine-tuning of a 7B" is not a number until the **recipe** is named: in which precision are
# weights, gradients and states, and which optimiser steps? Batch 1 × 512 tokens throughout.
#
# Predict first, for Llama-2-7B all in bf16 with a fused AdamW: how many GiB?

# %%
predict("01.full-7b-gib", ...)

# %%
RECIPES = {
    "full, mixed precision (fp32 kept), AdamW": dict(precision="mixed", optimizer="adamw_fused"),
    "full, bf16, AdamW (torch's default step)": dict(optimizer="adamw"),
    "full, bf16, AdamW (fused)": dict(optimizer="adamw_fused"),
    "full, bf16, 8-bit AdamW": dict(optimizer="adamw_8bit"),
    "full, bf16, paged 8-bit AdamW": dict(optimizer="paged_adamw_8bit"),
    "LoRA, bf16 base": dict(method="lora"),
    "QLoRA, NF4 base": dict(method="qlora"),
    "QLoRA, NF4 base, checkpointing": dict(method="qlora", checkpointing=True),
}


def recipe(model, name):
    return request_of(model, **{"method": "full", "seq_len": 512, **RECIPES[name]})


# %%
# NBVAL_CHECK_OUTPUT
large = ("llama-2-7b", "llama-2-13b", "llama-2-70b")
Table.of(
    ("recipe: peak in GiB", *large),
    [
        (name, *(f"{forecast(recipe(model, name)).peak_bytes / GIB:,.1f}" for model in large))
        for name in RECIPES
    ],
)

# %%
fused = "full, bf16, AdamW (fused)"
compare_prediction(
    "01.full-7b-gib", round(forecast(recipe("llama-2-7b", fused)).peak_bytes / GIB, 1), unit="GiB"
)

# %% [markdown]
# Torch's default AdamW on a GPU steps all parameters at once and holds a temporary copy while it
# does; the fused one needs none. *Paged* states may leave the GPU for the CPU's memory when room is
# short, so they are not in the peak.
#
# Is the formula right at this size? No laptop can run a 7B step, but the trace can: the real code
# of transformers and PEFT, on shapes alone.

# %%
from labs_lib.memory import trace as trace_step

for name in (fused, "LoRA, bf16 base", "QLoRA, NF4 base"):
    request = recipe("llama-2-7b", name)
    traced, formula = trace_step(request).peak_bytes, forecast(request).peak_bytes
    print(f"{name:27} traced {traced / GIB:6.2f} GiB, formula {formula / traced - 1:+.2%}")

# %% [markdown]
# ## What a consumer GPU holds
#
# A card sold as "24 GB" has 24 GiB of chips. The driver, CUDA itself and the allocator's rounding
# take some of it; the course reckons with 6 %.

# %%
# NBVAL_CHECK_OUTPUT
on = card("RTX 4090")
print(f"{on.name}: {on.memory_bytes / GIB:.0f} GiB = {on.memory_bytes / GB:.1f} GB built in")
print(f"usable: {on.usable_bytes / GIB:.2f} GiB = {on.usable_bytes / GB:.1f} GB")

# %%
HOW = {
    "full (bf16, fused)": dict(method="full", optimizer="adamw_fused"),
    "LoRA": dict(method="lora"),
    "QLoRA": dict(method="qlora"),
    "QLoRA, checkpointing": dict(method="qlora", checkpointing=True),
}

# %%
# NBVAL_CHECK_OUTPUT
rows = []
for name in ("RTX 3060", "RTX 4080", "RTX 4090", "RTX 5090", "L40S", "A100 80GB"):
    largest = [fit(request_of(SMALL, **how), name).largest_model for how in HOW.values()]
    rows.append((name, f"{card(name).memory_bytes / GIB:.0f}", *largest))
Table.of(("largest model that fits", "GiB", *HOW), rows)

# %% [markdown]
# The table takes the course's catalogue (`labs models`) and 512 tokens. With more tokens the
# activations grow. The figure follows Llama-2-7B on the same card.

# %%
lengths = [128 * step for step in range(1, 33)]
longest = {
    how: fit(request_of("llama-2-7b", **fields), on).largest_seq_len for how, fields in HOW.items()
}
title = f"7B on 24 GB: LoRA up to {longest['LoRA']:,} tokens, QLoRA {longest['QLoRA']:,}, full none"
fig, axes = new_figure(title, "tokens in one step", "peak (GiB)")
for colour, (how, fields) in zip(PALETTE, HOW.items(), strict=False):
    peaks = [forecast("llama-2-7b", seq_len=n, **fields).peak_bytes / GIB for n in lengths]
    axes.plot(lengths, peaks, color=colour)
    axes.annotate(how, (lengths[-1], peaks[-1]), (6, 0), textcoords="offset points", va="center")
axes.axhline(on.usable_bytes / GIB, color=INK, linestyle="--")
axes.annotate(
    f"{on.name}, usable", (128, on.usable_bytes / GIB), (0, 5), textcoords="offset points"
)
axes.set_ylim(bottom=0)
show(fig, alt=f"Peak in GiB against tokens for Llama-2-7B, with the card's line. {title}.")

# %% [markdown]
# Full fine-tuning is flat at first: its peak comes after the backward pass, when all gradients
# stand beside the states. Only to the right of the kink do the activations of the forward pass
# overtake them. LoRA has next to no gradients, so its peak follows the tokens from the start.

# %%
# NBVAL_CHECK_OUTPUT
Table.of(
    ("Llama-2-7B, batch 1, RTX 4090", "longest sequence (tokens)"),
    [(how, f"{tokens:,}" if tokens else "none") for how, tokens in longest.items()],
)

# %% [markdown]
# ## Play: your own card
#
# Choose your GPU, then a model and a method, with the mouse or with <kbd>Tab</kbd> and the arrow
# keys. The dashed line is what the card leaves to you. Where it does not fit, the instrument says
# what to change first, and what peak is left then. It reckons in bf16, at first with torch's default
# AdamW, one sequence of 512 tokens, by the formula.
#
# Find the largest model that your card trains with each method.

# %%
ByteBar(model="llama-2-7b", method="full", card="RTX 4090", tracing=False)

# %% [markdown]
# ## Full, LoRA or QLoRA
#
# Ask in this order:
#
# 1. Is there much data, far from what the model knows, and one result to keep? Then full
#    fine-tuning may be worth it, **if it fits**. On code and mathematics LoRA was measured to learn
#    less, and to forget less (arXiv 2405.09673).
# 2. Otherwise: does the 16-bit base with LoRA fit, with checkpointing if need be? **LoRA.**
# 3. Otherwise: does the NF4 base? **QLoRA**: slower steps, a rounded base.
# 4. Otherwise: a smaller model or a larger card.
#
# Many variants of one model? One base and an adapter for each.

# %% [markdown]
# ### Exercise: five cases
#
# Use `forecast`, `card` or the instrument above.

# %%
show_task("01.five-cases")

# %%
# exercise: 01.five-cases
choices = ...  # {"A": "…", "B": "…", "C": "…", "D": "…", "E": "…"}

# %%
check("01.five-cases", choices)

# %% [markdown]
# ## Claim checks
#
# Four sentences that circulate. Each is computed here.
#
# > "A 7B model (like LLaMA 3 8B) requires 14 GB just to store the 16-bit weights."

# %%
# NBVAL_CHECK_OUTPUT
for name in ("llama-2-7b", "llama-3-8b"):
    n = models.entry(name).parameters
    print(f"{name}: {n:,} × 2 bytes = {2 * n / GB:.2f} GB = {2 * n / GIB:.2f} GiB")

# %% [markdown]
# Right for a 7B, rounded up. Llama 3 8B is an 8B, and needs two GB more.
#
# > "Full fine-tuning of a 7B needs 40–50 GB; a 70B about 300 GB and more."

# %%
# NBVAL_CHECK_OUTPUT
for name in RECIPES:
    if name.startswith("full"):
        seven, seventy = (
            forecast(recipe(model, name)).peak_bytes / GB for model in ("llama-2-7b", "llama-2-70b")
        )
        verdict = "within 40–50" if 40 <= seven <= 50 else "outside"
        print(f"{name:41} 7B {seven:6.1f} GB, {verdict:12} 70B {seventy:8.1f} GB")

# %% [markdown]
# The range holds for one of these recipes. The others lie far below and far above it: a claim of
# memory without a recipe cannot be checked.
#
# > "LoRA takes 10–100× less memory."

# %%
# NBVAL_CHECK_OUTPUT
rows = []
for tokens in (128, 512, 2048):
    fields = dict(seq_len=tokens, optimizer="adamw_fused")
    full, lora, qlora = (
        forecast("llama-2-7b", method=method, **fields) for method in ("full", "lora", "qlora")
    )
    fewer = full.trainable_parameters / lora.trainable_parameters
    less = [f"{full.peak_bytes / each.peak_bytes:.1f}×" for each in (lora, qlora)]
    rows.append((f"{tokens:,}", f"{fewer:,.0f}×", *less))
Table.of(("tokens (7B)", "fewer trained parameters", "less memory: LoRA", "QLoRA"), rows)

# %% [markdown]
# The trained parameters fall by far more than a hundred times, the memory by far less: weights and
# activations stay. The longer the text, the smaller the gain. LoRA alone cannot reach even 4× here:
# the frozen weights, 2 bytes of the 8 that a parameter costs in full, remain. QLoRA gets past 10×
# only where the text is short.
#
# > "Only adapter parameters are stored in GPU memory."

# %%
# NBVAL_CHECK_OUTPUT
peak = forecast(recipe("llama-2-7b", "LoRA, bf16 base"))
for kind, size in peak.at_peak.items():
    print(f"{kind:11} {size / 10**6:10,.1f} MB  {size / peak.peak_bytes:6.2%}")

# %% [markdown]
# False: of the peak the adapter is a thousandth, the frozen base most. (At this moment no gradient
# exists yet; later in the step there are as many as the adapter has parameters.)

# %% [markdown]
# ## What this lesson cannot show
#
# A laptop measured a model of 135 million parameters in fp32. At that size the embedding weighs
# more, and the activations of 64 tokens less, than in a 7B. The step from there to 7B and 70B is
# the formula's and the trace's; neither counts what an allocator loses between its blocks.

# %% [markdown]
# ## Knowledge check

# %%
ask("01.bytes.weights")

# %%
ask("01.bytes.adam")

# %%
ask("01.bytes.llama3")

# %%
ask("01.bytes.adapter")

# %%
ask("01.bytes.function")

# %%
ask("01.peak.resident")

# %%
ask("01.peak.length")

# %%
ask("01.peak.order")

# %%
ask("01.peak.pays-off")

# %%
ask("01.peak.claim")

# %%
ask("01.card.nf4")

# %%
ask("01.card.usable")

# %%
ask("01.family.prefix")

# %%
ask("01.family.ia3-count")

# %%
ask("01.family.merge")

# %%
ask("01.choose.full")

# %%
ask("01.choose.seventy")

# %%
ask("01.choose.interview")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - Training keeps weights, gradients, two Adam states and activations: 16 bytes a parameter in
#   fp32 before any activation.
# - PEFT removes the gradients and states of what is frozen. QLoRA shrinks the frozen weights too.
#   Activations remain, and grow with the tokens.
# - A number of GB means something once the recipe is named: precision, optimiser, tokens, unit.
# - PEFT methods differ widely in what they train and hardly in the peak.
# - Full if it is worth it and fits; else LoRA; else QLoRA.

# %% [markdown]
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Dettmers et al., QLoRA, arXiv 2305.14314. Houlsby
# et al., adapters, arXiv 1902.00751. Liu et al., IA³, arXiv 2205.05638. Lester et al., prompt
# tuning, arXiv 2104.08691. Li and Liang, prefix tuning, arXiv 2101.00190. Rajbhandari et al., ZeRO
# (bytes of mixed precision), arXiv 1910.02054. Biderman et al., arXiv 2405.09673.

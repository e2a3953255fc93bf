# %% [markdown]
# # 01 · Why PEFT
#
# After this lesson you can
#
# - say when to fine-tune, and when a prompt or a search does the job,
# - say what lies in memory while a model trains, and count its bytes for a named recipe,
# - check that count against a real training step on this machine,
# - carry it to 7B and 70B, and say what a card of 24 GB holds with which adapter,
# - tell LoRA from adapters, IA³, prompt and prefix tuning: where each acts, what it trains,
# - decide between full fine-tuning, LoRA and QLoRA, and defend it in bytes.
#
# **Time:** about 40 minutes for you; the machine works for 1 of them on two laptop cores.

# %%
from labs_lib.warm_up import load_in_background

load_in_background()

# %% [markdown]
# ## Before you start
#
# A few questions from earlier lessons that are due; skip them if you like.

# %%
from labs_lib.widgets import review

review()

# %% [markdown]
# ## Fine-tune, prompt or retrieve?
#
# There are three ways to make a model do what you want. Try them in this order.
#
# | | what it changes | it suits | it costs |
# |---|---|---|---|
# | prompt | the text that the model reads | instructions, a few examples | tokens in every request |
# | retrieve | adds documents that a search found | facts that change or need a source | a search system, longer prompts |
# | fine-tune | the weights, or an adapter | a manner, a format, a skill | data, training, evaluation |
#
# The three combine: a fine-tuned model can read retrieved documents.

# %% [markdown]
# Fine-tuning is a poor way to store facts. Retrieval was measured to answer questions about new
# facts better than further training on them (arXiv 2312.05934), and training on facts that a model does not know makes it invent
# more (arXiv 2405.05904). In lesson 00 you trained a manner, which is what fine-tuning does well.
#
# The rest of this lesson is about what fine-tuning costs.

# %% [markdown]
# ## What lies in memory
#
# To *use* a model you need its **weights**. To *train* it you need more:
#
# - **activations**: the results of the forward pass that the backward pass will need,
# - **gradients**: for each trained parameter, the direction in which to change it,
# - **optimizer states**: Adam keeps two running averages for each trained parameter, one of its
#   gradient and one of the gradient's square,
# - **temporary** tensors, which exist for one operation.
#
# The picture follows every byte through one step of full fine-tuning: SmolLM2, 4 sequences of 256
# tokens, 32-bit numbers. It is *traced*: the real code runs on shapes that hold no numbers.

# %%
import torch

from labs_lib import models
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.figures import show
from labs_lib.ledger import claim
from labs_lib.lowrank import draw_methods, meta_model

# %%
from labs_lib.memory import (
    card,
    draw_parts,
    draw_peaks,
    fit,
    forecast,
    measure,
    published_sources,
    published_table,
    request_of,
    timeline,
    timeline_figure,
)
from labs_lib.memory import trace as trace_step
from labs_lib.tables import Table
from labs_lib.training import quiet_libraries
from labs_lib.widgets import ByteBar, ask, show_progress

SMALL, MB, GB, GIB = "smollm2-135m-instruct", 10**6, 10**9, 2**30

# %%
step = timeline(SMALL, method="full", precision="fp32", batch=4, seq_len=256)
figure, words = timeline_figure(step, title="Full fine-tuning of SmolLM2, one step")
show(figure, alt=words)

# %% [markdown]
# Read it from the bottom up. Weights and states are always there. Activations grow through the
# forward pass and shrink through the backward pass, while the gradients grow.
#
# The memory must hold the highest point, the **peak**. The number of tokens in a step decides which
# part causes it.

# %% [markdown]
# ## Bytes by hand
#
# A 32-bit number takes 4 bytes and a 16-bit number takes 2. A weight in NF4, the 4-bit format of
# lesson 05, takes about half a byte. So the size of a part is *how many numbers* × *bytes each*.
#
# Watch the unit. A **GB** is 10⁹ bytes and a **GiB** is 2³⁰ bytes, which is 7 % more. This course
# uses both and always says which.

# %%
# NBVAL_CHECK_OUTPUT
count = models.entry(SMALL).parameters
print(f"{count:,} parameters × 4 bytes = {4 * count:,} bytes")
print(f"= {4 * count / MB:.1f} MB = {4 * count / 2**20:.1f} MiB")
print(f"1 GiB is {GIB / GB:.4f} GB")

# %% [markdown]
# ### Predict
#
# SmolLM2 is fully fine-tuned in 32-bit numbers with AdamW, one sequence of 64 tokens at a time. How
# many MB (10⁶ bytes) does the peak take?

# %%
predict("01.full-peak-mb", ...)

# %% [markdown]
# ### Count the parts on the real model
#
# Now without a formula: load the model, run one step and add up the bytes that are there. PyTorch
# reports every tensor that it saves for the backward pass to a pair of functions, called hooks. Our
# hook notes the size of each tensor that is not a weight.

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

# %% [markdown]
# The course has a formula that adds up a step tensor by tensor: `forecast`. Here are its figures
# next to the counted ones.

# %%
small_full = dict(method="full", precision="fp32", batch=1, seq_len=64)
by_formula = forecast(SMALL, device=model.device.type, **small_full)
Table.of(
    ("part", "formula (MB)", "counted (MB)", "bytes per parameter"),
    [
        (
            part,
            f"{getattr(by_formula, f'{part}_bytes') / MB:.1f}",
            f"{size / MB:.1f}",
            f"{size / count:.2f}",
        )
        for part, size in counted.items()
    ],
)

# %% [markdown]
# Weights take 4 bytes, gradients 4 and states 8: **16 bytes for each parameter**, whatever the data.
#
# Activations are different. They grow with the tokens of a step, so "bytes per parameter" says
# little about them.
#
# We delete the model before the next experiment.

# %%
del model, optimizer, loss, states, storages
saved.clear()

# %% [markdown]
# ### Exercise: count a recipe by hand
#
# `hint("01.bytes-by-hand")` helps a little at a time, `solution("01.bytes-by-hand")` shows one way.

# %%
show_task("01.bytes-by-hand")

# %%
# exercise: 01.bytes-by-hand
total_gb = ...  # 3e9 × bytes for each parameter, in GB

# %%
check("01.bytes-by-hand", total_gb)

# %% [markdown]
# ## Measure: full, LoRA, QLoRA
#
# Now we measure the peak. `measure` runs a real step and follows every tensor (on a CUDA device it
# reads the allocator's peak). LoRA has rank 8 on `q_proj` and `v_proj`, the query and value matrices
# of the attention. QLoRA is the same over a base in NF4.

# %%
# NBVAL_CHECK_OUTPUT
trained_by_lora = forecast(SMALL, **{**small_full, "method": "lora"}).trainable_parameters
print(f"LoRA trains {trained_by_lora:,} parameters: {count / trained_by_lora:.0f} times fewer")

# %% [markdown]
# How many times less **memory** will LoRA take?

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
    ("method", "trained", "formula (MB)", "measured (MB)", "difference", "times less"),
    [
        (
            method,
            f"{each.forecast.trainable_parameters:,}",
            f"{forecast(each.request).peak_bytes / MB:.1f}",
            f"{each.peak_bytes / MB:.1f}",
            f"{forecast(each.request).peak_bytes / each.peak_bytes - 1:+.2%}",
            f"{full_peak / each.peak_bytes:.1f}",
        )
        for method, each in measured.items()
    ],
)

# %%
compare_prediction("01.full-peak-mb", round(full_peak / MB), unit="MB")

# %%
times_less = full_peak / measured["lora"].peak_bytes
compare_prediction("01.lora-times-less", round(times_less, 1), unit="x")

# %%
qlora_less = full_peak / measured["qlora"].peak_bytes
draw_parts(
    {method: each.forecast.at_peak for method, each in measured.items()},
    title=f"LoRA needs {times_less:.1f} times less memory than full fine-tuning, QLoRA {qlora_less:.1f}",
    label="alive at the peak of one step (MB)",
    unit=MB,
)

# %% [markdown]
# LoRA removes the gradients and states of everything that is frozen. QLoRA also stores the frozen
# weights in fewer bytes.
#
# It does not shrink all of them. The embedding (the table that turns tokens into vectors) stays in
# the model's own precision. In a small model with a large vocabulary it is most of what is left:

# %%
# NBVAL_CHECK_OUTPUT
shape = models.entry(SMALL)
embedding = 4 * shape.vocab_size * shape.hidden_size
four_bit = forecast(SMALL, **{**small_full, "method": "qlora"}).weights_bytes
print(f"QLoRA's weights: {four_bit / MB:.1f} MB, of which the embedding {embedding / MB:.1f} MB")
print(f"share: {embedding / four_bit:.0%}")

# %% [markdown]
# ### And the activations?
#
# A layer must keep its input for the backward pass only if one of its weights is trained. Does LoRA
# then keep fewer activations than full fine-tuning? It depends on the layers that get an adapter:

# %%
# NBVAL_CHECK_OUTPUT
QV, ALL = dict(rank=8), dict(rank=64, targets="all-linear")
ADAPTERS = {"q and v, rank 8": QV, "all linear layers, rank 64": ALL}
ways = {"full fine-tuning": dict(method="full")}
ways |= {f"LoRA, {words}": dict(method="lora", **adapter) for words, adapter in ADAPTERS.items()}
rows = []
for words, way in ways.items():
    small = forecast(SMALL, **{**small_full, **way}).activations_bytes / MB
    seven = forecast("llama-2-7b", seq_len=512, **way).activations_bytes / MB
    rows.append((words, f"{small:.1f}", f"{seven:,.0f}"))
Table.of(("activations (MB)", "SmolLM2, fp32, 64 tokens", "Llama-2-7B, bf16, 512 tokens"), rows)

# %% [markdown]
# With adapters on q and v alone, fewer inputs are kept than in full fine-tuning. With adapters on all
# linear layers, every input is kept again. Over a bf16 base this takes even more than full
# fine-tuning: PEFT computes the adapter in fp32, so each adapted layer keeps a 32-bit copy of its
# input.

# %% [markdown]
# ### Exercise: a function for any recipe

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
# A pretrained model already knows the language, so a small change is often enough to give it a task
# or a manner. **Parameter-efficient fine-tuning** freezes the model and trains few numbers. Then
# gradients, states and the file of each task are small. The methods differ in *where* these numbers
# act:
#
# - **LoRA** adds $\frac{\alpha}{r}BA$ to chosen weight matrices.
# - **Adapters** are small two-layer networks after a sublayer.
# - **IA³** multiplies keys, values and the activations inside the MLP by three vectors in each layer.
# - **Prompt tuning** puts trained vectors before the text.
# - **Prefix tuning** puts trained keys and values into every layer's attention.

# %%
draw_methods()

# %% [markdown]
# Frozen boxes are gray. The picture leaves out norms and residual sums. LoRA is drawn on W q and
# W v; it can be added to any W.
#
# Which of these methods trains the *fewest* numbers on Llama-2-7B, with the settings of the next
# cell?

# %%
predict("01.fewest", ...)  # "LoRA", "IA³", "prompt tuning" or "prefix tuning"

# %% [markdown]
# PEFT itself does the counting. The models are built on PyTorch's *meta* device, which has shapes
# but no numbers, so even a 70B takes no memory.

# %%
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model

task = dict(task_type="CAUSAL_LM")
scaled = ["k_proj", "v_proj", "down_proj"]
CONFIGS = {
    "LoRA": lambda: LoraConfig(r=8, target_modules=["q_proj", "v_proj"], **task),
    "LoRA, all linear": lambda: LoraConfig(r=64, target_modules="all-linear", **task),
    "IA³": lambda: IA3Config(target_modules=scaled, feedforward_modules=["down_proj"], **task),
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
# PEFT 0.21 has no class for adapters of this older kind (Houlsby et al., arXiv 1902.00751). We build
# one in torch: down to 8 numbers and up again, twice in a layer.

# %%
for size in sizes:
    d, layers = models.entry(size).hidden_size, models.entry(size).layers
    with torch.device("meta"):
        adapter = torch.nn.Sequential(torch.nn.Linear(d, 8), torch.nn.Linear(8, d))
    counts["adapters", size] = 2 * layers * sum(p.numel() for p in adapter.parameters())

# %%
# NBVAL_CHECK_OUTPUT
names = ("LoRA", "LoRA, all linear", "adapters", "IA³", "prefix tuning", "prompt tuning")
Table.of(
    ("trained parameters", *sizes, "weights, gradients, states of the 7B's (MB, fp32)"),
    [
        (
            name,
            *(f"{counts[name, size]:,}" for size in sizes),
            f"{16 * counts[name, 'llama-2-7b'] / MB:.1f}",
        )
        for name in names
    ],
)

# %%
fewest = min(CONFIGS, key=lambda name: counts[name, "llama-2-7b"])
compare_prediction("01.fewest", fewest)

# %% [markdown]
# ### Does the choice change the peak?
#
# Here is the forecast for Llama-2-7B, one sequence of 512 tokens, over a base in bf16 and over one
# in NF4. *Gradient checkpointing* keeps only the input of each layer and computes the rest again in
# the backward pass: fewer activations, more time.

# %%
# NBVAL_CHECK_OUTPUT
CHOICES = {
    "IA³": dict(method="ia3", targets=scaled),
    "LoRA, q and v, rank 8": dict(method="lora", **QV),
    "LoRA, q and v, rank 64": dict(method="lora", rank=64),
    "LoRA, all linear, rank 8": dict(method="lora", rank=8, targets="all-linear"),
    "LoRA, all linear, rank 64": dict(method="lora", **ALL),
}
rows = []
for name, choice in CHOICES.items():
    plain = forecast("llama-2-7b", **choice).peak_bytes / GIB
    four = {**choice, "method": "qlora", "checkpointing": True}
    small = "" if name == "IA³" else f"{forecast('llama-2-7b', **four).peak_bytes / GIB:.1f}"
    rows.append((name, f"{plain:.1f}", small))
Table.of(("peak in GiB", "bf16 base", "NF4 base, checkpointing"), rows)

# %% [markdown]
# **Between small adapters the choice hardly changes the peak**: the frozen base and the activations
# make up most of it. IA³ trains seven times fewer numbers than LoRA on q and v, and its peak is
# even a little higher, because it keeps the activations that it scales.
#
# The rank and the targets do matter once the adapter is large. On all linear layers at rank 64 the
# peak rises by more than 3 GiB over a bf16 base. Over an NF4 base with checkpointing it rises by two
# thirds, because little else is left.

# %% [markdown]
# ### When which
#
# | | trained numbers act | choose it when |
# |---|---|---|
# | LoRA | on weight matrices | the default: the rank sets its capacity |
# | adapters | between sublayers | a code base already uses them |
# | IA³ | on activations | few examples, tiny files |
# | prefix tuning | in every attention | one batch serves many users |
# | prompt tuning | before the text | one very large frozen base, many tasks |
#
# Anything that cannot be merged slows inference: an adapter is one more network in series, and a
# prefix lengthens what the attention reads (LoRA, arXiv 2106.09685, section 3).

# %% [markdown]
# ## To 7B and 70B
#
# Before we use the formula for large models, compare it with every peak in the course's collection
# that others measured on GPUs and published.

# %%
published_sources()

# %% [markdown]
# Nothing was fitted to *holdout* rows. *Excluded* rows do something that the formula has no term for.

# %%
published_table().folded("every published peak and its forecast")

# %% [markdown]
# Some runs do something that a plain PEFT step does not. The last column shows the difference left
# once that mechanism is forecast too.
#
# - The rows without a mechanism lie within 3 %.
# - bitsandbytes 0.41 kept the input of each 4-bit product; about 7 % is left unexplained.
# - LitGPT's QLoRA files of 2025 adapt every map, three of them as one; that adapter has no term.
# - LitGPT's Falcon keeps no attention scores; transformers' Falcon keeps all.
# - torchtune takes the loss in eight pieces and compiles the layers; the second has no term.
# - FitCheck keeps the logits during the backward pass. With them, less than 2 % is left.
# - PEFT's suite reads its memory after the step, with the last batch's logits still alive.
# - LitGPT gives Llama 3.2's head a table of its own.
#
# The formula describes the libraries of this course. Another library can need 40 % less.

# %% [markdown]
# ### Name the recipe
#
# "Full fine-tuning of a 7B" has no single cost. It depends on the **recipe**: the precision of
# weights, gradients and states, and the optimizer. The next table takes one sequence of 512 tokens.
#
# Predict first: how many GiB does Llama-2-7B take, all in bf16, with a fused AdamW?

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


def recipe(model, name, **more):
    return request_of(model, **{"method": "full", "seq_len": 512, **RECIPES[name], **more})


# %%
# NBVAL_CHECK_OUTPUT
large = ("llama-2-7b", "llama-2-13b", "llama-2-70b")
Table.of(
    ("recipe (adapters: q and v, rank 8): peak in GiB", *large),
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
# On a GPU, torch's default AdamW updates all parameters at once and holds a temporary copy meanwhile.
# The *fused* step does the update in one kernel and needs no copy. *Paged* states can move to the
# CPU's memory when the GPU is full, so they are not part of the peak.
#
# Is the formula right at this size? A machine without room for a 7B can still trace it: the real code
# of transformers and PEFT runs on shapes alone.

# %%
for name in (fused, "LoRA, bf16 base", "QLoRA, NF4 base"):
    request = recipe("llama-2-7b", name)
    traced, formula = trace_step(request).peak_bytes, forecast(request).peak_bytes
    print(f"{name:27} traced {traced / GIB:6.2f} GiB, formula {formula / traced - 1:+.2%}")

# %% [markdown]
# ## What a consumer GPU holds
#
# A card that is sold as "24 GB" has 24 GiB of chips. The driver, CUDA and the allocator's rounding
# take a part of it; the course assumes 6 %.

# %%
# NBVAL_CHECK_OUTPUT
on = card("RTX 4090")
print(f"{on.name}: {on.memory_bytes / GIB:.0f} GiB = {on.memory_bytes / GB:.1f} GB built in")
print(f"usable: {on.usable_bytes / GIB:.2f} GiB = {on.usable_bytes / GB:.1f} GB")

# %% [markdown]
# The adapter matters here. Many tables assume rank 8 on q and v. Lesson 03 shows that adapters on
# all linear layers learn more, and a high rank over a 4-bit base is not small. So the next table
# shows two adapters, both with gradient checkpointing and 512 tokens:

# %%
# NBVAL_CHECK_OUTPUT
rows = []
for name in ("RTX 3060", "RTX 4080", "RTX 4090", "RTX 5090", "L40S", "A100 80GB"):
    row = [name, f"{card(name).memory_bytes / GIB:.0f}"]
    for method in ("lora", "qlora"):
        for adapter in ADAPTERS.values():
            request = request_of(SMALL, method=method, checkpointing=True, **adapter)
            row.append(fit(request, name).largest_model or "none")
    rows.append(row)
pairs = [f"{m}, {words}" for m in ("LoRA", "QLoRA") for words in ADAPTERS]
Table.of(("largest model that fits", "GiB", *pairs), rows)

# %% [markdown]
# Two cases that tables often promise:

# %%
# NBVAL_CHECK_OUTPUT
for model, name in (("llama-33b", "RTX 4090"), ("llama-2-70b", "L40S")):
    room = card(name).usable_bytes
    for words, adapter in ADAPTERS.items():
        peak = forecast(model, method="qlora", checkpointing=True, **adapter).peak_bytes
        verdict = "fits" if peak <= room else "does not fit"
        print(f"{model}, {words}: {peak / GIB:.1f} GiB of {room / GIB:.1f} on {name}: {verdict}")

# %% [markdown]
# With more tokens the activations grow. The figure follows Llama-2-7B, which reads at most 4,096
# tokens, with rank 8 on q and v.

# %%
HOW = {
    "full (bf16, fused)": dict(method="full", optimizer="adamw_fused"),
    "LoRA": dict(method="lora"),
    "QLoRA": dict(method="qlora"),
    "QLoRA, checkpointing": dict(method="qlora", checkpointing=True),
}
longest = {}
for how, fields in HOW.items():
    tokens = fit(request_of("llama-2-7b", **fields), on).largest_seq_len
    longest[how] = f"{tokens:,}" if tokens else "none"

# %%
lengths = [128 * step for step in range(1, 33)]
full, lora, qlora, _ = longest.values()
draw_peaks(
    {how: [forecast("llama-2-7b", seq_len=n, **f).peak_bytes for n in lengths] for how, f in HOW.items()},
    lengths,
    title=f"Longest sequence of a 7B on 24 GB: LoRA {lora}, QLoRA {qlora}, full {full}",
    room=on,
)

# %% [markdown]
# The line of full fine-tuning is flat at first: its peak comes after the backward pass, when all
# gradients have arrived and most activations are gone. To the right of the bend, the activations of
# the forward pass are more than that. LoRA has few gradients, so its peak follows the tokens from
# the start.

# %%
# NBVAL_CHECK_OUTPUT
Table.of(("Llama-2-7B, batch 1, RTX 4090", "longest sequence (tokens)"), list(longest.items()))

# %% [markdown]
# ## Play: your own card
#
# Choose your GPU, a model and a method, with the mouse or with <kbd>Tab</kbd> and the arrow keys.
# The dashed line is what the card leaves to you. If a choice does not fit, the instrument says what
# to change first and what the peak is then. It starts in bf16 with torch's default AdamW and one
# sequence of 512 tokens.
#
# Find the largest model that your card trains with each method.

# %%
ByteBar(model="llama-2-7b", method="full", card="RTX 4090", tracing=False)

# %% [markdown]
# ## Full, LoRA or QLoRA
#
# Ask in this order:
#
# 1. Do you have much data that is far from what the model knows, and do you need one model only?
#    Then full fine-tuning may be worth it, **if it fits**. On code and mathematics LoRA learned less
#    than full fine-tuning, and forgot less (arXiv 2405.09673).
# 2. Otherwise: does the 16-bit base with LoRA fit, with checkpointing if necessary? Use **LoRA**.
# 3. Otherwise: does the NF4 base fit? Use **QLoRA**: its steps are slower and its base is rounded.
# 4. Otherwise: take a smaller model or a larger card.
#
# If you need many variants of one model, keep one base and one adapter for each variant.

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
# You can read these three sentences on the web. Rule on each before you compute it; the card that
# follows gives the ledger's verdict.
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

# %%
claim("memory.full-7b-40-50")

# %% [markdown]
# > "LoRA takes 10–100× less memory."

# %%
# NBVAL_CHECK_OUTPUT
against = {
    "LoRA": "LoRA, bf16 base",
    "QLoRA": "QLoRA, NF4 base",
    "QLoRA, checkpointing": "QLoRA, NF4 base, checkpointing",
}
rows = []
for name in [name for name in RECIPES if name.startswith("full, ")][:3]:
    for tokens in (128, 512, 2048):
        full = forecast(recipe("llama-2-7b", name, seq_len=tokens)).peak_bytes
        peaks = [forecast(recipe("llama-2-7b", way, seq_len=tokens)).peak_bytes for way in against.values()]
        rows.append((name, f"{tokens:,}", *(f"{full / peak:.1f}×" for peak in peaks)))
Table.of(("7B, compared with", "tokens", *(f"less memory: {way}" for way in against)), rows)

# %% [markdown]
# LoRA alone stays below 8 in this table. QLoRA passes 10 where full fine-tuning is costly or the text
# is short, and with checkpointing everywhere in this table.

# %%
claim("memory.ten-to-hundred")

# %% [markdown]
# > "Only adapter parameters are stored in GPU memory."

# %%
# NBVAL_CHECK_OUTPUT
peak = forecast(recipe("llama-2-7b", "LoRA, bf16 base"))
for kind, size in peak.at_peak.items():
    print(f"{kind:11} {size / MB:10,.1f} MB  {size / peak.peak_bytes:6.2%}")

# %%
claim("memory.only-adapter")

# %% [markdown]
# The frozen base is most of the peak, and the adapter is a thousandth of it. (No gradient exists yet
# at this moment; later in the step there are as many as the adapter has parameters.)

# %% [markdown]
# ## What this lesson cannot show
#
# The measured model has 135 million parameters in fp32. In a model of this size the embedding is a
# larger part of the memory than in a 7B, and the activations of 64 tokens are a smaller part. The
# figures for 7B and 70B come from the formula and the trace. Neither includes the memory that an
# allocator loses between its blocks.

# %% [markdown]
# ## Knowledge check

# %%
ask("01.bytes.eight-bit")

# %%
ask("01.bytes.llama3")

# %%
ask("01.bytes.adapter")

# %%
ask("01.peak.resident")

# %%
ask("01.peak.remedy")

# %%
ask("01.peak.pays-off")

# %%
ask("01.card.nf4")

# %%
ask("01.card.usable")

# %%
ask("01.card.rank")

# %%
ask("01.family.ia3-count")

# %%
ask("01.family.merge")

# %%
ask("01.choose.retrieve")

# %%
ask("01.choose.full")

# %%
ask("01.choose.interview")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - Try a prompt first, then retrieval, then fine-tuning.
# - Training keeps weights, gradients, two Adam states and activations: 16 bytes for each parameter
#   in fp32, before any activation.
# - PEFT removes the gradients and states of what is frozen. QLoRA shrinks the frozen weights too.
# - A number of GB means something only with its recipe: precision, optimizer, adapter, tokens, unit.
# - Small adapters hardly change the peak. A high rank on all linear layers does.
# - Use full fine-tuning if it is worth it and fits; otherwise LoRA; otherwise QLoRA.

# %% [markdown]
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Dettmers et al., QLoRA, arXiv 2305.14314. Houlsby
# et al., adapters, arXiv 1902.00751. Liu et al., IA³, arXiv 2205.05638. Lester et al., prompt
# tuning, arXiv 2104.08691. Li and Liang, prefix tuning, arXiv 2101.00190. Rajbhandari et al., ZeRO
# (bytes of mixed precision), arXiv 1910.02054. Biderman et al., arXiv 2405.09673. Ovadia et al.,
# retrieval and fine-tuning, arXiv 2312.05934. Gekhman et al., arXiv 2405.05904.

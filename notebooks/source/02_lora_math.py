# %% [markdown]
# # 02 · The mathematics of LoRA
#
# After this lesson you can
#
# - say what rank, spectrum and energy are, and count what a low-rank update costs,
# - read the spectrum of an update that a real model learnt, and say what it does not show,
# - write LoRA's forward pass and hold it against PEFT's,
# - say why one factor starts at zero, what alpha and rank do, and what merging changes.
#
# **Time:** about 75 minutes; the machine works for about two of them on two laptop cores.

# %%
from labs_lib.warm_up import load_in_background

load_in_background()

# %% [markdown]
# ## The idea
#
# Fine-tuning turns a weight matrix $W$ into $W' = W + \Delta W$. Full fine-tuning may make any
# $\Delta W$ it likes. LoRA allows only a product of two narrow matrices:
#
# $$\Delta W = \frac{\alpha}{r}\,B A, \qquad B: d_{out} \times r, \qquad A: r \times d_{in}.$$
#
# $W$ is frozen. $A$ and $B$ are trained. The *rank* $r$ is the narrow side (LoRA, arXiv
# 2106.09685, section 4.1).
#
# The bet: a task needs a change that few directions can express. This lesson tests the bet.

# %%
import copy
import math
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model

from labs_lib import data, lowrank, models
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.figures import PALETTE, new_figure, show
from labs_lib.tables import Table
from labs_lib.training import Recipe, answer, assert_learned, quiet_libraries, train
from labs_lib.training.evaluation import chat_text
from labs_lib.widgets import LowRankExplorer, RankAlpha, ask, show_progress

# %% [markdown]
# ## Counting: 5000 × 4000
#
# Notes on LoRA like this example: a weight of 5000 × 4000, and an adapter of rank 8.
#
# **Predict** first, without a calculator: by how many per cent does the number of trained
# parameters fall?

# %%
predict("02.reduction-percent", ...)

# %% [markdown]
# By hand: $W$ has $5000 \times 4000$ numbers, $B$ has $5000 \times 8$, $A$ has $8 \times 4000$.

# %%
# NBVAL_CHECK_OUTPUT
full = 5000 * 4000
factors = 5000 * 8 + 8 * 4000
print(f"W {full:,}, B {5000 * 8:,}, A {8 * 4000:,}, both factors {factors:,}")
print(f"share trained {factors / full:.2%}, reduction {1 - factors / full:.2%}")

# %% [markdown]
# In code, with real matrices. Their product has the full shape, and the rank that was promised:

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
B, A = torch.randn(500, 8), torch.randn(8, 400)  # a tenth of each side, to be quick
print(f"B {tuple(B.shape)} · A {tuple(A.shape)} = {tuple((B @ A).shape)}")
print(f"numbers: {B.numel() + A.numel():,} instead of {(B @ A).numel():,}")
print(f"rank of the product: {torch.linalg.matrix_rank(B @ A).item()}")

# %%
compare_prediction("02.reduction-percent", round(100 * (1 - factors / full), 2), unit="%")

# %%
title = f"Two strips with {factors / full:.2%} of the numbers stand for the whole update"
fig, axes = new_figure(title, "columns (to scale)", "rows (to scale)", height_inches=3.4)
shapes = (("ΔW", 0, 0, 4000, 5000), ("B", 5400, 0, 8, 5000), ("A", 6600, 2500, 4000, 8))
for (name, x, y, wide, high), colour in zip(shapes, PALETTE, strict=False):
    corners = [x, x + wide, x + wide, x], [y, y, y + high, y + high]
    axes.fill(*corners, color=colour, edgecolor=colour)
    axes.text(x + wide / 2, y + high + 150, f"{name}: {high} × {wide}", ha="center")
axes.set_aspect("equal")
axes.set_ylim(0, 5900)
axes.grid(False)
words = "A rectangle of 5000 × 4000 beside two lines: B of 5000 × 8 and A of 8 × 4000, to scale."
show(fig, alt=words)

# %% [markdown]
# The saving depends on the shape, and it ends: from some rank on, two factors hold *more* numbers
# than the matrix. That rank is $d_{out}\,d_{in} / (d_{out} + d_{in})$.

# %%
# NBVAL_CHECK_OUTPUT
rows = []
for d_out, d_in in ((5000, 4000), (576, 576), (192, 576), (576, 1536)):
    share = 8 * (d_out + d_in) / (d_out * d_in)
    rows.append((f"{d_out} × {d_in}", f"{share:.2%}", f"{d_out * d_in / (d_out + d_in):.0f}"))
Table.of(("matrix", "share trained at rank 8", "no saving beyond rank"), rows)

# %% [markdown]
# ### In a model
#
# A model has many matrices, and not all are square. These are the shapes that an adapter on query,
# key and value meets in layer 0 of two models, read from their configurations:

# %%
# NBVAL_CHECK_OUTPUT
for name, targets in (("smollm2-135m-instruct", "q_proj,k_proj,v_proj"), ("gpt2", "c_attn")):
    first = [(p, s) for p, s in lowrank.target_shapes(name, targets).items() if ".0." in p]
    print(name)
    for path, (d_in, d_out) in first:
        print(f"  {path.split('.')[-1]:7} {d_in} → {d_out}")

# %% [markdown]
# SmolLM2 has nine query heads and three key and value heads (*grouped-query attention*). GPT-2
# keeps all three in one matrix.

# %%
show_task("02.count-qkv")

# %%
# exercise: 02.count-qkv
def count_qkv(rank, layers, hidden, heads, kv_heads, fused):
    ...

# %%
check("02.count-qkv", count_qkv)

# %% [markdown]
# `hint("02.count-qkv")` gives a hint, `solution("02.count-qkv")` one solution. That holds for every
# exercise.

# %% [markdown]
# ## Rank, on a picture
#
# A picture is a matrix of greys. The *singular value decomposition* writes any matrix as a sum of
# patterns, strongest first:
#
# $$M = \sigma_1 u_1 v_1^\top + \sigma_2 u_2 v_2^\top + \dots$$
#
# Each term is a column times a row: a matrix of rank 1. Stopping after $r$ terms gives rank $r$.
# The *energy* $\lVert M \rVert^2$ is the sum of the $\sigma_i^2$, so the terms kept say how much of
# it is kept. The list of $\sigma_i$ is the *spectrum*.

# %%
from labs_lib.widgets.low_rank_explorer import sample_picture

picture = sample_picture()
terms = lowrank.factorise(picture)
print(f"{picture.shape[0]} × {picture.shape[1]} greys, at most rank {terms.largest_rank}")

# %%
cost = 16 * sum(picture.shape) / picture.size
title = f"Rank 16 keeps {terms.energy_kept(16):.1%} of the energy with {cost:.0%} of the numbers"
fig, panels = new_figure(title, "", "", columns=4, height_inches=2.2)
for axes, rank in zip(panels, (1, 4, 16, terms.largest_rank), strict=True):
    axes.imshow(terms.approximation(rank), cmap="gray", vmin=0, vmax=1)
    axes.set_title(f"rank {rank}: {terms.energy_kept(rank):.1%}", fontweight="normal")
    axes.axis("off")
show(fig, alt=f"The same picture at ranks 1, 4, 16 and {terms.largest_rank}, ever sharper.")

# %% [markdown]
# Rank 1 keeps most of the energy, and there is no house. Energy is not meaning: remember this when
# it is a model that is cut.

# %% [markdown]
# ## Nothing of that rank is nearer
#
# The *Eckart–Young theorem* (1936): among all matrices of rank $r$, the first $r$ terms of the SVD
# are nearest to $M$. We test it with three rivals of rank 8: the first eight columns, eight random
# directions, and two factors trained by gradient descent, from $B = 0$ and a random $A$ as LoRA does.

# %%
torch.manual_seed(0)
target = torch.tensor(picture, dtype=torch.float32)
B = torch.zeros(120, 8, requires_grad=True)
A = torch.nn.Parameter(torch.randn(8, 160) / 160**0.5)
optimizer = torch.optim.Adam([A, B], lr=0.02)
descent = []
for _ in range(200):
    error = (target - B @ A).norm() / target.norm()
    descent.append(error.item())
    optimizer.zero_grad()
    error.backward()
    optimizer.step()

# %%
def projected(directions):
    """Return the relative error of the picture projected onto 8 directions, (120, 8)."""
    basis, _ = torch.linalg.qr(directions)
    return ((target - basis @ (basis.T @ target)).norm() / target.norm()).item()


best = terms.relative_error(8)
rivals = {
    "first eight columns": projected(target[:, :8]),
    "eight random directions": projected(torch.randn(120, 8)),
    "trained B·A": min(descent),
    "SVD": best,
}
Table.of(("rank 8", "relative error"), [(name, f"{e:.4f}") for name, e in rivals.items()])

# %%
gap = min(descent) / best - 1
title = f"Descent on B·A comes within {gap:.1%} of the SVD's error, and never below it"
fig, axes = new_figure(title, "step", "relative error at rank 8 (log scale)")
axes.plot(range(1, 201), descent, label="B·A trained by Adam")
axes.axhline(best, color=PALETTE[1], linestyle="--", label="SVD (Eckart–Young)")
axes.set_yscale("log")
axes.legend()
assert min(descent) >= best * (1 - 1e-4)
show(fig, alt=f"The error of B·A falls over 200 steps towards the SVD's, {best:.4f}, from above.")

# %% [markdown]
# So the SVD tells what LoRA *could* reach at a rank if $\Delta W$ were known. In training it is
# not known; $B$ and $A$ have to find it.

# %% [markdown]
# ## A real weight
#
# Now a matrix that a model uses: `q_proj` of SmolLM2's layer 15.
#
# **Predict:** what percentage of its energy does the best approximation of rank 8 keep?

# %%
predict("02.weight-kept-percent", ...)

# %%
with quiet_libraries():
    base, tokenizer = models.load("smollm2-135m-instruct", dtype="fp32", device="cpu")
weight = base.get_submodule("model.layers.15.self_attn.q_proj").weight.detach()
kept = lowrank.energy_by_rank(lowrank.spectrum_of(weight))
print(", ".join(f"rank {r}: {kept[r - 1]:.1%}" for r in (1, 8, 64, 576)))

# %%
compare_prediction("02.weight-kept-percent", round(100 * float(kept[7]), 1), unit="%")

# %% [markdown]
# The weight is not of low rank. LoRA would be a poor way to *compress* it. The bet is about
# something else: the change.

# %% [markdown]
# ## A real change
#
# Every weight of the model is now trained, without LoRA, on a few batches of the sea captain's rows.
# The recipe is of the kind you met in lesson 00, with `method="full"`.

# %%
recipe = Recipe(
    name="full-sea-captain",
    method="full",
    dataset="sea-captain",
    learning_rate=5e-5,
    schedule="constant",
    steps=12,
    batch_size=4,
    max_length=128,
    eval_rows=8,
    eval_tokens=20,
    checkpoint_every=0,
)

# %% tags=["trains"]
run = train(recipe, reuse=True)
run.examples(4)

# %%
voice = run.scores()["in_voice"]
print(f"in voice: {voice['before']:.0%} → {voice['after']:.0%} of {recipe.eval_rows} new questions")
print(f"held-out loss: {run.before.loss:.2f} → {run.after.loss:.2f} nats per token")
print(f"trained: {run.trainable_parameters:,} parameters")
print(f"saved: {run.cost.adapter_bytes / 1e6:,.0f} MB, a whole model")
assert_learned(run)

# %% [markdown]
# The model learnt the voice. What it learnt is the difference of two models, weight by weight. (The
# whole model lies in the course's data folder; delete it there when you are done.)
#
# **Predict:** what percentage of the energy of `q_proj`'s $\Delta W$ in layer 15 does rank 8 keep?

# %%
predict("02.change-kept-percent", ...)

# %%
with quiet_libraries():
    tuned = models.load_model(str(run.output), dtype="fp32", device="cpu")


def change(name):
    """Return ΔW of one layer, by module name: the weight after training minus before."""
    after, before = (model.get_submodule(name).weight for model in (tuned, base))
    return (after - before).detach()


delta = change("model.layers.15.self_attn.q_proj")
print(f"‖ΔW‖ / ‖W‖ = {(delta.norm() / weight.norm()).item():.2%}")

# %%
kept = lowrank.energy_by_rank(lowrank.spectrum_of(delta))
compare_prediction("02.change-kept-percent", round(100 * float(kept[7]), 1), unit="%")

# %% [markdown]
# One layer proves little. Here are nine: three kinds of matrix, early, in the middle and late. Each
# $\Delta W$ stands beside $W$ and beside a random matrix of the same shape.

# %%
torch.manual_seed(0)
energies, rows = {}, []
for kind in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"):
    for layer in (5, 15, 25):
        name = f"model.layers.{layer}.{kind}"
        W = base.get_submodule(name).weight.detach()
        trio = (change(name), W, torch.randn(W.shape))
        spectra = [lowrank.spectrum_of(matrix) for matrix in trio]
        energies[kind, layer] = [lowrank.energy_by_rank(spectrum) for spectrum in spectra]
        cells = [" / ".join(f"{e[r - 1]:.0%}" for r in (1, 8, 64)) for e in energies[kind, layer]]
        rows.append((f"{layer} {kind.split('.')[-1]}", *cells))
Table.of(("layer", "ΔW at rank 1 / 8 / 64", "W", "random"), rows)

# %%
at_8 = [[float(e[7]) for e in trio] for trio in energies.values()]
low, high = min(d for d, _, _ in at_8), max(d for d, _, _ in at_8)
most = max(w for _, w, _ in at_8)
assert all(change_kept > 2 * weight_kept for change_kept, weight_kept, _ in at_8)
title = f"At rank 8 every ΔW keeps {low:.0%} to {high:.0%}, no W more than {most:.0%}"
fig, axes = new_figure(title, "rank (log scale)", "share of energy kept")
for trio in energies.values():
    for energy, colour, style in zip(trio, PALETTE, ("-", "--", ":"), strict=False):
        axes.plot(range(1, len(energy) + 1), energy, style, color=colour, linewidth=1.4)
for name, colour, style in zip(("ΔW", "W", "random"), PALETTE, ("-", "--", ":"), strict=False):
    axes.plot([], [], style, color=colour, label=name)
axes.axvline(8, color="#7F7F7F", linewidth=1)
axes.set_xscale("log")
axes.legend()
show(fig, alt=f"Energy by rank of nine layers. ΔW rises first: {low:.0%} to {high:.0%} at rank 8.")

# %% [markdown]
# The bet holds here, in this sense: a few directions carry most of the change, while $W$ lies far
# nearer to a random matrix of its shape. Look at the solid lines' ends too. They reach 100 % late:
# $\Delta W$ has a long faint tail. It is not *of* low rank; it is *near* a matrix that is.

# %% [markdown]
# ### Where the tail comes from
#
# A batch's gradient is a sum over its tokens, so its rank is at most their number. AdamW does not
# apply it as it is: it divides each entry by a running size of that entry. In its very first step
# what remains is the *sign*. Compare both on one batch:

# %%
captain = data.load_set("sea-captain")


def batch_of(rows):
    """Tokenise rows; only the completion is labelled, and padding stands at the end."""
    pad = torch.nn.utils.rnn.pad_sequence
    inputs, labels = [], []
    for row in rows:
        prompt = tokenizer(chat_text(tokenizer, row.prompt_messages())).input_ids
        completion = tokenizer(row.completion + tokenizer.eos_token).input_ids
        inputs.append(torch.tensor(prompt + completion))
        labels.append(torch.tensor([-100] * len(prompt) + completion))
    labels = pad(labels, batch_first=True, padding_value=-100)
    return {"input_ids": pad(inputs, batch_first=True), "labels": labels}

# %% tags=["trains"]
batch = batch_of(captain.train[:4])
base.requires_grad_(False)
layer = base.get_submodule("model.layers.15.self_attn.q_proj")
layer.weight.requires_grad_(True)
base(**batch).loss.backward()
gradient, layer.weight.grad = layer.weight.grad, None
layer.weight.requires_grad_(False)
rows = []
for name, matrix in (("gradient", gradient), ("its sign", gradient.sign()), ("ΔW", delta)):
    energy = lowrank.energy_by_rank(lowrank.spectrum_of(matrix))
    rows.append((name, *(f"{energy[r - 1]:.0%}" for r in (1, 8, 64))))
Table.of(("layer 15 q_proj", "rank 1", "rank 8", "rank 64"), rows)

# %% [markdown]
# Part of the tail is the optimiser's doing, then, and no need of the task. Does the *effect* live
# in the tail? That is the question that counts, and energy cannot answer it.

# %% [markdown]
# ## The effect of a cut
#
# We cut every linear layer's $\Delta W$ to rank 64, 8 and 1 and put it beside the untouched base, as
# an adapter with scaling 1. `svd_lowrank` finds the leading terms of 210 matrices in seconds.
#
# **Predict:** of the loss that full fine-tuning took away, what percentage does rank 8 take away?

# %%
predict("02.effect-percent", ...)

# %%
lowrank.eject(base)  # if this cell ran before
torch.manual_seed(0)
adapters = lowrank.inject(base, rank=64, alpha=64, targets="all-linear")
squares, total = torch.zeros(64), 0.0
with torch.no_grad():
    for name, layer in adapters.items():
        update = tuned.get_submodule(name).weight - layer.base.weight
        U, S, V = torch.svd_lowrank(update, q=72, niter=2)
        layer.lora_B.copy_(U[:, :64] * S[:64])
        layer.lora_A.copy_(V[:, :64].T)
        squares += S[:64].square()
        total += update.norm().item() ** 2
    rank_8 = {n: (a.lora_A[:8].clone(), a.lora_B[:, :8].clone()) for n, a in adapters.items()}

# %% [markdown]
# `svd_lowrank` is approximate. Against the exact SVD, on one layer:

# %%
layer = adapters["model.layers.15.self_attn.q_proj"]
missed = (delta - layer.delta_weight()).norm() / delta.norm()
exact = lowrank.factorise(delta).relative_error(64)
print(f"{len(adapters)} adapters; error at rank 64: {missed.item():.4f}, exact SVD {exact:.4f}")

# %%
held_out = batch_of(captain.validation[:12])


def held_out_loss(model):
    """Return the mean loss of 12 held-out completions, in nats per token."""
    with torch.no_grad():
        return model(**held_out).loss.item()


losses = {"fine-tuned": held_out_loss(tuned)}
for rank in (64, 8, 1, 0):
    with torch.no_grad():
        for layer in adapters.values():
            layer.lora_B[:, rank:] = 0
    losses[f"rank {rank}" if rank else "base"] = held_out_loss(base)

# %%
gain = losses["base"] - losses["fine-tuned"]
effect = {name: (losses["base"] - loss) / gain for name, loss in losses.items()}
energy = {f"rank {r}": (squares[:r].sum() / total).item() for r in (1, 8, 64)}
energy |= {"fine-tuned": 1.0, "base": 0.0}
rows = [(n, f"{loss:.3f}", f"{effect[n]:.1%}", f"{energy[n]:.1%}") for n, loss in losses.items()]
Table.of(("update", "held-out loss (nats per token)", "share of effect", "of energy"), rows)

# %%
compare_prediction("02.effect-percent", round(100 * effect["rank 8"], 1), unit="%")

# %%
assert effect["rank 8"] > energy["rank 8"] + 0.1
names = ("rank 1", "rank 8", "rank 64")
title = f"Rank 8 keeps {energy['rank 8']:.0%} of the energy and {effect['rank 8']:.0%} of the effect"
fig, axes = new_figure(title, "rank of the cut (log scale)", "share kept")
for label, share, style in (("effect on the loss", effect, "-"), ("energy ‖ΔW‖²", energy, "--")):
    axes.plot((1, 8, 64), [share[name] for name in names], style, marker="o", label=label)
axes.set_xscale("log", base=2)
axes.set_xticks((1, 8, 64), ("1", "8", "64"))
axes.set_ylim(0, 1.05)
axes.legend(loc="lower right")
words = ", ".join(f"{name} {effect[name]:.0%} and {energy[name]:.0%}" for name in names)
show(fig, alt=f"Share of effect and of energy kept by rank: {words}.")

# %% [markdown]
# The share of the *effect* is larger than the share of the *energy*: much of what the cut leaves out
# did nothing for the task. (The cut leaves embeddings and norms as they were in the base, too.)
#
# What this does **not** show: that rank 8 is enough elsewhere. The task is a change of voice, the
# training was short, the model is small. New knowledge, or a long training, may need more
# directions (arXiv 2405.09673 measures full fine-tuning's updates as 10 to 100 times LoRA's usual
# rank on code and mathematics).

# %% [markdown]
# ### Instrument: the low-rank explorer
#
# Drag the rank. Then choose the weight, then the change that was trained, and watch the spectrum's
# slope.

# %%
lowrank.eject(base)  # the base as it was
sources = {"q_proj 15: W": weight, "q_proj 15: ΔW, trained": delta}
LowRankExplorer(sources, source="q_proj 15: ΔW, trained", rank=8)

# %% [markdown]
# ## The layer
#
# $$y = W x + b + \frac{\alpha}{r}\, B\, A\, \mathrm{dropout}(x)$$
#
# - The frozen part sees all of $x$. Dropout falls on the adapter's input alone.
# - $A$ reads the input and writes $r$ numbers; $B$ turns them into $d_{out}$.
# - $BA$ is never built in training: $x$ goes through $A$, then through $B$.
# - PyTorch keeps rows of $x$, so in code the products stand transposed: `x @ A.T @ B.T`.

# %%
show_task("02.lora-forward")

# %%
# exercise: 02.lora-forward
def lora_forward(x, W, bias, A, B, alpha, drop):
    ...

# %%
check("02.lora-forward", lora_forward)

# %% [markdown]
# The course's own layer is `labs_lib.lowrank.LoRALinear`; open it, it is short. Here it stands
# beside PEFT's, with the same factors:

# %%
torch.manual_seed(0)
linear = torch.nn.Linear(576, 192)
holder = torch.nn.ModuleDict({"v_proj": linear})
peft_config = LoraConfig(r=8, lora_alpha=16, target_modules=["v_proj"])
theirs = get_peft_model(copy.deepcopy(holder), peft_config).base_model.model["v_proj"]
ours = lowrank.LoRALinear(copy.deepcopy(linear), rank=8, alpha=16)
A, B = theirs.lora_A["default"].weight, theirs.lora_B["default"].weight
with torch.no_grad():
    B.normal_(std=0.1)
    ours.lora_A.copy_(A)
    ours.lora_B.copy_(B)
print("PEFT's shapes: lora_A", tuple(A.shape), "lora_B", tuple(B.shape))

# %%
x = torch.randn(4, 576)
wanted = theirs(x)
mine = lora_forward(x, linear.weight, linear.bias, A, B, 16, lambda values: values)
answers = {"LoRALinear": ours(x), "your lora_forward": mine}
for name, y in answers.items():
    told = "not written yet" if y is None else f"{(y - wanted).abs().max().item():.1e}"
    print(f"{name:18} largest difference from PEFT: {told}")

# %% [markdown]
# ### Which factor is called A?
#
# Writers differ. Go by the shapes, and try the product: it must have the shape of $W$.

# %%
# NBVAL_CHECK_OUTPUT
d, r = 4096, 8
conventions = (
    ("LoRA paper, PEFT, this course", "B·A", (r, d), (d, r)),
    ("notes: ΔW = A × B", "A·B", (d, r), (r, d)),
    ("notes: A d × r, B r × d, W + B·A", "B·A", (d, r), (r, d)),
)
rows = []
for name, order, a, b in conventions:
    A_, B_ = torch.empty(a, device="meta"), torch.empty(b, device="meta")
    shape = tuple((B_ @ A_ if order == "B·A" else A_ @ B_).shape)
    rows.append((name, a, b, order, shape, "yes" if shape == (d, d) else "no"))
Table.of(("who", "A", "B", "ΔW", "its shape", "can be added to W"), rows)

# %% [markdown]
# The first two are the same mathematics with the letters exchanged. The third mixes them: its
# product is a tiny r × r matrix.

# %% [markdown]
# ## The start
#
# The gradient of one factor is a product with the other. For one number each, $\Delta w = b\,a$ and
# a loss with slope $g$ in $\Delta w$:
#
# $$\frac{\partial L}{\partial b} = g\,a, \qquad \frac{\partial L}{\partial a} = g\,b.$$
#
# Each factor may start at zero or at random numbers, which makes four ways. A fifth draws a wider
# random $B$, by the rule that PyTorch has for a matrix of $r$ inputs.
#
# **Predict:** from how many of the five does the model learn anything?

# %%
predict("02.starts-that-learn", ...)

# %%
narrow, wide = 1 / math.sqrt(576), 1 / math.sqrt(8)
starts = {  # how far from zero the numbers of A and of B are drawn
    "A random, B = 0": (narrow, 0),
    "A = 0, B random": (0, narrow),
    "both random": (narrow, narrow),
    "both random, B wide": (narrow, wide),
    "both zero": (0, 0),
}

# %%
def begin(bound_a, bound_b):
    """Put adapters on q and v of every layer, started as asked; return all their A and all B."""
    lowrank.eject(base)
    torch.manual_seed(0)
    layers = lowrank.inject(base, rank=8, alpha=16, targets="q,v").values()
    for layer in layers:
        torch.nn.init.uniform_(layer.lora_A, -bound_a, bound_a)
        torch.nn.init.uniform_(layer.lora_B, -bound_b, bound_b)
    return [layer.lora_A for layer in layers], [layer.lora_B for layer in layers]

# %%
two_rows = batch_of(captain.train[:2])
with torch.no_grad():
    base_logits = base(**two_rows).logits


def at_step_0(every_a, every_b):
    """Return how far the logits lie from the base's, and the norms of both gradients."""
    output = base(**two_rows)
    shift = (output.logits - base_logits).abs().mean().item()
    output.loss.backward()
    norms = [math.hypot(*(f.grad.norm().item() for f in each)) for each in (every_a, every_b)]
    return shift, *norms

# %%
def first_losses(factors, steps=3):
    """Train the factors and return the loss before each step and after the last."""
    optimizer = torch.optim.AdamW(factors, lr=2e-3, weight_decay=0)
    losses = []
    for step in range(steps + 1):
        optimizer.zero_grad()
        with torch.set_grad_enabled(step < steps):
            loss = base(**two_rows).loss
        losses.append(loss.item())
        if step < steps:
            loss.backward()
            optimizer.step()
    return losses

# %% tags=["trains"]
outcome = {}
for name, which in starts.items():
    every_a, every_b = begin(*which)
    outcome[name] = (*at_step_0(every_a, every_b), first_losses([*every_a, *every_b]))
lowrank.eject(base)
Table.of(
    ("start", "mean shift of a logit", "‖gradient of A‖", "‖gradient of B‖", "loss"),
    [
        (name, f"{shift:.3f}", f"{a:.2f}", f"{b:.2f}", " → ".join(f"{x:.2f}" for x in losses))
        for name, (shift, a, b, losses) in outcome.items()
    ],
)

# %%
learnt = {name: losses[0] - losses[-1] for name, (*_, losses) in outcome.items()}
compare_prediction("02.starts-that-learn", sum(fall > 0.1 for fall in learnt.values()))

# %%
stuck = outcome["both zero"][-1]
assert all(fall > 0.1 for name, fall in learnt.items() if name != "both zero")
assert max(stuck) - min(stuck) < 1e-3
assert outcome["A random, B = 0"][0] < 1e-3 < outcome["both random"][0]
worse = outcome["both random, B wide"][-1][0]
title = f"Both zero stays at {stuck[0]:.2f}; a wide random B starts at {worse:.2f}"
fig, axes = new_figure(title, "steps taken", "loss (nats per token)")
for (name, (*_, losses)), marker in zip(outcome.items(), "os^Dx", strict=True):
    axes.plot(range(len(losses)), losses, marker=marker, label=name)
axes.set_xticks(range(4))
axes.legend()
show(fig, alt="Loss over three steps from five starts; both zero is flat, the others fall.")

# %% [markdown]
# Read the table row by row.
#
# - **A random, B = 0**: the base model at step 0, and $B$ has a gradient. LoRA's choice.
# - **A = 0, B random**: the base model too, and now only $A$ has one. It learns as well. Three
#   steps cannot rank the two; arXiv 2406.08447 finds that the usual one bears larger learning rates.
# - **Both random**: another model before any training; how much worse depends on the draw. Both draws
#   fit these two rows quickly, since both factors have a gradient at once, and a large $B$ makes
#   large steps. But what they start from is no longer the model that you know.
# - **Both zero**: no gradient anywhere, for ever.

# %%
show_task("02.prepare")

# %%
# exercise: 02.prepare
def prepare(base, rank):
    ...

# %%
check("02.prepare", prepare)

# %% [markdown]
# ## The scaling
#
# What is applied is never alpha but $\alpha / r$, or $\alpha / \sqrt{r}$ with
# *rank-stabilised* LoRA (arXiv 2312.03732). Alpha fixed at 16:

# %%
# NBVAL_CHECK_OUTPUT
ranks = (4, 16, 64, 256)
rows = [(r, lowrank.scaling_of(r, 16), lowrank.scaling_of(r, 16, use_rslora=True)) for r in ranks]
Table.of(("rank", "alpha / r", "alpha / √r"), rows)

# %% [markdown]
# Why divide at all? So that a change of rank does not change the size of the steps, and with it the
# best learning rate. Which rule does that? We measure how far *one* training step moves the output
# of one layer, from LoRA's start.

# %%
def first_change(rank, use_rslora, optimizer_class, seed):
    """Return how far one step moves the output of a 512 × 512 layer, for one input."""
    torch.manual_seed(seed)
    layer = lowrank.LoRALinear(torch.nn.Linear(512, 512), rank, alpha=16, use_rslora=use_rslora)
    optimizer = optimizer_class([layer.lora_A, layer.lora_B], lr=1e-3)
    x, slope = torch.randn(1, 512), torch.randn(1, 512)
    before = layer(x)
    (before * slope).sum().backward()
    optimizer.step()
    return (layer(x) - before).norm().item()

# %%
changes = {}
for optimizer_class in (torch.optim.SGD, torch.optim.Adam):
    for use_rslora, rule in ((False, "alpha / r"), (True, "alpha / √r")):
        moved = [
            statistics.mean(first_change(r, use_rslora, optimizer_class, s) for s in range(8))
            for r in ranks
        ]
        changes[f"{optimizer_class.__name__}, {rule}"] = [each / moved[0] for each in moved]
rows = [(name, *(f"{each:.2f}" for each in moved)) for name, moved in changes.items()]
Table.of(("first step, against rank 4", *(f"rank {rank}" for rank in ranks)), rows)

# %%
steady = [name for name, moved in changes.items() if 0.7 < moved[-1] < 1.4]
assert steady == ["SGD, alpha / √r", "Adam, alpha / r"]
title = f"The first step keeps its size with {' and with '.join(steady)}"
fig, axes = new_figure(title, "rank (log scale)", "size of the first step, rank 4 = 1")
for (name, moved), style in zip(changes.items(), ("-", "--", "-", "--"), strict=True):
    axes.plot(ranks, moved, style, marker="o", label=name)
axes.set_xscale("log", base=2)
axes.set_yscale("log")
axes.set_xticks(ranks, [str(rank) for rank in ranks])
axes.legend()
show(fig, alt=f"First step's size over rank 4 to 256 for four rules; steady: {', '.join(steady)}.")

# %% [markdown]
# Each rule is right for one optimiser. With plain gradient descent the scaling counts twice, once in
# the gradient and once in the output, and $\sqrt{r}$ balances the growth with $r$: the reasoning
# behind rsLoRA. Adam's steps do not depend on the gradient's size, so the scaling counts once, and
# $r$ balances it. This is one step of one layer with one input; lesson 03 sweeps the whole model.

# %% [markdown]
# ### Instrument: rank and alpha
#
# The picture is the $\Delta W$ that you trained. Double the rank with alpha fixed and watch the
# scaling; then tick rsLoRA. Choose another model and other targets.

# %%
RankAlpha(update=delta, model="smollm2-135m-instruct", targets="q,v", rank=8, alpha=16)

# %% [markdown]
# ## Merging
#
# $BA$ has the shape of $W$, so it can be added once and for all: $W' = W + \frac{\alpha}{r}BA$.

# %%
show_task("02.merge")

# %%
# exercise: 02.merge
def merge(W, bias, A, B, alpha):
    ...

# %%
check("02.merge", merge)

# %% [markdown]
# Now PEFT, on the whole model. The adapter is the one that we cut out of the full fine-tuning: rank
# 8, on every linear layer, scaling 1.

# %%
config = LoraConfig(r=8, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
adapted = get_peft_model(copy.deepcopy(base), config).eval()
with torch.no_grad():
    for name, (A, B) in rank_8.items():
        layer = adapted.base_model.model.get_submodule(name)
        layer.lora_A["default"].weight.copy_(A)
        layer.lora_B["default"].weight.copy_(B)
merged = copy.deepcopy(adapted).merge_and_unload().eval()
with torch.no_grad():
    first, second = adapted(**batch).logits, merged(**batch).logits
print(f"largest difference of a logit: {(first - second).abs().max().item():.1e}")
print(f"spread of the logits: {first.std().item():.1f}")

# %%
question = ["What is the capital of Hungary?"]
for name, model in (("base", base), ("unmerged", adapted), ("merged", merged)):
    print(f"{name:8}: {answer(model, tokenizer, question, max_new_tokens=20)[0]}")

# %% [markdown]
# **Predict:** by how many per cent is the unmerged model slower at reading one token?

# %%
predict("02.slower-percent", ...)

# %%
def milliseconds(model, length):
    """Return the time of one forward pass over `length` tokens."""
    ids = torch.arange(100, 100 + length)[None]
    started = time.perf_counter()
    with torch.no_grad():
        model(ids)
    return 1000 * (time.perf_counter() - started)


medians = {}
for length, repeats in ((1, 25), (64, 11)):
    pairs = [(milliseconds(adapted, length), milliseconds(merged, length)) for _ in range(repeats)]
    medians[length] = [statistics.median(times) for times in zip(*pairs[1:], strict=True)]

# %%
slower = {n: 100 * (unmerged / plain - 1) for n, (unmerged, plain) in medians.items()}
rows = [(n, f"{u:.0f} ms", f"{m:.0f} ms", f"{slower[n]:+.0f} %") for n, (u, m) in medians.items()]
Table.of(("tokens at once", "unmerged, median", "merged, median", "unmerged against merged"), rows)

# %%
assert slower[1] > 2  # a trend, with room for a noisy machine
compare_prediction("02.slower-percent", round(slower[1]), unit="%")

# %% [markdown]
# The adapter has few parameters, and its time is not in their number: every adapted layer starts
# more small operations. They weigh most when one token is read at a time, which is how text is
# generated. Your figures depend on your machine; that merging takes the difference away does not.
#
# The price: a merged adapter can no longer be switched off or swapped. And into a 4-bit base merging
# is not exact, since the sum is rounded to 4 bits again (PEFT, issue 2321; lesson 05).

# %% [markdown]
# ## Claim check: "trainable params: 4M" at r = 16
#
# Notes show `r=16` on `q_proj` and `v_proj` of a 7B model, and under it "trainable params: 4M ||
# all params: 7B || trainable%: 0.06%". The count, from the shapes of Llama-2-7B:

# %%
# NBVAL_CHECK_OUTPUT
llama = models.entry("llama-2-7b")
for rank in (8, 16):
    count = lowrank.count_lora_parameters(llama, "q,v", rank)
    print(f"r={rank:2}: {count:>10,} = {count / (llama.parameters + count):.4%}")

# %% [markdown]
# The printed line belongs to the smaller of the two ranks: the code says one, the comment under it
# the other. Counting is a cheap test of any tutorial.

# %% [markdown]
# ## Claim check: "10,000 times fewer parameters"
#
# The paper says so of GPT-3 175B. Its shape: 96 layers of width 12,288 (arXiv 2005.14165, table
# 2.1). Its setting: $r = 4$ on query and value (LoRA, section 4.2). Other notes say "from 70B to
# 10M".

# %%
# NBVAL_CHECK_OUTPUT
gpt3 = 96 * 2 * 4 * (12288 + 12288)
rows = [("GPT-3 175B, r=4", f"{gpt3:,}", f"{175e9 / gpt3:,.0f}×")]
for name in ("llama-2-70b", "llama-2-7b", "smollm2-135m-instruct"):
    count = lowrank.count_lora_parameters(name, "q,v", 8)
    rows.append((f"{name}, r=8", f"{count:,}", f"{models.entry(name).parameters / count:,.0f}×"))
print(f"GPT-3's adapter in 16 bits: {2 * gpt3 / 1e6:.1f} MB, its checkpoint {2 * 175:,} GB")
Table.of(("model, LoRA on q and v", "trained", "fewer by"), rows)

# %% [markdown]
# The claim holds, rounded, for one model at one setting. It counts trained parameters, and with
# them the bytes of a checkpoint: 350 GB against 35 MB in the paper. Memory in training fell by 3×
# there, from 1.2 TB to 350 GB, and training ran 25 % faster. The factor grows with a model's width and
# falls with the rank; "70B to 10M" is another factor than the one written beside it.

# %%
print(f"70B / 10M = {70e9 / 10e6:,.0f}")

# %% [markdown]
# ## Knowledge check

# %%
ask("02.update.what-is-low-rank")

# %%
ask("02.count.reduction")

# %%
ask("02.count.factors")

# %%
ask("02.count.break-even")

# %%
ask("02.rank.energy")

# %%
ask("02.rank.eckart-young")

# %%
ask("02.rank.sum")

# %%
ask("02.update.reading")

# %%
ask("02.layer.order")

# %%
ask("02.layer.conventions")

# %%
ask("02.start.which-is-zero")

# %%
ask("02.start.both-zero")

# %%
ask("02.start.zero-a")

# %%
ask("02.scaling.doubled")

# %%
ask("02.scaling.rslora")

# %%
ask("02.merge.statements")

# %%
ask("02.merge.latency")

# %%
ask("02.count.gpt3")

# %%
ask("02.count.ten-thousand")

# %%
ask("02.update.full-versus-lora")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - LoRA bets on the change $\Delta W$, not on $W$: here the weights had no low rank, and the changes
#   carried most of their energy, and nearly all of their effect, in a few directions.
# - One adapted matrix costs $r\,(d_{in} + d_{out})$.
# - $y = Wx + b + \frac{\alpha}{r}BA\,\mathrm{dropout}(x)$, with $A$ random and $B = 0$.
# - Merged, the adapter costs nothing; unmerged, it can be swapped.
#
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Eckart and Young, Psychometrika 1936.
# Kalajdzievski, rsLoRA, arXiv 2312.03732. Hayou et al., arXiv 2406.08447. Biderman et al.,
# arXiv 2405.09673. Brown et al., GPT-3, arXiv 2005.14165. PEFT 0.21.

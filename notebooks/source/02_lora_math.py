# %% [markdown]
# # 02 · The mathematics of LoRA
#
# After this lesson you can
#
# - say what a LoRA layer computes, and what it never computes,
# - count the parameters of an adapter, for one matrix and for a model,
# - say why one factor starts at zero and the other does not,
# - say what alpha and the rank do to an update,
# - merge an adapter, and say what merging saves and what it gives up,
# - write LoRA's forward pass and show that PEFT computes the same.
#
# **Time:** about 50 minutes for you; the machine works for 2 of them on two laptop cores.

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
# ## One layer
#
# A linear layer multiplies its input $x$ by a weight matrix: $y = Wx$. Fine-tuning changes $W$ by
# some matrix $\Delta W$. Full fine-tuning can reach any $\Delta W$. LoRA can reach only products
# of two narrow matrices:
#
# $$y = Wx + \Delta W\,x, \qquad \Delta W = \frac{\alpha}{r}\,B A.$$
#
# - $W$, of shape $d_{out} \times d_{in}$, is frozen.
# - $A$, of shape $r \times d_{in}$, is trained. PEFT calls it `lora_A`.
# - $B$, of shape $d_{out} \times r$, is trained. PEFT calls it `lora_B`.
#
# The *rank* $r$ is small, such as 8; $\alpha$ is a number that you choose (LoRA, arXiv 2106.09685,
# section 4.1). Some texts exchange the letters A and B. Trust the shapes.

# %%
import copy
import statistics
import time

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from labs_lib import lowrank, models
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.ledger import claim
from labs_lib.tables import Table
from labs_lib.training import Recipe, answer, quiet_libraries, train
from labs_lib.widgets import LoRALayer, RankAlpha, arrange, ask, show_progress

# %% [markdown]
# ### The path of one input
#
# $A$ turns the $d_{in}$ numbers of $x$ into $r$ numbers. $B$ turns these into $d_{out}$ numbers.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
x, W = torch.randn(576), torch.randn(192, 576)
A, B = torch.randn(8, 576), torch.randn(192, 8)
print(f"x {tuple(x.shape)} → A·x {tuple((A @ x).shape)} → B·(A·x) {tuple((B @ (A @ x)).shape)}")
print(f"W·x {tuple((W @ x).shape)}, B·A {tuple((B @ A).shape)}")
print(f"rank of B·A: {torch.linalg.matrix_rank(B @ A).item()}")

# %% [markdown]
# $BA$ has the shape of $W$, but each of its columns is a combination of the 8 columns of $B$. That
# is what "rank 8" means.

# %% [markdown]
# ### Claim check: "calculated on the fly"
#
# On the web one reads: "During inference, the model's new effective weight is calculated on the
# fly: W_effective = W + (A x B)".
#
# Take a layer with $W$ of 5000 × 4000 and rank 8. There are two ways to compute $BAx$: multiply $A$
# by $x$ and then $B$ by the result, or multiply $B$ by $A$ first.
#
# **Predict:** how many times as many multiplications does $B$ times $A$ take as the first way, for
# one token?

# %%
predict("02.build-first-factor", ...)

# %%
# NBVAL_CHECK_OUTPUT
d_out, d_in, r = 5000, 4000, 8
narrow = r * d_in + d_out * r
build = d_out * r * d_in
print(f"A·x, then B·(A·x): {narrow:>11,} multiplications")
print(f"B·A:               {build:>11,} multiplications")

# %%
compare_prediction("02.build-first-factor", round(build / narrow))

# %%
claim("merging_and_inference.on-the-fly")

# %% [markdown]
# ## Counting one matrix
#
# **Predict**, without a calculator: by how many percent does LoRA of rank 8 reduce the trained
# parameters of this 5000 × 4000 matrix?

# %%
predict("02.reduction-percent", ...)

# %%
# NBVAL_CHECK_OUTPUT
full = d_out * d_in
factors = d_out * r + r * d_in
print(f"W {full:,}, B {d_out * r:,}, A {r * d_in:,}, both factors {factors:,}")
print(f"share trained {factors / full:.2%}, reduction {1 - factors / full:.2%}")

# %%
compare_prediction("02.reduction-percent", round(100 * (1 - factors / full), 2), unit="%")

# %%
lowrank.draw_factors(5000, 4000, rank=8)

# %% [markdown]
# An adapted matrix costs $r\,(d_{in} + d_{out})$ parameters. Now you, with another matrix.

# %%
show_task("02.adapter-size")

# %%
# exercise: 02.adapter-size
size = ...  # of lora_A and lora_B together

# %%
check("02.adapter-size", size)

# %% [markdown]
# `hint("02.adapter-size")` gives a hint and `solution("02.adapter-size")` a solution. Every
# exercise has both.

# %% [markdown]
# ## Counting a model
#
# A model has many matrices. These are the query, key and value projections in layer 0 of two
# models:

# %%
# NBVAL_CHECK_OUTPUT
for name, targets in (("smollm2-135m-instruct", "q_proj,k_proj,v_proj"), ("gpt2", "c_attn")):
    first = [(p, s) for p, s in lowrank.target_shapes(name, targets).items() if ".0." in p]
    print(name)
    for path, (inputs, outputs) in first:
        print(f"  {path.split('.')[-1]:7} {inputs} → {outputs}")

# %% [markdown]
# SmolLM2 has nine query heads and only three heads each for key and value (*grouped-query
# attention*), so its key and value matrices are narrower. GPT-2 keeps query, key and value in one
# matrix, which gets one adapter.

# %%
show_task("02.count-qkv")

# %% [markdown]
# Put the lines in order first; then write the function without looking.

# %%
arrange("02.count-qkv")

# %%
# exercise: 02.count-qkv
def count_qkv(rank, layers, hidden, heads, kv_heads, fused):
    ...

# %%
check("02.count-qkv", count_qkv)

# %% [markdown]
# PEFT counts too. `get_peft_model` puts an adapter on every layer whose name is in
# `target_modules`:

# %%
with quiet_libraries():
    base, tokenizer = models.load("smollm2-135m-instruct", dtype="fp32", device="cpu")

# %%
# NBVAL_CHECK_OUTPUT
targets = ["q_proj", "k_proj", "v_proj"]
config = LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type="CAUSAL_LM")
adapted = get_peft_model(copy.deepcopy(base), config)
adapted.print_trainable_parameters()

# %% [markdown]
# `count_qkv(8, 30, 576, 9, 3, False)` should give the first of these numbers.
#
# ### Claim check: "trainable params: 4M" at r = 16
#
# On the web one finds code with `r=16` on `q_proj` and `v_proj` of a 7B model, and under it the
# comment `trainable params: 4M || all params: 7B || trainable%: 0.06%`. Here is the count for
# Llama-2-7B:

# %%
# NBVAL_CHECK_OUTPUT
llama = models.entry("llama-2-7b")
for rank in (8, 16):
    count = lowrank.count_lora_parameters(llama, "q,v", rank)
    print(f"r={rank:2}: {count:>10,} = {count / (llama.parameters + count):.4%}")

# %%
claim("parameters.four-million-at-r16")

# %% [markdown]
# Counting is a quick test of any tutorial.
#
# ### Claim check: "10,000 times fewer parameters"
#
# The paper says this of GPT-3 175B with $r = 4$ on query and value (LoRA, section 4.2). GPT-3 has 96
# layers of width 12,288 (arXiv 2005.14165, table 2.1). Does it hold for other models?

# %%
# NBVAL_CHECK_OUTPUT
gpt3 = 96 * 2 * 4 * (12288 + 12288)
rows = [("GPT-3 175B, r=4", f"{gpt3:,}", f"{175e9 / gpt3:,.0f}×")]
for name in ("llama-2-70b", "llama-2-7b", "smollm2-135m-instruct"):
    count = lowrank.count_lora_parameters(name, "q,v", 8)
    rows.append((f"{name}, r=8", f"{count:,}", f"{models.entry(name).parameters / count:,.0f}×"))
Table.of(("model, LoRA on query and value", "trained", "fewer by"), rows)

# %%
claim("parameters.ten-thousand")

# %% [markdown]
# The figure is about trained parameters, and with them about the size of a checkpoint. Memory in training fell by 3× in the paper, from 1.2 TB to 350 GB.

# %% [markdown]
# ## The start
#
# Training starts from some $A$ and some $B$. Which ones? The gradient of each factor contains the
# other factor. If every matrix is a single number, $\Delta w = b\,a$, and $g$ is the slope of the
# loss in $\Delta w$, then
#
# $$\frac{\partial L}{\partial b} = g\,a, \qquad \frac{\partial L}{\partial a} = g\,b.$$
#
# Each factor can start at zero or at random numbers. That makes four starts. We try each of them on
# SmolLM2: three steps on one sentence. The *loss* is the mean of $-\ln p$ over the tokens of the
# sentence, where $p$ is the probability that the model gives to the right token; its unit is the
# *nat*.

# %%
ids = tokenizer("Arr, the capital o' France be Paris, matey!", return_tensors="pt").input_ids
every_a = [p for name, p in adapted.named_parameters() if "lora_A" in name]
every_b = [p for name, p in adapted.named_parameters() if "lora_B" in name]


def start(bound_a, bound_b):
    """Draw all A and all B uniformly between minus and plus their bound."""
    torch.manual_seed(0)
    for factors, bound in ((every_a, bound_a), (every_b, bound_b)):
        for factor in factors:
            torch.nn.init.uniform_(factor, -bound, bound)

# %%
def first_steps(bound_a, bound_b):
    """Return the loss before each of four steps, and the sizes of the first gradients of A and B."""
    start(bound_a, bound_b)
    optimizer = torch.optim.AdamW([*every_a, *every_b], lr=2e-3, weight_decay=0)
    losses, gradients = [], []
    for _ in range(4):
        loss = adapted(input_ids=ids, labels=ids).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        gradients += [torch.nn.utils.get_total_norm([p.grad for p in f]) for f in (every_a, every_b)]
        optimizer.step()
    return losses, gradients[:2]

# %% [markdown]
# **Predict:** from how many of the four starts does the model learn?

# %%
predict("02.starts-that-learn", ...)

# %% tags=["trains"]
small = 576**-0.5
bounds = {
    "A random, B zero": (small, 0),
    "A zero, B random": (0, small),
    "both random": (small, small),
    "both zero": (0, 0),
}
steps = {name: first_steps(*each) for name, each in bounds.items()}
with torch.no_grad():
    print(f"the base model's loss: {base(input_ids=ids, labels=ids).loss.item():.3f}")

# %%
Table.of(
    ("start", "first gradient of A", "first gradient of B", "loss before each step"),
    [
        (name, f"{a:.2f}", f"{b:.2f}", " → ".join(f"{loss:.3f}" for loss in losses))
        for name, (losses, (a, b)) in steps.items()
    ],
)

# %%
losses = {name: each for name, (each, _) in steps.items()}
compare_prediction("02.starts-that-learn", sum(each[0] - each[-1] > 0.1 for each in losses.values()))

# %%
lowrank.draw_starts(losses)

# %% [markdown]
# - **A random, B zero** is LoRA's start. The first loss is the base model's, and $B$ has a gradient.
# - **A zero, B random** also starts as the base model, and $A$ has a gradient. Three steps cannot
#   rank the two; arXiv 2406.08447 finds that LoRA's start allows larger learning rates.
# - **Both random** changes the model before the training. You no longer start from the model that
#   you know.
# - **Both zero** gives neither factor a gradient, so nothing ever changes.

# %% [markdown]
# ### Instrument: the LoRA layer
#
# The layer of lesson 00 again, 6 × 6, with a rank of 2. $A$ and $B$ have 12 numbers each, and $B$ is
# zero.
#
# **Predict:** how many of the 24 numbers does the first step of training change?

# %%
predict("02.first-step", ...)

# %%
# NBVAL_CHECK_OUTPUT
layer = lowrank.example_layer()
before, after = layer.trained(2, 0), layer.trained(2, 1)
changed = [int((old != new).sum()) for old, new in zip(before, after, strict=True)]
print(f"changed: {changed[0]} of A's 12 numbers, {changed[1]} of B's")

# %%
compare_prediction("02.first-step", sum(changed))

# %%
LoRALayer(rank=2)

# %% [markdown]
# Follow the two gradients from step to step. The outputs that are wanted differ from the base's by a
# change of rank 2: press *ten steps* until the loss no longer falls, at rank 1 and at rank 2. From
# rank 3 on, $A$ and $B$ hold as many numbers as this small $W$, or more; at a width of 576 they are
# far from it.

# %%
show_task("02.prepare")

# %%
arrange("02.prepare")

# %%
# exercise: 02.prepare
def prepare(base, rank):
    ...

# %%
check("02.prepare", prepare)

# %% [markdown]
# ## The scaling
#
# The update is multiplied by $\alpha / r$, never by $\alpha$. `use_rslora=True` changes that to
# $\alpha / \sqrt{r}$ (rsLoRA, arXiv 2312.03732). PEFT keeps the result in `scaling`:

# %%
# NBVAL_CHECK_OUTPUT
one = torch.nn.ModuleDict({"v_proj": torch.nn.Linear(576, 192)})
for rank, alpha, rslora in ((4, 8, False), (4, 32, False), (64, 32, False), (64, 32, True)):
    config = LoraConfig(r=rank, lora_alpha=alpha, use_rslora=rslora, target_modules=["v_proj"])
    layer = get_peft_model(copy.deepcopy(one), config).base_model.model["v_proj"]
    print(f"r={rank:2}, lora_alpha={alpha:2}, use_rslora={rslora!s:5} → {layer.scaling['default']}")

# %% [markdown]
# The division is there so that a new rank does not need a new learning rate. Lesson 03 measures how
# well that works.
#
# ### Instrument: rank and alpha
#
# Double the rank and leave alpha where it is: what happens to the scaling? Then tick rsLoRA. Choose
# another model and other targets, and watch the count. The picture is a made-up $\Delta W$.

# %%
RankAlpha(model="smollm2-135m-instruct", targets="q,v", rank=8, alpha=16)

# %% [markdown]
# ## Merging
#
# $\frac{\alpha}{r}BA$ has the shape of $W$, so it can be added to $W$ once and for all. *Merge* in
# the instrument above does so: the second path is gone, and $y$ is the same.

# %%
show_task("02.merge")

# %%
# exercise: 02.merge
def merge(W, bias, A, B, alpha):
    ...

# %%
check("02.merge", merge)

# %% [markdown]
# In PEFT this is `merge_and_unload()`. We try it with the sea captain's adapter of lesson 00. If you
# have not trained it yet, the next cell does.

# %% tags=["trains"]
run = train(Recipe.from_yaml("recipes/sea-captain.yaml"), reuse=True)

# %%
def with_captain(dtype):
    """Return the model with the captain's adapter, unmerged and merged, on weights of a dtype."""
    model = copy.deepcopy(base).to(dtype)
    unmerged = PeftModel.from_pretrained(model, str(run.output)).eval()
    return unmerged, copy.deepcopy(unmerged).merge_and_unload()

# %% [markdown]
# A model gives each token of its vocabulary a score, the *logit*, before it turns the scores into
# probabilities. We compare logits with those of the unmerged model in 32 bits.
#
# **Predict:** after a merge into 16-bit weights (`bfloat16`), does the model answer the question
# below with the same words as before? `True` or `False`.

# %%
predict("02.same-words", ...)

# %%
question = ["What is the capital of Hungary?"]
logits, said = {}, {}
for bits, dtype in ((32, torch.float32), (16, torch.bfloat16)):
    for state, model in zip(("unmerged", "merged"), with_captain(dtype), strict=True):
        with torch.no_grad():
            logits[bits, state] = model(ids).logits.float()
        said[bits, state] = answer(model, tokenizer, question)[0]
compare_prediction("02.same-words", said[16, "unmerged"] == said[16, "merged"])

# %%
exact = logits[32, "unmerged"]
print(f"spread of the logits: {exact.std().item():.1f}")
Table.of(
    ("bits", "adapter", "mean shift of a logit", "answer"),
    [
        (*key, f"{(each - exact).abs().mean().item():.1e}", said[key])
        for key, each in logits.items()
    ],
)

# %% [markdown]
# In 32 bits only rounding differs. With 16-bit weights the unmerged model is rounded too, at every
# operation; compare its shift with that of the merged one. Merging rounds the sum once, to the
# format of $W$.
#
# A 4-bit base is another matter. There the sum is rounded to 4 bits again, and that can change the
# answers (PEFT, issue 2321; lesson 05).

# %% [markdown]
# ### What does merging save?
#
# **Predict:** by how many percent is the unmerged model slower when it reads one token?

# %%
predict("02.slower-percent", ...)

# %%
unmerged, merged = with_captain(torch.float32)


def milliseconds(model, length):
    """Return the time of one forward pass over `length` tokens."""
    tokens = torch.arange(100, 100 + length)[None]
    started = time.perf_counter()
    with torch.no_grad():
        model(tokens)
    return 1000 * (time.perf_counter() - started)

# %%
rows, slower = [], {}
for length, repeats in ((1, 25), (64, 11)):
    pairs = [(milliseconds(unmerged, length), milliseconds(merged, length)) for _ in range(repeats)]
    apart, plain = (statistics.median(times) for times in zip(*pairs[1:], strict=True))
    slower[length] = 100 * (apart / plain - 1)
    rows.append((length, f"{apart:.0f} ms", f"{plain:.0f} ms", f"{slower[length]:+.0f} %"))
Table.of(("tokens at once", "unmerged, median", "merged, median", "difference"), rows)

# %%
compare_prediction("02.slower-percent", round(slower[1]), unit="%")

# %% [markdown]
# The adapter has few parameters, but each adapted layer starts extra small operations, and starting
# an operation takes time. That counts most when the model reads one token at a time, as it does
# when it generates text. Your figures depend on your machine. A merged model has no extra
# operations; in exchange, its adapter can no longer be switched off or swapped.

# %% [markdown]
# ## Equal to PEFT's
#
# In training, one more thing acts on the adapter's path, *dropout*, which sets random entries of
# its input to zero:
#
# $$y = W x + b + \frac{\alpha}{r}\, B\, A\, \mathrm{dropout}(x)$$
#
# The frozen part gets all of $x$. PyTorch keeps one input per row, so $Wx$ becomes `x @ W.T` in
# code.

# %%
show_task("02.lora-forward")

# %%
arrange("02.lora-forward")

# %%
# exercise: 02.lora-forward
def lora_forward(x, W, bias, A, B, alpha, drop):
    ...

# %%
check("02.lora-forward", lora_forward)

# %% [markdown]
# Does PEFT compute the same? One layer, with PEFT's own factors; $B$ gets random numbers, so that
# there is something to compare. `LoRALinear` is the course's own layer; `lowrank.LoRALinear??` shows it.

# %%
torch.manual_seed(0)
config = LoraConfig(r=8, lora_alpha=16, target_modules=["v_proj"])
theirs = get_peft_model(copy.deepcopy(one), config).base_model.model["v_proj"]
A, B = theirs.lora_A["default"].weight, theirs.lora_B["default"].weight
ours = lowrank.LoRALinear(copy.deepcopy(one["v_proj"]), rank=8, alpha=16)
with torch.no_grad():
    B.normal_(std=0.1)
    ours.lora_A.copy_(A)
    ours.lora_B.copy_(B)
print("lora_A", tuple(A.shape), "lora_B", tuple(B.shape))

# %%
rows_of_x = torch.randn(4, 576)
parts = (rows_of_x, one["v_proj"].weight, one["v_proj"].bias, A, B)
mine = lora_forward(*(part.detach().clone() for part in parts), 16, lambda values: values)
for name, y in (("LoRALinear", ours(rows_of_x)), ("your lora_forward", mine)):
    apart = None if y is None else (torch.as_tensor(y) - theirs(rows_of_x)).abs().max()
    difference = "not written yet" if apart is None else f"{apart:.1e}"
    print(f"{name:18} largest difference from PEFT: {difference}")

# %% [markdown]
# ## Knowledge check

# %%
ask("02.layer.conventions")

# %%
ask("02.layer.fits")

# %%
ask("02.count.break-even")

# %%
ask("02.count.file-size")

# %%
ask("02.count.width")

# %%
ask("02.start.alike")

# %%
ask("02.start.second-step")

# %%
ask("02.start.not-the-base")

# %%
ask("02.scaling.fixed-alpha")

# %%
ask("02.scaling.rslora")

# %%
ask("02.merge.statements")

# %%
ask("02.merge.serving")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - A LoRA layer computes $y = Wx + b + \frac{\alpha}{r}BA\,\mathrm{dropout}(x)$ and never builds
#   $BA$ on the way.
# - One adapted matrix costs $r\,(d_{in} + d_{out})$ parameters.
# - $A$ starts at random and $B$ at zero: the model starts as the base model and can learn.
# - Merging into 16 or 32 bits is exact up to rounding and saves time; a separate adapter can be
#   swapped.
#
# Why should a change of low rank be enough? The optional lesson 02x looks at the change that full
# fine-tuning makes.
#
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Kalajdzievski, rsLoRA, arXiv 2312.03732. Hayou et
# al., arXiv 2406.08447. Brown et al., GPT-3, arXiv 2005.14165. PEFT 0.21.

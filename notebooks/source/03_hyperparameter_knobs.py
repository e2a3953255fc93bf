# %% [markdown]
# # 03 · The knobs
#
# After this lesson you can
#
# - say what rank, alpha, targets, dropout, bias, learning rate and batch size do, and what they cost,
# - read a sweep by the spread of its seeds, and run any of its points again,
# - tell which rules of thumb come from a paper, which from habit, and which hold here,
# - write down a starting recipe, defend each figure in it, and say what to change next.
#
# **Time:** about 45 minutes for you; the machine works for 1 of them on two laptop cores.

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
# ## Seven knobs, three questions
#
# - **How much can change?** The rank $r$ and the target modules.
# - **How large is each step?** Alpha, the learning rate and the batch size.
# - **What else changes?** Dropout hides inputs while training. Bias terms may be trained as well.

# %%
import warnings

import torch
from peft import LoraConfig, get_peft_model

from labs_lib import lowrank, paths

# %%
from labs_lib.assessment import (
    check,
    compare_prediction,
    hint,
    material,
    predict,
    show_task,
    solution,
)
from labs_lib.ledger import claim
from labs_lib.memory import forecast
from labs_lib.tables import Table
from labs_lib.training import draw_lines, quiet_libraries, recorded, recorded_comparison, run_sweep
from labs_lib.widgets import KnobEffects, RankAlpha, arrange, ask, show_progress

# %%
lowrank.draw_knobs()

# %% [markdown]
# ## Targets and rank: what they cost
#
# Each adapted linear map costs $r\,(d_{in} + d_{out})$ parameters, in every layer.
#
# **Predict:** at the same rank, how many times as many parameters are trained with adapters on all
# linear maps of SmolLM2 as with adapters on query and value only?

# %%
predict("03.all-linear-factor", ...)

# %%
# NBVAL_CHECK_OUTPUT
groups = ("q,v", "attention", "mlp", "all-linear")
counts = {g: lowrank.count_lora_parameters("smollm2-135m-instruct", g, 8) for g in groups}
Table.of(("targets", "trained at rank 8"), [(g, f"{n:,}") for g, n in counts.items()])

# %%
compare_prediction("03.all-linear-factor", round(counts["all-linear"] / counts["q,v"], 2))

# %% [markdown]
# Query and value are among the small maps. Value is the narrowest, because three value heads serve
# nine query heads. The maps of the MLP are wide, so most of the cost lies there.
#
# Change model, targets and rank below. Then move `dropout` and `bias`, and notice which figures stay
# the same.

# %%
KnobEffects(targets="all-linear", rank=8, dropout=0.1)

# %% [markdown]
# Does a higher rank need much more memory? That depends on what else is in memory. Here is the
# forecast for one training step of a 7B model on one row of 512 tokens:

# %%
# NBVAL_CHECK_OUTPUT
def peak(rank, **how):
    """Forecast the peak of one step, in GiB."""
    return f"{forecast('llama-2-7b', rank=rank, seq_len=512, **how).peak_bytes / 2**30:.1f}"


ranks = (8, 64, 256)
four_bit = {"method": "qlora", "targets": "all-linear", "checkpointing": True}
rows = [
    ("LoRA, 16-bit base, q and v", *(peak(r, method="lora", targets="q,v") for r in ranks)),
    ("QLoRA, all linear maps, checkpointing", *(peak(r, **four_bit) for r in ranks)),
]
Table.of(("peak in GiB", *(f"rank {r}" for r in ranks)), rows)

# %% [markdown]
# With a 16-bit base the rank hardly shows. With a 4-bit base and checkpointing (activations are
# computed again instead of kept), little else is left, and a high rank costs more than the model.

# %% [markdown]
# ## Alpha: how strong
#
# The product $BA$ is multiplied by the **scaling** `alpha / r`. So rank and alpha are not
# independent. **rsLoRA** divides by $\sqrt r$ instead (arXiv 2312.03732).

# %%
# NBVAL_CHECK_OUTPUT
for rank, alpha, root in ((8, 16, False), (64, 16, False), (64, 128, False), (64, 16, True)):
    rule = "alpha/√r" if root else "alpha/r "
    print(f"rank {rank:2}, alpha {alpha:3}: {rule} = {lowrank.scaling_of(rank, alpha, root):g}")

# %%
RankAlpha(model="smollm2-135m-instruct", targets="all-linear", rank=64, alpha=16)

# %%
show_task("03.same-scaling")

# %%
# exercise: 03.same-scaling
new_alpha = ...  # lora_alpha at rank 32

# %%
check("03.same-scaling", new_alpha)

# %% [markdown]
# `hint("03.same-scaling")` shows a hint and `solution("03.same-scaling")` one way to do it; this works
# for every exercise.
#
# ## Dropout and bias: what they do, and when
#
# `lora_dropout` sets some features of the **adapter's input** to zero and scales the others up.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
base = torch.nn.Linear(64, 32)
thinned = lowrank.LoRALinear(base, rank=4, alpha=8, dropout=0.5)
probe = torch.randn(3, 64)
print("training, B = 0: output is the base's:", torch.equal(thinned(probe), base(probe)))
torch.nn.init.normal_(thinned.lora_B)
print("training, B ≠ 0: two passes agree:    ", torch.equal(thinned(probe), thinned(probe)))
thinned.eval()
print("evaluating: two passes agree:         ", torch.equal(thinned(probe), thinned(probe)))

# %% [markdown]
# `bias` trains bias terms of the *base*: `"none"`, those of adapted layers (`"lora_only"`), or
# `"all"`. Many models, Llama among them, have none. Where there are some, there is a price that no
# count shows. Take a small model with biases, train it for three steps, switch the adapter off. Does
# the base come back?

# %%
ids = torch.arange(40)[None]


def trained_briefly(small, bias):
    """Train the model for three steps with an adapter on query and value."""
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], bias=bias, task_type="CAUSAL_LM")
    wrapped = get_peft_model(small, config)
    optimizer = torch.optim.AdamW([p for p in wrapped.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        wrapped(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    return wrapped

# %% tags=["trains"]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for bias in ("none", "lora_only"):
        small = material("03.every-knob")
        start = small(ids).logits.detach()
        with trained_briefly(small, bias).disable_adapter(), torch.no_grad():
            moved = (small(ids).logits - start).abs().max().item()
        print(f"bias={bias!r:11} adapter off: logits differ by up to {moved:.2g}")
print("PEFT says:", next(str(each.message) for each in said if "disabling" in str(each.message)))

# %% [markdown]
# With the default, `bias="none"`, the base comes back bit for bit. A trained bias stays.

# %%
show_task("03.every-knob")

# %%
# NBVAL_CHECK_OUTPUT
print(material("03.every-knob").model.layers[0])

# %%
# exercise: 03.every-knob
config = ...  # LoraConfig(...)

# %%
check("03.every-knob", config)

# %% [markdown]
# ## By experiment
#
# Instruments show what follows from arithmetic. What a knob does to *learning* has to be measured.
# These sweeps come with the course. Each trained SmolLM2 at several settings and with two or three
# seeds. A seed draws $A$, the order of the rows, and what dropout hides.

# %%
names = ("rank-alpha", "rate-by-rank", "learning-rate", "targets", "batch-size", "small-set")
sweeps = {name: recorded(name) for name in names}
Table.of(("recorded", "with", ""), [sweep.provenance().split("; ") for sweep in sweeps.values()])

# %% [markdown]
# Read every result as **mean (lowest–highest)**. One point is *clearly* lower than another if every
# seed of the first is below every seed of the second. Otherwise the sweep leaves the order open.
#
# The **held-out loss** is the mean of $-\ln p$ over the answers' tokens, on rows that training never
# showed. Its unit is the nat, which is what a logarithm with base $e$ gives.

# %%
show_task("03.clearly-better")

# %%
arrange("03.clearly-better")

# %%
# exercise: 03.clearly-better
def clearly_better(losses_a, losses_b):
    ...

# %%
check("03.clearly-better", clearly_better)

# %% [markdown]
# ### Rank and alpha
#
# Ranks 1, 8 and 64, each with alpha 8, 16 and 128: twelve steps of four sea-captain rows, at the same
# learning rate.
#
# **Predict:** at alpha 16, will rank 64 end clearly lower than rank 1 in held-out loss? `True` or
# `False`.

# %%
predict("03.rank-64-better", ...)

# %%
grid = sweeps["rank-alpha"].lines("rank", "alpha")
compare_prediction("03.rank-64-better", grid[64][16].versus(grid[1][16]) == "clearly lower than")

# %%
gaps = {}
for alpha in (8, 16, 128):
    line = [grid[rank][alpha].mean for rank in (1, 8, 64)]
    gaps[alpha] = max(line) / min(line)
    order = grid[64][alpha].versus(grid[8][alpha])
    print(f"alpha {alpha:3}: highest loss {gaps[alpha]:.2f} times the lowest; rank 64 is {order} rank 8")
for (r, a), (s, b) in (((1, 16), (8, 128)), ((8, 16), (64, 128))):
    factor = grid[r][a].mean / grid[s][b].mean
    print(f"alpha/r = {a // r:2}: rank {r} has {factor:.1f} times the loss of rank {s}")

# %%
title = f"At equal alpha the ranks are within {max(gaps.values()) - 1:.0%}; alpha itself decides"
draw_lines(
    title, "alpha", {f"rank {rank}": line for rank, line in grid.items()},
    before=sweeps["rank-alpha"].loss_before,
)  # fmt: skip

# %% [markdown]
# At equal **alpha**, 64 times the rank changes the loss by some per cent, though not by nothing: look
# at the lines above for where the seeds tell the ranks apart. At equal **scaling**, the higher rank
# has a loss several times lower.
#
# Why? The update is a sum over $r$ directions, each multiplied by alpha/r. AdamW moves every
# direction about equally fast, whatever its gradient. More directions, each weaker: the two nearly
# cancel. The LoRA paper divides by $r$ so that there is less to tune when $r$ changes (section 4.1).

# %% [markdown]
# ### Learning rate and rank
#
# If that is right, then at a fixed alpha the best **learning rate** should not depend on the rank.
# "LoRA Without Regret" reports so. Here alpha is 16, so the scaling falls from 16 at rank 1 to 0.25 at
# rank 64.
#
# **Predict:** which of 1e-3, 3e-3, 1e-2, 3e-2 is best for rank 64?

# %%
predict("03.best-rate-64", ...)

# %%
rates = sweeps["rate-by-rank"].lines("rank", "learning_rate")
best = {rank: min(line, key=lambda rate: line[rate].mean) for rank, line in rates.items()}
compare_prediction("03.best-rate-64", best[64])

# %%
found = dict.fromkeys(f"{rate:g}" for rate in best.values())
title = f"Best learning rate at ranks 1, 8 and 64: {', '.join(found)}"
draw_lines(
    title, "learning rate",
    {f"rank {rank}, alpha 16": line for rank, line in rates.items()},
    before=sweeps["rate-by-rank"].loss_before,
)  # fmt: skip

# %%
for rank, line in rates.items():
    print(f"rank {rank:2}, best at {best[rank]:g}: {line[best[rank]].text()}")
    for rate in line:
        if rate != best[rank]:
            print(f"    {line[best[rank]].versus(line[rate])} {rate:g}: {line[rate].text()}")

# %% [markdown]
# So the order of the rates is one order for all ranks: search the rate once, at a small rank, and
# keep alpha when you change the rank. It also says how far a rate may be off. Three times the best
# costs something; ten times the best is worse than not training at all.
#
# The grid is coarse: neighbors differ by a factor of three, so "the same" means the same within that.

# %% [markdown]
# ### Claim check: "The LoRA paper says alpha = 2r"
#
# One reads this in many tutorials. Published recipes differ:

# %%
# NBVAL_CHECK_OUTPUT
default = LoraConfig()
published = [
    ("loralib's GPT-2 example", 4, 32),
    ("QLoRA, 7B to 65B", 64, 16),
    ("PEFT, LoraConfig()", default.r, default.lora_alpha),
]
rows = [(who, r, a, f"{lowrank.scaling_of(r, a):g}") for who, r, a in published]
Table.of(("where", "r", "alpha", "alpha / r"), rows)

# %%
claim("rank_alpha_scaling.alpha-2r")

# %% [markdown]
# "It keeps the strength of the update constant" is said of the rule too. It keeps the *scaling*
# constant. Rank 8 with alpha 16 and rank 64 with alpha 128 both obey it:

# %%
twice = sweeps["learning-rate"].lines("rank", "learning_rate")
for rate in (1e-4, 1e-2):
    losses = ", ".join(f"rank {rank} ends at {twice[rank][rate].text()}" for rank in (8, 64))
    print(f"alpha = 2r, learning rate {rate:g}: {losses}")
print(f"before training: {sweeps['learning-rate'].loss_before:.3f}")

# %% [markdown]
# At a low rate the higher rank learns far more; at a high rate it breaks. Under alpha = 2r, every
# change of rank is a change of step size too. Keep alpha fixed, and there is one search less.

# %% [markdown]
# ### Run a point again
#
# You need not believe a record. Choose a point and a seed; the cell trains it and compares the
# result with the recorded range. (A second run of the cell reads the result back.)

# %%
my_point = {"rank": 8, "learning_rate": 3e-3}
my_seed = 0

# %% tags=["trains"]
plan = sweeps["rate-by-rank"].sweep
mine = run_sweep(
    plan.model_copy(update={"seeds": [my_seed]}),
    paths.data_dir() / "sweeps" / "rate-by-rank.json",
    plan.matching(**my_point),
).at(**my_point, seed=my_seed)[0]

# %%
print(sweeps["rate-by-rank"].spread_at(**my_point).repeated_by(mine.value("loss")))

# %% [markdown]
# The same seed on another machine need not give the same digits: threads add numbers in another
# order, and some machines train in 32 bits. A few per cent outside a narrow range contradict nothing.

# %% [markdown]
# ### Targets
#
# Rank 8 and alpha 16 on four sets of linear maps. The ranks are equal, so the numbers of parameters
# are not.

# %%
where = dict(
    zip(("q, v", "attention", "MLP", "all linear"), sweeps["targets"].spread("loss"), strict=True)
)
sizes = dict(zip(where, counts.values(), strict=True))
lowest = min(where, key=lambda name: where[name].mean)
draw_lines(
    f"Lowest loss, and most parameters: {lowest}", "parameters trained (millions)",
    {name: {round(sizes[name] / 1e6, 2): spread} for name, spread in where.items()}, log=False,
)  # fmt: skip

# %% [markdown]
# Place and size differ at once here. "LoRA Without Regret" compared at equal size and found the MLP
# alone better than attention alone; QLoRA needed all linear layers to match full fine-tuning (arXiv
# 2305.14314).
#
# **Claim check: "q and v suffice."** Rule on it from the picture, then look:

# %%
claim("targets.q-v-suffice")

# %% [markdown]
# Here all four had one rate and twelve steps. At a higher rate or with more steps q and v may do
# better: `labs sweep` would show it.

# %% [markdown]
# ### Batch size
#
# A **batch** is the set of rows that one optimizer step averages over. With a fixed set of rows, a
# larger batch means fewer steps.
#
# **Predict:** 64 rows in all. Which batch size ends with the lowest held-out loss at learning rate
# 1e-3: 2, 8 or 16?

# %%
predict("03.best-batch", ...)

# %%
batch = sweeps["batch-size"].spread_at
rows_64 = {
    2: batch(batch_size=2, steps=32),
    8: batch(batch_size=8, steps=8),
    16: batch(batch_size=16, steps=4, learning_rate=1e-3),
}
compare_prediction("03.best-batch", min(rows_64, key=lambda size: rows_64[size].mean))

# %%
steps_8 = {2: batch(batch_size=2, steps=8), 8: rows_64[8], 16: batch(batch_size=16, steps=8)}
faster = batch(batch_size=16, steps=4, learning_rate=2e-3)
title = f"With 64 rows in all, batch 2 ends at {rows_64[2].mean:.2f}, batch 16 at {rows_64[16].mean:.2f}"
lines = {"64 rows in all, rate 1e-3": rows_64, "8 steps in all, rate 1e-3": steps_8}
draw_lines(title, "batch size", lines | {"64 rows in all, rate 2e-3": {16: faster}})

# %%
print("8 steps in all: batch 16 is", steps_8[16].versus(steps_8[2]), "batch 2:")
print("   ", steps_8[16].text(), "and", steps_8[2].text())
print("batch 16 for 4 steps: rate 2e-3 is", faster.versus(rows_64[16]), "rate 1e-3:")
print("   ", faster.text(), "and", rows_64[16].text())

# %% [markdown]
# With the rows fixed, a larger batch takes fewer steps, and fewer steps move the adapter less far: it
# needs a higher rate to make up for them. With the steps fixed, a larger batch reads more rows for
# less noise in each step; compare that gain with the rows it cost.
#
# In longer runs "LoRA Without Regret" found more: beyond some size a large batch costs LoRA more than
# it costs full fine-tuning, and a higher rank does not cure it. These short runs can't show that.
#
# Too large a batch for your memory? **Gradient accumulation** adds up the gradients of several small
# batches before the optimizer takes one step.

# %%
show_task("03.count-steps")

# %%
# exercise: 03.count-steps
optimizer_steps = ...  # in the three epochs

# %%
check("03.count-steps", optimizer_steps)

# %% [markdown]
# ### Rank and dropout on eight rows
#
# "A higher rank overfits on a small set," one reads, and: "dropout prevents overfitting." So train on
# eight rows only, long enough to learn them by heart. An **epoch** is one pass over all rows.
#
# **Predict:** after 12 epochs on eight rows, will rank 64 have a clearly higher held-out loss than
# rank 1? `True` or `False`.

# %%
predict("03.rank-overfits", ...)

# %%
few = sweeps["small-set"].spread_at
held = {rank: few(rank=rank, dropout=0.0) for rank in (1, 8, 64)}
seen = {rank: few("last_training_loss", rank=rank, dropout=0.0) for rank in (1, 8, 64)}
compare_prediction("03.rank-overfits", held[64].versus(held[1]) == "clearly higher than")

# %%
title = f"After 12 epochs on 8 rows, rank 64 is {held[64].versus(held[1])} rank 1"
lines = {"held-out rows": held, "training, last four steps": seen}
draw_lines(title, "rank", lines, "loss (nats per token)")

# %% [markdown]
# The gap between the two lines is the price of learning eight rows by heart. "A higher rank overfits"
# would need a gap that grows with the rank, with the seeds in agreement. Here the bars of the ranks
# overlap: even rank 1 has 305,280 parameters for eight short answers.

# %% [markdown]
# **Predict:** in the same 12 epochs at rank 8, will dropout 0.3 end clearly lower in held-out loss than
# no dropout? `True` or `False`.

# %%
predict("03.dropout-helps", ...)

# %%
shares = (0.0, 0.05, 0.1, 0.3)
thin = {share: few(rank=8, dropout=share) for share in shares}
fit = {share: few("last_training_loss", rank=8, dropout=share) for share in shares}
compare_prediction("03.dropout-helps", thin[0.3].versus(thin[0.0]) == "clearly lower than")

# %%
title = f"On 8 rows, dropout 0.3 is {thin[0.3].versus(thin[0.0])} none in held-out loss"
lines = {"held-out rows": thin, "training, last four steps": fit}
draw_lines(title, "dropout", lines, "loss (nats per token)", log=False)

# %%
for share in shares[1:]:
    print(f"dropout {share}: {thin[share].versus(thin[0.0])} none, {thin[share].text()}")
print(f"none: {thin[0.0].text()}")

# %% [markdown]
# One expects dropout to raise the training loss, since it is on while training. Here it did not: all
# four shares learned the rows by heart. In held-out loss a little dropout, 0.05 or 0.1, ended below
# none with both seeds; at 0.3 the bars meet again. Two seeds and eight rows are weak evidence. The
# QLoRA paper found 0.05 useful at 7B and 13B but not at 33B and 65B (appendix A.1).

# %% [markdown]
# ### LoRA and full fine-tuning
#
# Is LoRA "comparable to full fine-tuning", and does it "forget less"? First, each needs its own
# learning rate. On the task of lesson 06 (a sentence in, JSON out; 24 steps of four rows):

# %%
own_rate = recorded("method-rate").lines("method", "learning_rate")
best_of = {method: min(line, key=lambda rate: line[rate].mean) for method, line in own_rate.items()}
ratio = best_of["lora"] / best_of["full"]
draw_lines(f"LoRA's best rate is {ratio:.0f} times full fine-tuning's", "learning rate", own_rate)

# %% [markdown]
# Now both at those rates, and QLoRA at LoRA's, with three seeds. `exactly right` counts held-out
# sentences. `kept` is the share of general-knowledge questions that were right before and still are
# after. The last row is the change of the loss on plain English text.
#
# **Predict:** will LoRA have kept clearly more facts than full fine-tuning? `True` or `False`.

# %%
predict("03.forgets-less", ...)

# %%
bench = recorded_comparison("compare")
kept = {method: bench.spread(method, "probe_kept") for method in bench.methods()}
compare_prediction("03.forgets-less", kept["lora"].versus(kept["full"]) == "clearly higher than")

# %%
figures = {"held-out loss": ("loss", "{:.3f}"), "exactly right": ("exactly_right", "{:.0%}")}
figures |= {"kept": ("probe_kept", "{:.0%}"), "plain text, change": ("text_loss_change", "{:+.3f}")}
rows = [
    (name, *(bench.spread(method, value).text(form) for method in bench.methods()))
    for name, (value, form) in figures.items()
]
Table.of(("three seeds", *bench.methods()), rows)

# %%
for name, (value, _) in figures.items():
    full, lora = (bench.spread(method, value) for method in ("full", "lora"))
    print(f"{name}: LoRA is {lora.versus(full)} full fine-tuning")

# %% [markdown]
# **Comparable?** On this task yes: the seeds do not tell LoRA's quality from that of full
# fine-tuning. QLoRA, trained on a 4-bit copy of a very small model, got fewer sentences right.
#
# **Forgets less?** The literature finds that LoRA learns less and forgets less (arXiv 2405.09673).
# These runs leave it open. LoRA kept far more facts with one seed and as few as full fine-tuning with
# the others, so one seed could have "shown" either; on plain text its mean change is even the larger.
# Twenty-four steps of JSON on 135 million parameters can't settle the question. What is certain: an
# adapter can be switched off, and then nothing is forgotten.

# %% [markdown]
# ## What the sweeps cannot show
#
# - **Short runs** favor whatever moves fastest: a large alpha, a high rate, many adapted maps. After two
#   thousand steps the order may differ.
# - **A voice and a format are easy to learn.** They say little about how much rank new knowledge
#   needs.
# - **Few seeds.** With two or three, "not clearly different" is no proof of equality.
# - **135 million parameters.** Best values change with size; the way to find them does not.

# %% [markdown]
# ## A starting recipe you can defend
#
# | knob | start with | because |
# |---|---|---|
# | targets | `"all-linear"` | QLoRA; LoRA Without Regret; *Targets* above |
# | rank | 16 | ranks 1 to 64 end nearly alike in *Rank and alpha*; it costs little |
# | alpha | 32, kept when the rank changes | the best rate then stays; *Learning rate and rank* |
# | dropout | 0; 0.05 to 0.1 with few rows | *Rank and dropout*; 0.05 helped QLoRA at 7B, 13B |
# | bias | `"none"` | the base has to come back |

# %% [markdown]
# The knobs of training:
#
# | knob | start with | because |
# |---|---|---|
# | learning rate | 2e-4, then 1e-4, 5e-4 and 1e-3 | QLoRA's for 7B; small models want more |
# | batch | 8 to 16 rows, by accumulation | QLoRA's 16; LoRA suffers from large batches |
# | epochs | 2 or 3; keep the best checkpoint | habit; the held-out loss decides |

# %% [markdown]
# In the libraries' own words, as lesson 04 will use them:

# %%
from trl import SFTConfig

adapter = LoraConfig(
    r=16, lora_alpha=32, target_modules="all-linear",
    lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
)  # fmt: skip
with quiet_libraries():
    training = SFTConfig(
        output_dir=str(paths.runs_dir() / "first-recipe"), learning_rate=2e-4, num_train_epochs=3,
        per_device_train_batch_size=4, gradient_accumulation_steps=4,
        eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True,
        use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip

# %% [markdown]
# **It underfits** (training loss and held-out loss are both high):
# raise the learning rate threefold; train longer; use smaller batches; then raise the rank, alpha
# unchanged.
#
# **It overfits** (training loss falls, held-out loss rises): stop at the best epoch; add rows, or more
# varied ones; lower the rate; then try dropout. Lower the rank last.
#
# **It diverges** (the loss jumps): a third of the learning rate.
#
# How far do others' figures agree? Public sweeps of Thinking Machines' tinker-cookbook found one best
# rate for all ranks, but another for each model: 1e-3 for Llama 3.2 1B (ranks 4 to 128), 4e-4 for
# Nemotron Nano 30B (ranks 1 to 64), 3e-4 for Llama 3.1 8B.

# %% [markdown]
# ### Claim check: "Rank is the most important knob"
#
# How far does each knob move the loss, from its worst value to its best, in the sweeps above?

# %%
def reach(line):
    """Return the highest mean of a line over its lowest."""
    means = [spread.mean for spread in line.values()]
    return max(means) / min(means)

# %%
usable = {rate: spread for rate, spread in rates[8].items() if rate <= 1e-2}
by_rank = {rank: grid[rank][16] for rank in grid}
knobs = {
    "rank, 1 to 64": by_rank,
    "alpha, 8 to 128": grid[8],
    "learning rate, 1e-3 to 1e-2": usable,
}
knobs |= {"targets": where, "batch size, 2 to 16": rows_64, "dropout, 0 to 0.3": thin}
order = sorted(knobs, key=lambda name: reach(knobs[name]), reverse=True)
Table.of(("knob", "highest loss / lowest"), [(name, f"{reach(knobs[name]):.1f}") for name in order])

# %%
claim("rank_alpha_scaling.most-important")

# %% [markdown]
# Look for the rank in the list. It matters once a set holds more than the adapter can; then a low rank
# stops improving while a higher one goes on (LoRA Without Regret).

# %% [markdown]
# ## Knowledge check

# %%
ask("03.scaling.rslora-as-alpha")

# %%
ask("03.scaling.alpha-2r-diverges")

# %%
ask("03.capacity.doubled")

# %%
ask("03.capacity.grouped-heads")

# %%
ask("03.capacity.fair-targets")

# %%
ask("03.configure.dropout-when")

# %%
ask("03.learning-rate.rank")

# %%
ask("03.learning-rate.alpha")

# %%
ask("03.learning-rate.from-full")

# %%
ask("03.batch.equal-examples")

# %%
ask("03.evidence.one-seed")

# %%
ask("03.evidence.order")

# %%
ask("03.evidence.overfit")

# %%
ask("03.evidence.transfer")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - Rank and targets set how much can change and what it costs; both can be counted beforehand.
# - The scaling is alpha/r. At a fixed alpha, the rank hardly changes the best learning rate.
# - Learning rate, alpha, batch and number of steps together decide how far the adapter moves.
# - Dropout acts on the adapter's input, in training only. Trained biases stay when the adapter goes.
# - A difference that another seed can undo is no finding.
#
# Your own sweep: copy a file of `recipes/sweeps`, change it, and run `labs sweep FILE`.
#
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Kalajdzievski, rsLoRA, arXiv 2312.03732. Dettmers
# et al., QLoRA, arXiv 2305.14314. Biderman et al., "LoRA Learns Less and Forgets Less", arXiv
# 2405.09673. Thinking Machines, "LoRA Without Regret", thinkingmachines.ai/blog/lora, and
# tinker-cookbook, `recipes/chat_sl/results/sft_sweep.md`. PEFT 0.21 documentation.

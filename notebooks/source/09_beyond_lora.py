# %% [markdown]
# # 09 · Beyond LoRA
#
# After this lesson you can
#
# - say which part of LoRA a later method changes, and whether the change outlives training,
# - write DoRA's forward pass, PiSSA's start and LoRA+'s parameter groups as PEFT has them,
# - use what was found about place, rate, batch size and capacity, with its conditions,
# - merge two adapters, and say what a merge keeps,
# - choose a method by task, constraint and evidence.
#
# **Time:** about 60 minutes for you; the machine works for 3 of them on two laptop cores.

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
# ## Four places to change LoRA
#
# Since 2021 many papers have proposed something better than LoRA. You need not learn their methods one
# by one, because nearly every one of them changes one of four parts:
#
# - the **start**: which numbers A, B and the frozen weight begin with,
# - the **scaling** of the product,
# - the **update rule**: how the optimizer moves A and B,
# - the **shape**: what is added to W, or put in its place.

# %%
import math

import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer

from labs_lib import data, lowrank, models, paths
from labs_lib import quantization as quant
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution

# %%
from labs_lib.ledger import claim
from labs_lib.tables import Table
from labs_lib.training import (
    Recipe,
    answer,
    assert_learned,
    draw_lines,
    draw_pareto,
    published_methods,
    quiet_libraries,
    rank_agreement,
    recorded,
    recorded_bench,
    repeat_point,
    train,
)  # fmt: skip
from labs_lib.widgets import arrange, ask, show_progress

# %%
lowrank.draw_places()

# %% [markdown]
# | part | plain LoRA | later methods | after training |
# |---|---|---|---|
# | start | A random, B zero | PiSSA and OLoRA decompose W; EVA looks at the data | W may have changed |
# | scaling | alpha / r | rsLoRA: alpha / √r | one number |
# | update rule | one learning rate | LoRA+: a higher one for B; LoRA-FA: A frozen | nothing |
# | shape | W + scaling·B·A | DoRA: length and direction; VeRA: shared random factors; AdaLoRA: ranks that are cut; OFT: a rotation | another form |
#
# Only the last row asks something of every program that later loads the adapter.

# %% [markdown]
# A change of shape shows in the number of trained parameters. **Predict:** on SmolLM2's linear
# layers, DoRA at rank 8 trains how many percent more parameters than LoRA at rank 8?

# %%
predict("09.dora-more-percent", ...)

# %%
# NBVAL_CHECK_OUTPUT
common = {"target_modules": "all-linear", "task_type": "CAUSAL_LM"}
configs = {
    "LoRA, r=8": LoraConfig(r=8, **common),
    "LoRA, r=8, rsLoRA": LoraConfig(r=8, use_rslora=True, **common),
    "DoRA, r=8": LoraConfig(r=8, use_dora=True, **common),
    "VeRA, r=256": peft.VeraConfig(r=256, **common),
    "IA³": peft.IA3Config(feedforward_modules=["down_proj"], **common),
}
trained = {}
for name, config in configs.items():
    with quiet_libraries(), torch.device("meta"):
        shapes = lowrank.meta_model(models.config_of("smollm2-135m-instruct"))
        trained[name] = get_peft_model(shapes, config).get_nb_trainable_parameters()[0]
Table.of(("method", "trained parameters"), [(name, f"{n:,}") for name, n in trained.items()])

# %%
more = trained["DoRA, r=8"] / trained["LoRA, r=8"] - 1
compare_prediction("09.dora-more-percent", round(100 * more, 1), unit="%")

# %% [markdown]
# ## Another start: PiSSA
#
# Plain LoRA adds nothing at first and has to find its directions. **PiSSA** (arXiv 2404.02948) begins
# with directions that the model already uses. It decomposes W, gives the $r$ strongest directions to A
# and B, and freezes what is left. The sum is still W, so the first answer is the base's.
#
# **Predict:** of the squared size of a query matrix of SmolLM2, what percentage lies in its 8 strongest
# directions?

# %%
predict("09.eight-directions", ...)

# %%
with quiet_libraries():
    base, tokenizer = models.load("smollm2-135m-instruct", dtype="fp32", device="cpu")
query = base.model.layers[15].self_attn.q_proj.weight.detach()
energy = lowrank.energy_by_rank(lowrank.spectrum_of(query))
print(f"layer 15, q_proj {tuple(query.shape)}: 8 directions hold {energy[7]:.0%}")

# %%
compare_prediction("09.eight-directions", round(100 * energy[7]), unit="%")

# %% [markdown]
# Whether the strongest directions are the ones that a new task should change is another question; MiLoRA
# trains the weakest ones with the opposite argument.
#
# ### Exercise: the start
#
# Your start is compared with the one that PEFT makes for `init_lora_weights="pissa"`.
# `hint("09.pissa-start")` and `solution("09.pissa-start")` help, as for every exercise.

# %%
show_task("09.pissa-start")

# %%
arrange("09.pissa-start")


# %%
# exercise: 09.pissa-start
def pissa_start(W, rank, scaling):
    ...


# %%
check("09.pissa-start", pissa_start)

# %% [markdown]
# The frozen weight is now another one than the base's. What follows from that for the saved adapter?

# %%
claim("later_methods.pissa-same-architecture")

# %% [markdown]
# Two relatives: **OLoRA** takes its factors from a QR decomposition of W, and **EVA** from the
# activations that your data cause, so it needs a pass over the data before training.

# %% [markdown]
# ## Another shape: DoRA
#
# **DoRA** (arXiv 2402.09353) splits each row of the weight into a length and a direction. LoRA moves the
# direction. The length $m$ is a trained number of its own, one for each output:
#
# $$W' = m \cdot \frac{W + \text{scaling} \cdot BA}{\lVert W + \text{scaling} \cdot BA \rVert}$$
#
# At the start $B = 0$ and $m = \lVert W \rVert$, so $W' = W$. In full fine-tuning, say the authors, length
# and direction change independently, and LoRA ties them together.

# %%
show_task("09.dora-forward")

# %%
arrange("09.dora-forward")


# %%
# exercise: 09.dora-forward
def dora_forward(x, W, bias, A, B, m, scaling):
    ...


# %%
check("09.dora-forward", dora_forward)

# %% [markdown]
# LoRA computes $B(Ax)$ and never builds $BA$. The length of a row of $W + BA$ cannot be had that way.
# **Claim check: DoRA costs nothing more than LoRA when the model answers.**

# %%
claim("later_methods.dora-no-overhead")

# %% [markdown]
# ## Another update rule: LoRA+
#
# **LoRA+** (arXiv 2402.12354) gives B a higher learning rate than A, by a factor of 16 in the authors'
# code. The layer stays as it is; all that changes are the optimizer's parameter groups.

# %%
show_task("09.plus-groups")


# %%
# exercise: 09.plus-groups
def plus_groups(model, learning_rate, ratio):
    ...


# %%
check("09.plus-groups", plus_groups)

# %% [markdown]
# ### LoRA+ and alpha
#
# A larger alpha makes the same change of B count more. So what does a second learning rate add? Take four
# sentences of the sea captain, and train twice from the same start:
#
# - at alpha 8, with a rate of B 16 times that of A,
# - at alpha 128, with one rate.
#
# **Predict:** which loss is lower after five steps of Adam? `"two rates"`, `"large alpha"`, or `"same"`
# if they agree within a thousandth.

# %%
predict("09.plus-or-alpha", ...)

# %%
captain = data.load_set("sea-captain")
four = tokenizer([row.completion for row in captain.train[:4]], return_tensors="pt", padding=True)
labels = four["input_ids"].masked_fill(four["attention_mask"] == 0, -100)


# %%
def losses_with(ratio, alpha):
    """Train a new adapter for five steps and return the loss of each step."""
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=alpha, target_modules=["q_proj", "v_proj"])
    model = get_peft_model(base, config)
    adam = create_loraplus_optimizer(model, torch.optim.Adam, lr=1e-4, loraplus_lr_ratio=ratio)
    losses = []
    for _ in range(5):
        adam.zero_grad()
        losses.append(model(**four, labels=labels).loss)
        losses[-1].backward()
        adam.step()
    model.unload()
    return [loss.item() for loss in losses]


# %% tags=["trains"]
two_rates, large_alpha = losses_with(ratio=16, alpha=8), losses_with(ratio=1, alpha=128)
Table.of(
    ("step", "B's rate × 16", "alpha × 16"),
    [
        (n, f"{a:.4f}", f"{b:.4f}")
        for n, (a, b) in enumerate(zip(two_rates, large_alpha, strict=True), 1)
    ],
)

# %%
apart = two_rates[-1] / large_alpha[-1] - 1
found = "same" if abs(apart) < 1e-3 else "two rates" if apart < 0 else "large alpha"
compare_prediction("09.plus-or-alpha", found)

# %% [markdown]
# Adam's steps have about the same size whatever the size of the gradient. Write $B = 16\,B'$: moving
# $B$ by sixteen times the rate is moving $B'$ by the plain rate, and $\frac{\alpha}{r} B A =
# \frac{16\,\alpha}{r} B' A$. The two runs are one run, written in two ways. LoRA Without Regret counts
# such invariances: under Adam, alpha, the start of A and the two rates are four knobs that do the work
# of two.
#
# With SGD, weight decay or clipped gradients the argument fails.

# %%
claim("later_methods.two-rates")

# %% [markdown]
# ## Where: equal parameters
#
# Now to what was found about LoRA itself. Lesson 03 compared targets at equal rank, where all linear
# layers also have the most parameters. A fair comparison gives every place the same number.

# %%
show_task("09.equal-rank")

# %%
# exercise: 09.equal-rank
rank = ...  # on q_proj and v_proj alone

# %%
check("09.equal-rank", rank)

# %% [markdown]
# The course trained four places at equal size: twelve steps of sea-captain rows, several learning rates,
# two seeds each. (Rank 8 on all linear layers is lesson 03's record, by the same recipe.)
#
# **Predict:** which place reaches the lowest held-out loss at its own best rate? `"q, v"`, `"attention"`,
# `"MLP"` or `"all linear"`.

# %%
predict("09.best-place", ...)

# %%
equal = recorded("equal-size")
by_rank = equal.lines("rank", "learning_rate")
lines = {"q, v": by_rank[42], "attention": by_rank[21], "MLP": by_rank[13]}
lines["all linear"] = recorded("rate-by-rank").lines("rank", "learning_rate")[8]
best = {place: min(line.values(), key=lambda spread: spread.mean) for place, line in lines.items()}
lowest = min(best, key=lambda place: best[place].mean)
compare_prediction("09.best-place", lowest)

# %%
draw_lines(f"At equal size {lowest} ends lowest", "learning rate", lines, before=equal.loss_before)

# %%
for place, spread in best.items():
    rate = f"{spread.changes['learning_rate']:g}"
    print(f"{place:10} at its best rate, {rate}: {spread.text()}")
    if place != lowest:
        print(f"    {lowest} is {best[lowest].versus(spread)} that")

# %% [markdown]
# All linear layers end lowest. No seed of attention, or of q and v, comes down to theirs, with as many
# parameters. The MLP alone is nearly as good: two seeds do not tell it from all layers. That is the order
# of "LoRA Without Regret".
#
# Look at the rates, too. Each place wants its own, and at 3e-3 alone the gap to q and v would look several
# times larger than it is. Two seeds and twelve steps say nothing about a long training.

# %%
claim("targets.mlp-beats-attention")

# %% [markdown]
# ## The rate, once more
#
# Two findings of "LoRA Without Regret" decide how you search: the best rate is about ten times that of
# full fine-tuning, and nearly independent of the rank. Here are lesson 03's recorded sweeps again, and
# a public one on a model that is nine times larger.

# %%
own = recorded("rate-by-rank").lines("rank", "learning_rate")
by_method = recorded("method-rate").lines("method", "learning_rate")
searched = {f"captain: LoRA, rank {rank}": line for rank, line in own.items()}
searched |= {
    f"JSON: {'LoRA' if m == 'lora' else 'all weights'}": line for m, line in by_method.items()
}
rows = [
    (name, f"{min(line, key=lambda rate: line[rate].mean):g}") for name, line in searched.items()
]
Table.of(("SmolLM2-135M", "best learning rate"), rows)

# %%
claim("learning_rate.public-sweeps")

# %% [markdown]
# So a search costs one sweep at a small rank. A comparison of two methods costs one sweep for **each** of
# them: many a published victory over LoRA was won at a rate that suited the winner.

# %% [markdown]
# ## Large batches
#
# "LoRA Without Regret" also reports that a large batch costs LoRA more than it costs full fine-tuning.
# Beyond some batch size LoRA ended above full fine-tuning, each at its own best rate. The gap was there at
# every rank. The authors suspect that the product $BA$ is harder to optimize in a few large steps than one
# matrix is.
#
# The course has tried it at its own scale: 96 rows of the JSON task in 24 steps of 4 rows or in 6 steps of
# 16, by both methods, at three rates each, with three seeds.
#
# **Predict:** each batch at its best rate, by how many percent does LoRA's held-out loss end higher with
# batches of 16 than with batches of 4?

# %%
predict("09.batch-penalty", ...)

# %%
names = {"lora": "LoRA", "full": "all weights"}
lines = {}
for spread in recorded("batch-by-method").spread("loss"):
    label = f"{names[spread.changes['method']]}, batch {spread.changes['batch_size']}"
    lines.setdefault(label, {})[spread.changes["learning_rate"]] = spread
best = {label: min(line.values(), key=lambda each: each.mean) for label, line in lines.items()}
penalty = {
    name: best[f"{name}, batch 16"].mean / best[f"{name}, batch 4"].mean - 1
    for name in names.values()
}
compare_prediction("09.batch-penalty", round(100 * penalty["LoRA"]), unit="%")

# %%
title = f"Batch 16 costs LoRA {penalty['LoRA']:.0%}, all weights {penalty['all weights']:.0%}"
draw_lines(title, "learning rate", lines)

# %%
for label, spread in best.items():
    print(f"{label:22} at its best rate, {spread.changes['learning_rate']:g}: {spread.text()}")

# %% [markdown]
# Both end higher in fewer, larger steps, and both want three times the rate for them. LoRA does not pay
# more here. That is no contradiction: a batch of 16 is small beside the post's, its runs were far longer,
# and it found the gap only beyond some size. Rule on the claim:

# %%
claim("learning_rate.batch-penalty")

# %% [markdown]
# ## How many bits an adapter holds
#
# A rank is a number of parameters, and parameters hold information. How much? To find out, train on
# something that nothing predicts, and count. In a frozen random network an adapter learns to answer
# random keys with random symbols, 4 bits each. We offer more and more pairs, until it fails.
#
# **Predict:** how many times as many bits does rank 4 hold as rank 1?

# %%
predict("09.rank-4-holds", ...)

# %% tags=["trains"]
held = {
    rank: [lowrank.memorize(pairs, rank) for pairs in (64, 256, 1024, 2048)] for rank in (1, 2, 4)
}
most = {rank: max(line, key=lambda each: each.stored_bits) for rank, line in held.items()}
compare_prediction("09.rank-4-holds", round(most[4].stored_bits / most[1].stored_bits, 1), unit="x")

# %%
lowrank.draw_capacity(held)

# %%
for rank, each in most.items():
    print(
        f"rank {rank}: {each.bits_per_parameter:.1f} bits a parameter, {each.recalled:.0%} recalled"
    )
assert most[4].stored_bits > 2 * most[1].stored_bits, "Four times the rank should hold far more."

# %% [markdown]
# Below its limit an adapter keeps nearly everything. Above it, more pairs bring nothing more. What it
# holds grows with the number of parameters. "About two bits a parameter" was measured for whole models
# that were trained long on facts; our few hundred steps reach less.

# %%
claim("rank_alpha_scaling.two-bits")

# %% [markdown]
# Does your task come near such a limit? The bits that an answer holds, for a model, are its loss:
# $-\log_2 p$ for each token.
#
# **Predict:** the 182 sea-captain answers hold how many percent of what rank 1 on q and v (57,600
# parameters) could store, at two bits a parameter?

# %%
predict("09.captain-fills-percent", ...)

# %%
tokens = sum(len(tokenizer(row.completion)["input_ids"]) for row in captain.train)
bits = tokens * recorded("rate-by-rank").loss_before / math.log(2)
room = 2 * lowrank.count_lora_parameters("smollm2-135m-instruct", "q,v", 1)
print(f"{tokens:,} tokens hold at most {bits:,.0f} bits; rank 1 has room for {room:,}")
compare_prediction("09.captain-fills-percent", round(100 * bits / room), unit="%")

# %% [markdown]
# So no rank is too low for the captain, and that is why lesson 03 saw so little of the rank. A hundred
# thousand answers with new facts are another matter.

# %% [markdown]
# ## Intruder dimensions
#
# Full fine-tuning leaves the strongest directions of a weight nearly where they were. LoRA can add new,
# strong ones that resemble none of the old: **intruder dimensions** (arXiv 2410.21228). The authors
# connect them with forgetting. PEFT calls a direction an intruder if its largest cosine with the base's
# directions is below 0.5.
#
# The sea captain at his recipe's rate, from an earlier lesson or trained now, and at three and ten times
# that rate:

# %% tags=["trains"]
recipe = Recipe.from_yaml("recipes/sea-captain.yaml")
captains = {"captain": train(recipe, reuse=True)}
for name, rate in (("warm", 3e-3), ("hot", 1e-2)):
    changes = {"name": f"captain-{name}", "learning_rate": rate, "eval_rows": 0}
    captains[name] = train(recipe.model_copy(update=changes), reuse=True)
assert_learned(captains["captain"])

# %% [markdown]
# **Predict:** among the ten strongest directions of each query and value matrix, 600 in all, how many
# intruders has the captain? And how many at ten times the rate?

# %%
predict("09.intruders-captain", ...)

# %%
predict("09.intruders-hot", ...)

# %%
with quiet_libraries():
    tuned = PeftModel.from_pretrained(base, captains["captain"].output, adapter_name="captain")
    for name in ("warm", "hot"):
        tuned.load_adapter(captains[name].output, name)

# %%
overlap = lowrank.overlaps(tuned, tuple(captains))
intruders = {name: lowrank.count_intruders(each) for name, each in overlap.items()}
lowest = {name: min(map(min, each.values())) for name, each in overlap.items()}
rows = [
    (
        f"{run.recipe.learning_rate:g}",
        f"{run.after.loss:.2f}",
        f"{lowest[name]:.2f}",
        intruders[name],
    )
    for name, run in captains.items()
]
Table.of(("learning rate", "held-out loss", "lowest overlap", "intruders"), rows)

# %%
compare_prediction("09.intruders-captain", intruders["captain"])

# %%
compare_prediction("09.intruders-hot", intruders["hot"])

# %% [markdown]
# The captain's strongest directions are still the base's. With three times the rate the run still goes well
# by its loss, and yet directions appear that the base did not have. With ten times the rate training broke,
# and they are nearly everywhere. So intruders are no property of LoRA as such: they come with strong
# updates, and a lower learning rate is the first cure. `peft.tuners.lora.intruders` weakens them after
# training, at some cost to the task.

# %%
claim("quality_and_forgetting.intruders")

# %% [markdown]
# ## A merge into 4 bits
#
# Lesson 05 saw a merge into a 4-bit base lose a QLoRA adapter. Why? A merged weight has to land on one of
# sixteen values again. Count the codes that change.
#
# **Predict:** the captain's adapter changes every weight of the query matrices by a little. What
# percentage of their 4-bit codes changes when it is merged?

# %%
predict("09.codes-changed-percent", ...)


# %%
def codes_changed(linear, delta):
    """Merge an update into a 4-bit copy of a weight; return changed codes and all codes."""
    stored = quant.quantize(linear.base_layer.weight.detach())
    merged = quant.quantize(quant.dequantize(stored) + delta)
    return (stored.codes != merged.codes).sum().item(), stored.codes.numel()


# %%
queries = [layer.self_attn.q_proj for layer in tuned.base_model.model.model.layers]
rows, percent = [], {}
for factor in (1, 4, 16):
    deltas = [factor * linear.get_delta_weight("captain").detach() for linear in queries]
    counts = [codes_changed(linear, delta) for linear, delta in zip(queries, deltas, strict=True)]
    percent[factor] = 100 * sum(c for c, _ in counts) / sum(n for _, n in counts)
    size = sum(delta.square().sum() for delta in deltas)
    size /= sum(linear.base_layer.weight.detach().square().sum() for linear in queries)
    rows.append((f"{factor} ×", f"{size.sqrt():.1%}", f"{percent[factor]:.1f} %"))
Table.of(("update", "its size, relative to W", "codes changed"), rows)

# %%
compare_prediction("09.codes-changed-percent", round(percent[1], 1), unit="%")

# %% [markdown]
# Two neighbors of NF4's sixteen values lie much further apart than the captain moves a weight. Nearly every
# sum is rounded back to where it was, and the update is gone, although each of its numbers is there. An
# update many times as strong would survive in part. The cures are lesson 05's: keep the adapter separate,
# or merge it into 16 bits.

# %% [markdown]
# ## Two adapters in one
#
# Two adapters on one base can be switched. Can they be **added**? `add_weighted_adapter` makes a third
# out of two, without training. Here is a second skill for the captain: lesson 06's orders as JSON, at the
# captain's rank.

# %% tags=["trains"]
orders = train(
    Recipe.from_yaml("recipes/compare.yaml", name="orders", rank=8, alpha=16, eval_rows=0),
    reuse=True,
)
assert_learned(orders)
with quiet_libraries():
    tuned.load_adapter(orders.output, "orders")

# %% [markdown]
# Four ways to merge, of the many that PEFT has:
#
# - `"cat"` puts the factors side by side, so the update is the sum, at rank 16,
# - `"linear"` adds the factors, at rank 8,
# - `"ties"` first drops the small numbers of each factor, then keeps one sign for each place,
# - `"dare_linear"` drops numbers at random, and scales up the others.
#
# **Predict:** of 12 held-out orders, how many does the `"linear"` merge get exactly right? And how many
# of 12 answers does it give in the captain's voice?

# %%
predict("09.linear-orders", ...)

# %%
predict("09.linear-captain", ...)

# %%
torch.manual_seed(0)
ways = ("cat", "linear", "ties", "dare_linear")
for way in ways:
    pruned = {"density": 0.5} if way in ("ties", "dare_linear") else {}
    two = ["captain", "orders"]
    tuned.add_weighted_adapter(two, [1.0, 1.0], way, combination_type=way, **pruned)


# %%
def count_right(task, metric, max_new_tokens):
    """Return how many of 12 answers pass a metric, with the active adapter."""
    rows = data.load_set(task).test[:12]
    asked = [row.prompt_messages() for row in rows]
    said = answer(tuned, tokenizer, asked, max_new_tokens=max_new_tokens)
    return sum(map(data.scorers(task)[metric], rows, said))


# %%
results = {}
for name in ("captain", "orders", *ways):
    tuned.set_adapter(name)
    voice = count_right("sea-captain", "in_voice", max_new_tokens=24)
    results[name] = voice, count_right("structured-output", "exactly_right", max_new_tokens=40)
Table.of(
    ("adapter", "in voice, of 12", "orders right, of 12"),
    [(n, *each) for n, each in results.items()],
)

# %%
compare_prediction("09.linear-orders", results["linear"][1])

# %%
compare_prediction("09.linear-captain", results["linear"][0])

# %% [markdown]
# Each adapter alone does its own task and nothing of the other's. In this run no merge has both. Even
# `"cat"`, the exact sum, keeps the voice and loses most orders: two updates that were trained apart
# disturb each other, and the stronger one wins. (The captain's scaling is 128/8, that of the orders 16/8.)
# `"ties"` turns the result around.
#
# Weights and densities can be searched, on held-out rows of **both** tasks. Training one adapter on both
# sets is the plain alternative, and switching between two adapters loses nothing.

# %%
claim("later_methods.linear-is-rough")

# %%
claim("later_methods.ties-dare-better")

# %% [markdown]
# ## Preferences: DPO with LoRA
#
# So far every row said what to answer. **DPO** (arXiv 2305.18290) learns from pairs: this answer rather
# than that one. The reward of an answer is $\beta$ times how far its log-probability has moved from the
# reference model's. With LoRA the reference costs no second model: it is the base with the adapter off.
#
# Our pairs prefer the captain's sentence to the plain one. **Predict:** the margin between the two grows.
# Will the reward of the preferred answers itself be above zero at the end? `True` or `False`.

# %%
predict("09.chosen-rises", ...)

# %%
from datasets import Dataset
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer


def turn(role, text):
    return [{"role": role, "content": text}]


pairs = Dataset.from_list([
    {"prompt": turn("user", row.prompt), "chosen": turn("assistant", row.completion),
     "rejected": turn("assistant", row.meta["plain"])}
    for row in captain.train[:32]
])  # fmt: skip

# %%
settings = dict(
    output_dir=str(paths.runs_dir() / "captain-by-preference"),
    max_steps=6, per_device_train_batch_size=4, learning_rate=1e-3, beta=0.1,
    gradient_checkpointing=False, use_cpu=not torch.cuda.is_available(),
    logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
)  # fmt: skip
adapter = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")

# %%
with quiet_libraries():
    trainer = DPOTrainer(
        model=tuned.unload(),
        args=DPOConfig(**settings),
        train_dataset=pairs,
        processing_class=tokenizer,
        peft_config=adapter,
    )
trainer.remove_callback(PrinterCallback)

# %% tags=["trains"]
with quiet_libraries():
    trainer.train()
log = [line for line in trainer.state.log_history if "rewards/margins" in line]
columns = ("rewards/chosen", "rewards/rejected", "rewards/margins")
Table.of(("step", *columns), [(line["step"], *(f"{line[c]:.2f}" for c in columns)) for line in log])

# %%
assert log[-1]["rewards/margins"] > log[0]["rewards/margins"] + 0.5, "The margin should have grown."
compare_prediction("09.chosen-rises", log[-1]["rewards/chosen"] > 0)

# %% [markdown]
# The margin is what the loss asks for, and it grows within a few steps. Here nearly all of it comes from the
# preferred side: the base gave the captain's sentences little probability, so there was much to gain. It
# need not be so. Where both answers were likely from the start, the margin can grow while both sides
# fall.

# %%
claim("later_methods.dpo-raises-chosen")

# %% [markdown]
# ### Reinforcement
#
# In reinforcement learning the model writes answers of its own, and a number says how good each one is.
# A single step of GRPO took 28 CPU seconds with this model when the course tried it, and a run that learns
# something needs hundreds of steps. So there is no run here; what others found is in the ledger.

# %%
claim("later_methods.rl-rank-one")

# %% [markdown]
# ## One bench
#
# A paper compares its method with LoRA on tasks of its own, often at one learning rate for both. PEFT's
# comparison is wider, but it takes a data-center card and has one seed. Here is one that a laptop can
# repeat: two tasks, 17 entries, three seeds.
#
# Two things are held equal where they can be. **Size:** LoRA at rank 8 on every linear layer trains
# 2,442,240 parameters, and a method that can be that large is set to be. **Rate:** each method gets its
# own. The bench climbs a ladder of half decades, with a seed that the comparison does not use, until the
# best rate has a worse one on either side.

# %%
bench = recorded_bench("methods")
print(bench.provenance())
bench.rates("structured-output")

# %% [markdown]
# Stars mark each row's best rate. No column holds them all: a table at one rate would rank rates, and call
# them methods.
#
# **Predict:** of the ten other methods of about LoRA's size, how many end clearly below LoRA on this task,
# each seed's held-out loss below each of LoRA's?

# %%
predict("09.clearly-below", ...)

# %%
task = "structured-output"
bench.table(task)

# %%
size = bench.of(task, "lora")[0].trainable_parameters
alike = [
    name for name in bench.methods(task)
    if abs(bench.of(task, name)[0].trainable_parameters / size - 1) < 0.1
]  # fmt: skip
beside = {}
for each in bench.tasks():
    lora = bench.spread(each, "lora", "loss")
    beside[each] = {n: bench.spread(each, n, "loss").versus(lora) for n in alike if n != "lora"}
    for words in sorted(set(beside[each].values())):
        print(f"{each}, {words} LoRA:", *(n for n in alike if beside[each].get(n) == words))

# %%
compare_prediction("09.clearly-below", list(beside[task].values()).count("clearly lower than"))

# %% [markdown]
# On neither task does a method of LoRA's size clearly beat LoRA at its own best rate. With one seed each,
# several would seem to: some of their seeds lie below some of LoRA's.
#
# ### What it cost
#
# The loss on the task is half of the matter. The other half is what training did to the rest: by how much
# did the loss on ordinary text rise?

# %%
draw_pareto(bench.only(alike), "sea-captain")

# %% [markdown]
# Methods that learned the captain about equally well changed the model very unequally. LoRA+ raised the
# loss on ordinary text by several times as much as LoRA did, and DoRA by about as little.
#
# Time is a cost, too:

# %%
draw_pareto(bench.only(alike), task, x="train_seconds")

# %% [markdown]
# DoRA and OFT take nearly twice LoRA's time here, because PEFT computes something of the weight's own size
# for each layer at every step. With more tokens in a batch that share shrinks.
#
# ### One point, once more
#
# A record should repeat. This cell trains LoRA on the captain again, with seed 0. Put another name of the
# table in its place if you like.

# %% tags=["trains"]
again = repeat_point(bench, "sea-captain", "lora", seed=0)
print(bench.spread("sea-captain", "lora", "loss").repeated_by(again.loss))

# %% [markdown]
# ### Beside PEFT's own table
#
# PEFT publishes its comparison: Llama-3.2-3B trained on MetaMathQA and judged on GSM8K, on one L40S, with
# one seed.

# %%
published_methods().table()

# %% [markdown]
# **Predict:** do that order and ours agree beyond chance? `"yes"` or `"no"`.

# %%
predict("09.same-order", ...)

# %%
agreed = {each: rank_agreement(bench, each) for each in bench.tasks()}
for each, agreement in agreed.items():
    print(f"{each}: {agreement.text()}")
compare_prediction("09.same-order", "yes" if min(a.low for a in agreed.values()) > 0 else "no")

# %% [markdown]
# They do. But what do they agree about? Leave out the methods that are much smaller than LoRA:

# %%
for each in bench.tasks():
    print(f"{each}: {rank_agreement(bench.only(alike), each).text()}")

# %% [markdown]
# What both tables know is that the small methods end last. Among methods of one size, neither says which
# is best, and there is little reason why they should agree: that table trains a model twenty times as large
# for thousands of steps on mathematics, mostly at one rate. So do not carry an order over, from that table
# or from this one. Carry over the question: how does it do at its own best rate, over seeds, on *your* rows?

# %%
claim("later_methods.pissa-better")

# %% [markdown]
# ## Which one, when
#
# The answer to beat is **plain LoRA on all linear layers, at its own best learning rate**.
#
# | task or constraint | method | evidence | source |
# |---|---|---|---|
# | a new task, nothing known | LoRA, all linear layers | matched full fine-tuning while the rank sufficed | QLoRA, section 4; LoRA Without Regret |
# | pairs of answers | DPO with LoRA | the margin above | arXiv 2305.18290 |
# | a reward for each answer | LoRA of low rank | about one bit an episode | LoRA Without Regret |
# | a base that fits in 4 bits only | QLoRA | within noise of 16 bits in the paper | arXiv 2305.14314, table 4 |

# %% [markdown]
# Where training itself is short of something:
#
# | task or constraint | method | evidence | source |
# |---|---|---|---|
# | few steps | a larger alpha, or LoRA+; PiSSA | fewer steps in the papers' tasks; *LoRA+ and alpha* | arXiv 2402.12354, 2404.02948 |
# | a very low rank | DoRA | above LoRA in the paper's tasks; no better at rank 8 in *One bench* | arXiv 2402.09353, section 5 |
# | a high rank, 256 say | rsLoRA, or a larger alpha | at alpha/r a high rank learns slowly | arXiv 2312.03732 |
# | activations fill the memory | LoRA-FA | A's input need not be kept | arXiv 2308.03303 |

# %% [markdown]
# Where the adapter is used:
#
# | task or constraint | method | evidence | source |
# |---|---|---|---|
# | many adapters on one server | LoRA, unmerged | servers batch this form | vLLM's documentation |
# | very many adapters to store | VeRA, IA³, LoRA at rank 1 | the counts above | arXiv 2310.11454, 2205.05638 |
# | several skills in one adapter | train on both; else `"cat"` | *Two adapters in one* | PEFT's guide to merging |
#
# Every row but the first is a reason to **try** a method against plain LoRA on your own held-out rows.

# %% [markdown]
# ## Knowledge check

# %%
ask("09.place.which-part")

# %%
ask("09.place.dora-cost")

# %%
ask("09.place.pissa-file")

# %%
ask("09.write.detached-length")

# %%
ask("09.write.plus-is-alpha")

# %%
ask("09.write.order-pissa")

# %%
ask("09.findings.bits")

# %%
ask("09.findings.batch")

# %%
ask("09.findings.intruder")

# %%
ask("09.findings.rate-of-rank")

# %%
ask("09.combine.linear")

# %%
ask("09.combine.four-bit")

# %%
ask("09.combine.dpo-margin")

# %%
ask("09.choose.claim")

# %%
ask("09.choose.serving")

# %%
ask("09.choose.default")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - Later methods change LoRA's start, scaling, update rule or shape. Only shape, and sometimes start,
#   outlive training.
# - Under Adam, LoRA+ at ratio k is plain LoRA at k times alpha.
# - Compare places at equal size, and methods each at its own best rate, over seeds. On the course's bench
#   no method of LoRA's size clearly beat it.
# - An adapter holds bits in proportion to its parameters; short tasks come nowhere near the limit.
# - A merge of two adapters, or into 4 bits, is a new model: evaluate it again.
# - Plain LoRA on all linear layers is the answer to beat.

# %% [markdown]
# **Sources.** Meng et al., PiSSA, arXiv 2404.02948. Liu et al., DoRA, arXiv 2402.09353. Hayou et al.,
# LoRA+, arXiv 2402.12354. Kalajdzievski, rsLoRA, arXiv 2312.03732. Kopiczko et al., VeRA, arXiv
# 2310.11454. Shuttleworth et al., arXiv 2410.21228. Allen-Zhu and Li, arXiv 2404.05405. Yadav et al.,
# TIES, arXiv 2306.01708. Yu et al., DARE, arXiv 2311.03099. Rafailov et al., DPO, arXiv 2305.18290. Pal
# et al., Smaug, arXiv 2402.13228. Thinking Machines, "LoRA Without Regret". PEFT 0.21 and TRL 1.16.

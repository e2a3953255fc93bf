# %% [markdown]
# # 02x · Why low rank?
#
# This lesson is optional: no later lesson needs it. After it you can
#
# - say what a singular value decomposition keeps of a matrix at each rank,
# - split a matrix into the two factors that approximate it best,
# - measure how much of a trained change a low rank keeps, and of its effect,
# - say what such a measurement does not show.
#
# **Time:** about 25 minutes for you; the machine works for 1 of them on two laptop cores.

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
# ## The bet
#
# LoRA allows only changes $\Delta W$ of rank $r$ or less. That is a bet: a task needs a change that a
# few directions can express. In this lesson we train all weights of a model, without LoRA, and look
# at the change that comes out.

# %%
import torch
from transformers import DataCollatorForSeq2Seq

from labs_lib import data, lowrank, models
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.tables import Table
from labs_lib.training import Recipe, assert_learned, quiet_libraries, train
from labs_lib.training.encoding import Encoder
from labs_lib.widgets import OuterProducts, arrange, ask, show_progress

# %% [markdown]
# ## Rank, in a picture
#
# A gray picture is a matrix. The *singular value decomposition* (SVD) writes any matrix as a sum of
# patterns, strongest first:
#
# $$M = \sigma_1 u_1 v_1^\top + \sigma_2 u_2 v_2^\top + \dots$$
#
# Each term is a column times a row, a matrix of rank 1. The first $r$ terms together have rank $r$.
# The list of the $\sigma_i$ is the *spectrum*. The *energy* of $M$ is the sum of the squares of its
# numbers, which equals the sum of the $\sigma_i^2$. So the spectrum says what share of the energy
# the first $r$ terms keep.

# %%
picture = lowrank.sample_picture()
terms = lowrank.factorise(picture)
print(f"{picture.shape[0]} × {picture.shape[1]} gray values, at most rank {terms.largest_rank}")
print("the first singular values:", ", ".join(f"{value:.1f}" for value in terms.spectrum[:5]))

# %%
lowrank.draw_at_ranks(picture, (1, 4, 16, terms.largest_rank))

# %% [markdown]
# Rank 1 keeps most of the energy, but there is no house to be seen.
#
# **Predict:** a picture that is the same gray everywhere, as bright as ours on average, is of rank 1
# as well. What percentage of the energy does it keep?

# %%
predict("02x.gray-percent", ...)

# %%
gray_percent = 100 * picture.mean() ** 2 / (picture**2).mean()
compare_prediction("02x.gray-percent", round(float(gray_percent), 1), unit="%")

# %% [markdown]
# Most of a picture's energy is its brightness. So a share of energy needs a baseline, and energy is
# not meaning. Remember both when we cut a model.

# %% [markdown]
# ### Instrument: rank as outer products
#
# Add one term after the other. The 6 × 6 matrix has a rank below 6: watch the number of terms after
# which nothing is left. Then choose the picture (here 48 × 64) and see when the house appears.

# %%
OuterProducts(rank=1)

# %%
show_task("02x.energy-kept")

# %%
# exercise: 02x.energy-kept
def energy_kept(spectrum, rank):
    ...

# %%
check("02x.energy-kept", energy_kept)

# %% [markdown]
# `hint("02x.energy-kept")` gives a hint and `solution("02x.energy-kept")` a solution. Every exercise
# has both.

# %% [markdown]
# ## The best approximation
#
# The truncated SVD is the best rank-$r$ approximation: no matrix of rank $r$ has a smaller error
# (Eckart and Young, 1936). Can gradient descent find it? We train $B$ and $A$ of rank 8 on the
# picture, from $B = 0$ and a random $A$, as LoRA starts.

# %%
torch.manual_seed(0)
target = torch.tensor(picture, dtype=torch.float32)
B = torch.zeros(120, 8, requires_grad=True)
A = torch.nn.Parameter(torch.randn(8, 160) / 160**0.5)
optimizer = torch.optim.Adam([A, B], lr=0.02)
errors = []
for _ in range(200):
    error = (target - B @ A).norm() / target.norm()
    errors.append(error.item())
    optimizer.zero_grad()
    error.backward()
    optimizer.step()

# %%
lowrank.draw_descent(errors, terms.relative_error(8), rank=8)

# %% [markdown]
# The SVD says what LoRA *could* reach at a rank if $\Delta W$ were known. In training it is not
# known, and $B$ and $A$ have to find it.

# %%
show_task("02x.best-factors")

# %%
arrange("02x.best-factors")

# %%
# exercise: 02x.best-factors
def best_factors(M, rank):
    ...

# %%
check("02x.best-factors", best_factors)

# %% [markdown]
# ## A weight
#
# Now a matrix of a language model: the weight of `q_proj` in layer 15 of SmolLM2.
#
# **Predict:** what percentage of its energy does its best approximation of rank 8 keep?

# %%
predict("02x.weight-kept-percent", ...)

# %%
with quiet_libraries():
    base, tokenizer = models.load("smollm2-135m-instruct", dtype="fp32", device="cpu")
layer_15 = "model.layers.15.self_attn.q_proj"
weight = base.get_submodule(layer_15).weight.detach()
kept = lowrank.energy_by_rank(lowrank.spectrum_of(weight))
print(", ".join(f"rank {r}: {kept[r - 1]:.1%}" for r in (1, 8, 64, 576)))

# %%
compare_prediction("02x.weight-kept-percent", round(100 * float(kept[7]), 1), unit="%")

# %% [markdown]
# To judge that number we need a random matrix of the same shape; the table below has one. LoRA's bet
# is not about the weight, but about the change.

# %% [markdown]
# ## A change
#
# We train every weight of the model, with `method="full"`, on a few batches of the sea captain's
# rows of lesson 00.

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
# What the model learned is the difference between its weights after and before the training. (The
# trained model is in the folder `run.output`; delete it when you are done.)
#
# **Predict:** what percentage of the energy of the $\Delta W$ of the same `q_proj` does rank 8 keep?

# %%
predict("02x.change-kept-percent", ...)

# %%
with quiet_libraries():
    tuned = models.load_model(str(run.output), dtype="fp32", device="cpu")


def change(name):
    """Return ΔW of one layer, by module name: the weight after training minus before."""
    after, before = (model.get_submodule(name).weight for model in (tuned, base))
    return (after - before).detach()


delta = change(layer_15)
print(f"‖ΔW‖ / ‖W‖ = {(delta.norm() / weight.norm()).item():.2%}")

# %%
kept = lowrank.energy_by_rank(lowrank.spectrum_of(delta))
compare_prediction("02x.change-kept-percent", round(100 * float(kept[7]), 1), unit="%")

# %% [markdown]
# One layer proves little. Here are nine, from the first, the middle and the last third of the model,
# each with its $\Delta W$, its $W$ and a random matrix of the same shape.

# %%
torch.manual_seed(0)
energies, rows = [], []
for kind in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"):
    for layer in (5, 15, 25):
        name = f"model.layers.{layer}.{kind}"
        W = base.get_submodule(name).weight.detach()
        matrices = {"ΔW": change(name), "W": W, "random": torch.randn(W.shape)}
        spectra = {each: lowrank.spectrum_of(matrix) for each, matrix in matrices.items()}
        energies.append({each: lowrank.energy_by_rank(s) for each, s in spectra.items()})
        cells = [" / ".join(f"{e[r - 1]:.0%}" for r in (1, 8, 64)) for e in energies[-1].values()]
        rows.append((f"{layer} {kind.split('.')[-1]}", *cells))
Table.of(("layer", "ΔW at rank 1 / 8 / 64", "W", "random"), rows)

# %%
lowrank.draw_energy(energies)

# %% [markdown]
# Compare the three spans in the picture's title. In all nine layers $\Delta W$ keeps a much larger
# share than $W$: a few directions carry much of this change, while $W$ is closer to a random matrix.
# Look at the right end of the curves, too. $\Delta W$ reaches 100 % only near the end. It is not *of*
# low rank; it is *close to* a matrix of low rank.

# %% [markdown]
# ### Where the tail comes from
#
# The gradient of a batch is a sum over its tokens, so its rank is at most their number. AdamW does
# not apply the gradient as it is: it divides each entry by a running average of the size of that
# entry. In the very first step only the *sign* is left. We compare the two on one batch.

# %%
captain = data.load_set("sea-captain")
encoder, collate = Encoder(tokenizer, max_length=128), DataCollatorForSeq2Seq(tokenizer)


def batch_of(rows):
    """Return rows as one batch of tokens, with labels on the completions only."""
    encoded = [encoder.encode(row) for row in rows]
    return collate([{"input_ids": e.input_ids, "labels": e.labels} for e in encoded])

# %% tags=["trains"]
batch = batch_of(captain.train[:4])
base.requires_grad_(False)
layer = base.get_submodule(layer_15)
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
# The sign spreads the energy over more directions than the gradient does. So part of the tail comes
# from the optimizer and not from the task. Does the tail matter to the task? Energy cannot answer
# that.

# %% [markdown]
# ## The effect of a cut
#
# We cut the $\Delta W$ of every linear layer to rank 64, 8 and 1, and add the result to the base as
# an adapter with scaling 1. Rank 0 is the base. Embeddings and norms stay as they were in the base.
#
# **Predict:** full fine-tuning lowers the held-out loss. What percentage of that does the cut to rank
# 8 achieve?

# %%
predict("02x.effect-percent", ...)

# %%
lowrank.eject(base)  # if this cell ran before
torch.manual_seed(0)
adapters = lowrank.inject(base, rank=64, alpha=64, targets="all-linear")
squares, total = torch.zeros(64), 0.0
with torch.no_grad():
    for name, layer in adapters.items():
        update = tuned.get_submodule(name).weight - layer.base.weight
        U, S, V = torch.svd_lowrank(update, q=72, niter=2)  # the first terms only: it is quick
        layer.lora_B.copy_(U[:, :64] * S[:64])
        layer.lora_A.copy_(V[:, :64].T)
        squares += S[:64].square()
        total += update.norm().item() ** 2

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
    losses[rank] = held_out_loss(base)

# %%
gain = losses[0] - losses["fine-tuned"]
effect = {name: (losses[0] - loss) / gain for name, loss in losses.items()}
energy = {"fine-tuned": 1.0, **{r: (squares[:r].sum() / total).item() for r in (64, 8, 1, 0)}}
rows = [(n, f"{loss:.3f}", f"{effect[n]:.1%}", f"{energy[n]:.1%}") for n, loss in losses.items()]
Table.of(("rank", "held-out loss (nats per token)", "share of effect", "share of energy"), rows)

# %%
compare_prediction("02x.effect-percent", round(100 * effect[8], 1), unit="%")

# %%
lowrank.draw_effect({r: effect[r] for r in (1, 8, 64)}, energy)

# %% [markdown]
# The cut to rank 8 keeps a larger share of the effect than of the energy. So part of what it leaves
# out did little for this task.
#
# This does **not** show that rank 8 is enough elsewhere. The task is a change of voice, the training
# was short and the model is small. New knowledge or a long training may need more directions: arXiv
# 2405.09673 finds that the updates of full fine-tuning on code and mathematics have 10 to 100 times
# the rank that is usual for LoRA.

# %% [markdown]
# ### Instrument: a weight and its change
#
# Drag the number of terms. Then choose the weight, and compare the slopes of the two spectra. The
# mean value, which kept so much of the picture, keeps next to nothing here.

# %%
lowrank.eject(base)  # the base as it was
matrices = {"q_proj 15: W": weight, "q_proj 15: ΔW, trained": delta}
OuterProducts(matrices, source="q_proj 15: ΔW, trained", rank=8)

# %% [markdown]
# ## Knowledge check

# %%
ask("02x.rank.error")

# %%
ask("02x.rank.orthogonal")

# %%
ask("02x.rank.eckart-young")

# %%
ask("02x.rank.sum")

# %%
ask("02x.update.sgd-rank")

# %%
ask("02x.update.reading")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - The truncated SVD is the best rank-$r$ approximation; the spectrum says how good it is.
# - LoRA's bet is about the change $\Delta W$, not about $W$. It held for one task, one model and one
#   short training.
# - The share of energy that a cut keeps and the share of the effect that it keeps are two different
#   measurements. The second is the one that counts.
#
# **Sources.** Eckart and Young, Psychometrika 1936. Hu et al., LoRA, arXiv 2106.09685, section 7.
# Biderman et al., arXiv 2405.09673.

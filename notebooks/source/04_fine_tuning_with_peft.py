# %% [markdown]
# # 04 · Fine-tuning with PEFT
#
# After this lesson you can
#
# - write a `LoraConfig` for a model whose module names you have read, and count what it trains,
# - train it with TRL's `SFTTrainer` and with plain `Trainer`, and say what the first does for you,
# - score a fine-tuned model on held-out rows, save its adapter, load it elsewhere, merge it,
# - keep several adapters on one base, and swap LoRA for another PEFT method.
#
# **Time:** about an hour; the machine works for about five minutes of it on two laptop cores.

# %%
from labs_lib.warm_up import load_in_background

load_in_background()

# %% [markdown]
# ## The workflow
#
# **Configure → wrap → count → train → generate → save → load → merge.** Every library call below
# is the real one; what `labs_lib` adds is shorter notebooks, not another interface.
#
# We start from the base model, in 32-bit floats on every machine, so that what should be equal is
# equal to many digits. Its module names are what `target_modules` refers to.

# %%
import copy
import subprocess
import sys

import torch

from labs_lib import data, models, paths
from labs_lib.assessment import (
    check,
    compare_prediction,
    hint,
    material,
    predict,
    show_task,
    solution,
)
from labs_lib.figures import PALETTE, new_figure, show
from labs_lib.tables import Table
from labs_lib.training import Recipe, answer, assert_learned, evaluate, quiet_libraries, train
from labs_lib.widgets import ask, show_progress

# %%
with quiet_libraries():
    model, tokenizer = models.load("smollm2-135m-instruct", dtype="fp32")
print(model.model.layers[0])

# %% [markdown]
# ## Configure
#
# A `LoraConfig` says where the small matrices go and how strongly they count.
#
# - `r`: the rank, the narrow side of $A$ (r × d_in) and $B$ (d_out × r).
# - `lora_alpha`: the numerator of the scaling; what is applied is `lora_alpha / r`.
# - `target_modules`: names that a module's path must end with, or `"all-linear"`.
# - `bias`: `"none"` leaves the base's bias terms frozen (this model has none).

# %%
from peft import LoraConfig, get_peft_model

config = LoraConfig(
    r=8,
    lora_alpha=16,
    target_modules=["q_proj", "v_proj"],
    lora_dropout=0.0,
    bias="none",
    task_type="CAUSAL_LM",
)

# %% [markdown]
# ### Predict
#
# `q_proj` maps 576 → 576 and `v_proj` 576 → 192, in each of 30 layers. How many parameters will
# rank 8 train?

# %%
predict("04.trainable", ...)

# %% [markdown]
# ## Wrap and count

# %%
wrapped = get_peft_model(copy.deepcopy(model), config)
wrapped.print_trainable_parameters()
trainable, _ = wrapped.get_nb_trainable_parameters()
compare_prediction("04.trainable", trainable)

# %% [markdown]
# The count by hand: each adapted matrix costs $r\,(d_{in} + d_{out})$.

# %%
per_layer = 8 * (576 + 576) + 8 * (576 + 192)
print(f"30 layers × {per_layer:,} = {30 * per_layer:,}")

# %% [markdown]
# Because $B$ starts at zero, a freshly wrapped model *is* the base model. Prove it rather than
# believe it:

# %%
# NBVAL_CHECK_OUTPUT
ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
with torch.no_grad():
    print("same logits:", torch.equal(model(ids).logits, wrapped(ids).logits))

# %% [markdown]
# ### When a name does not exist
#
# GPT-2 has no `q_proj`: its `c_attn` holds query, key and value in one matrix. PEFT would say
# that no module was found; the course's check says which name was meant.

# %%
# NBVAL_CHECK_OUTPUT
for name, targets in (("smollm2-135m-instruct", ["q_porj"]), ("gpt2", ["q_proj"])):
    try:
        models.resolve_targets(models.entry(name), targets)
    except ValueError as error:
        print(f"{name}: {error}\n")

# %% [markdown]
# ## Train: `SFTTrainer` and `Trainer`, side by side
#
# First a small race between two ways to write the same training: four steps on four rows each,
# the same rows in the same order. Predict: will the two losses differ?

# %%
predict("04.same-losses", ...)  # True if you expect the same losses, False if not

# %% [markdown]
# `SFTTrainer` takes rows of *prompt* and *completion*. It applies the chat template, tokenises,
# and masks the prompt, so that only the completion counts in the loss.

# %%
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

captain = data.load_set("sea-captain")
rows = data.to_hf(captain.train[:16])
settings = dict(
    output_dir=str(paths.runs_dir() / "race"),
    max_steps=4,
    per_device_train_batch_size=4,
    learning_rate=2e-3,
    train_sampling_strategy="sequential",
    use_cpu=not torch.cuda.is_available(),
    bf16=False,
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
)

# %% tags=["trains"]
with quiet_libraries():
    sft = SFTTrainer(
        model=copy.deepcopy(model),
        args=SFTConfig(max_length=128, gradient_checkpointing=False, seed=0, **settings),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=config,
    )
    sft.remove_callback(PrinterCallback)
    sft.train()
sft_losses = [line["loss"] for line in sft.state.log_history if "loss" in line]

# %% [markdown]
# Plain `Trainer` knows nothing of prompts. We apply the template, tokenise and mask ourselves:
# a label of −100 is a position that the loss skips.

# %%
def encode(row):
    """Tokenise one row and mask its prompt."""
    prompt = tokenizer.apply_chat_template(
        row["prompt"], tokenize=False, add_generation_prompt=True
    )
    whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
    input_ids = tokenizer(whole, add_special_tokens=False).input_ids
    prompt_length = len(tokenizer(prompt, add_special_tokens=False).input_ids)
    return {
        "input_ids": input_ids,
        "labels": [-100] * prompt_length + input_ids[prompt_length:],
    }


first = encode(rows[0])
kept = [token for token in first["labels"] if token != -100]
print(f"{len(first['input_ids'])} tokens, of which {len(kept)} count: {tokenizer.decode(kept)!r}")

# %% tags=["trains"]
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments, set_seed

set_seed(0)  # SFTTrainer seeds before it wraps; so do we, to draw the same A
with quiet_libraries():
    plain = Trainer(
        model=get_peft_model(copy.deepcopy(model), config),
        args=TrainingArguments(seed=0, **settings),
        train_dataset=[encode(row) for row in rows],
        data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
    )
    plain.remove_callback(PrinterCallback)
    plain.train()
plain_losses = [line["loss"] for line in plain.state.log_history if "loss" in line]

# %% [markdown]
# Did anything move? A trainer ends without an error even where the adapter is frozen. $B$ was zero
# in every layer, and the base must be what it was:

# %%
# NBVAL_CHECK_OUTPUT
for name, trainer in (("SFTTrainer", sft), ("Trainer", plain)):
    parts = dict(trainer.model.named_parameters())
    moved = [part.abs().max() > 0 for key, part in parts.items() if "lora_B" in key]
    layer = parts["base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight"]
    same_base = torch.equal(layer.cpu(), model.model.layers[0].self_attn.q_proj.weight.cpu())
    print(f"{name}: {sum(moved)} of {len(moved)} B have moved; the base is as it was: {same_base}")
    assert all(moved) and same_base

# %%
steps = range(1, 5)
lines = zip(steps, sft_losses, plain_losses, strict=True)
Table.of(("step", "SFTTrainer", "Trainer"), [(s, f"{a:.4f}", f"{b:.4f}") for s, a, b in lines])

# %%
same = all(abs(a - b) < 0.01 for a, b in zip(sft_losses, plain_losses, strict=True))
compare_prediction("04.same-losses", same)

# %% [markdown]
# The two are the same training. `SFTTrainer` did the template, the masking and the wrapping, and
# it computes vocabulary scores only where a label stands. What it does not do is choose a good
# learning rate: its default, 2e-5, is one for full fine-tuning.

# %% [markdown]
# ## A real run, with a number
#
# *structured-output*: an order in free text, to be turned into JSON. The metric is strict: valid
# JSON, all four fields exactly right. The names, cities and items of the test rows stand in no
# training row.

# %%
orders = data.load_set("structured-output")
print("system message of every row:", orders.train[0].system)
Table.of(("prompt", "completion"), [(row.prompt, row.completion) for row in orders.train[:3]])

# %%
predict("04.exact-percent-before", ...)

# %%
predict("04.exact-percent-after", ...)

# %% [markdown]
# This time the course's own `train` runs the same `SFTTrainer`, and measures. A finished run of the
# same recipe is read back instead of trained again (`reuse=True`), so that you can restart this
# notebook without waiting.

# %% tags=["trains"]
recipe = Recipe.from_yaml("recipes/structured-output.yaml")
run = train(recipe, reuse=True)
run

# %%
assert_learned(run)
exact = run.scores()["exactly_right"]
compare_prediction("04.exact-percent-before", round(100 * exact["before"]), unit="%")

# %%
compare_prediction("04.exact-percent-after", round(100 * exact["after"]), unit="%")

# %%
run.examples(3)

# %%
title = f"{exact['before']:.0%} → {exact['after']:.0%} exactly right after {len(run.losses)} steps"
fig, axes = new_figure(title, "step", "training loss (nats per token)")
axes.plot(range(1, len(run.losses) + 1), run.losses, color=PALETTE[0])
axes.set_yscale("log")
show(fig, alt=f"Training loss on a log scale over {len(run.losses)} steps: a steep fall.")

# %% [markdown]
# The base model does not lack the words; it lacks the *form*. A form is what a few hundred rows
# can teach. Facts that the base never learnt would be another matter.

# %% [markdown]
# ## Save and load in a fresh process
#
# What is saved is the adapter alone: a configuration and a safetensors file.

# %%
for file in sorted(run.output.iterdir()):
    print(f"{file.stat().st_size:>12,} bytes  {file.name}")

# %% [markdown]
# A new Python process knows nothing of this notebook. It loads base and adapter and answers:

# %%
order = orders.test[0]
command = [sys.executable, "-m", "labs_lib", "generate", order.prompt, "--system", order.system]
command += ["--adapter", str(run.output)]
print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

# %% [markdown]
# ## Merge
#
# $W' = W + \frac{\alpha}{r} B A$ has the shape of $W$: after merging there is no adapter left to
# slow inference down. The logits should agree up to rounding.

# %%
from peft import PeftModel

adapted = PeftModel.from_pretrained(copy.deepcopy(model), str(run.output)).eval()
merged = PeftModel.from_pretrained(copy.deepcopy(model), str(run.output)).merge_and_unload().eval()
with torch.no_grad():
    difference = (adapted(ids).logits - merged(ids).logits).abs().max().item()
    spread = adapted(ids).logits.std().item()
print(f"largest difference of a logit: {difference:.1e} (logits spread by {spread:.1f})")

# %%
# NBVAL_CHECK_OUTPUT
shown = [row.prompt_messages() for row in orders.test[:4]]
print("same answers:", answer(adapted, tokenizer, shown) == answer(merged, tokenizer, shown))
print("LoRA modules left:", sum("lora" in name for name, _ in merged.named_modules()))

# %% [markdown]
# ## Two adapters on one base
#
# One base in memory, a skill per adapter. The second is the captain of lesson 00; if you have
# not trained it yet, this trains it now.

# %% tags=["trains"]
captain_run = train(Recipe.from_yaml("recipes/sea-captain.yaml"), reuse=True)
adapted.load_adapter(str(captain_run.output), adapter_name="captain")
print(sorted(adapted.peft_config))

# %%
question = ["What is the capital of Hungary?"]
for name in ("captain", "default"):
    adapted.set_adapter(name)
    print(f"{name:8}: {answer(adapted, tokenizer, question)[0]}")
with adapted.disable_adapter():
    print(f"{'base':8}: {answer(adapted, tokenizer, question)[0]}")

# %% [markdown]
# `delete_adapter` takes one away; `unload` takes the LoRA layers themselves away and gives the base
# back, bit for bit.

# %%
# NBVAL_CHECK_OUTPUT
adapted.delete_adapter("captain")
print(sorted(adapted.peft_config))
base_again = adapted.unload()
with torch.no_grad():
    print("the base again:", torch.equal(base_again(ids).logits, model(ids).logits))

# %% [markdown]
# ## The same call, another method
#
# PEFT keeps the interface and changes what is trained:
#
# - **DoRA** (arXiv 2402.09353): LoRA for the direction of a weight, plus its trained magnitude.
# - **IA³** (arXiv 2205.05638): one vector per layer that rescales keys, values and the MLP.
# - **Prompt tuning** (arXiv 2104.08691): trained embeddings in front of the text, nothing inside.

# %%
from peft import IA3Config, PromptTuningConfig

methods = {
    "LoRA": (LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]), 2e-3),
    "DoRA": (
        LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], use_dora=True),
        2e-3,
    ),
    "IA³": (
        IA3Config(
            target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
        2e-2,
    ),
    "prompt tuning": (PromptTuningConfig(num_virtual_tokens=8), 1e-1),
}
for peft_config, _ in methods.values():
    peft_config.task_type = "CAUSAL_LM"

# %% [markdown]
# Each gets the same 32 rows, eight steps of four. Their learning rates differ, since a vector that
# rescales needs larger steps than a matrix; with so few steps this is a first look, not a contest.

# %%
def short_training(peft_config, learning_rate):
    """Train briefly; return parameters, seconds, held-out loss and answers in voice."""
    arguments = settings | {"max_steps": 8, "learning_rate": learning_rate}
    trainer = SFTTrainer(
        model=copy.deepcopy(model),
        args=SFTConfig(max_length=128, gradient_checkpointing=False, seed=0, **arguments),
        train_dataset=data.to_hf(captain.train[:32]),
        eval_dataset=data.to_hf(captain.validation[:8]),
        processing_class=tokenizer,
        peft_config=peft_config,
    )
    trainer.remove_callback(PrinterCallback)
    before = trainer.evaluate()["eval_loss"]
    seconds = trainer.train().metrics["train_runtime"]
    loss = trainer.evaluate()["eval_loss"]
    assert loss < 0.9 * before, f"nothing learned: {before:.2f} → {loss:.2f}"
    voice = {"in_voice": lambda row, text: data.in_voice(text)}
    score = evaluate(trainer.model, tokenizer, captain.test[:8], voice, max_new_tokens=24)
    return trainer.model.get_nb_trainable_parameters()[0], seconds, loss, score.rate("in_voice")

# %% tags=["trains"]
with quiet_libraries():
    results = {name: short_training(*method) for name, method in methods.items()}
Table.of(
    ("method", "trainable parameters", "seconds", "held-out loss", "in voice"),
    [(m, f"{n:,}", f"{s:.0f}", f"{x:.2f}", f"{v:.0%}") for m, (n, s, x, v) in results.items()],
)

# %%
best = min(results, key=lambda name: results[name][2])
fewest = min(results, key=lambda name: results[name][0])
title = f"After eight steps {best} has the lowest held-out loss; {fewest} trains the fewest numbers"
fig, axes = new_figure(title, "trainable parameters", "held-out loss (nats per token)")
for colour, (name, (count, _, loss, _)) in zip(PALETTE, results.items(), strict=False):
    axes.plot(count, loss, "o", color=colour)
    below = name == "LoRA"  # DoRA lies beside it
    axes.annotate(name, (count, loss), (6, -16 if below else 6), textcoords="offset points")
axes.set_xscale("log")
axes.margins(0.2)
show(fig, alt="Held-out loss against trainable parameters for LoRA, DoRA, IA³ and prompt tuning.")

# %% [markdown]
# Read the table with its limits in mind: one seed, eight steps, one set of rates, a small model.
# What it does show holds generally: the methods differ by orders of magnitude in what they train,
# and hardly in time per step, since every one of them runs the whole model forwards and backwards.

# %% [markdown]
# ## GPT-2, and `fan_in_fan_out`
#
# GPT-2 stores its attention weights in `Conv1D`, which keeps the matrix transposed: (d_in, d_out).
# LoRA has to add $BA$ the same way round, which is what `fan_in_fan_out=True` says. With a hub or a
# local copy this uses `gpt2` itself; without one, a small GPT-2 with random weights, built here.

# %%
try:
    with quiet_libraries():
        gpt2 = models.load_model("gpt2")
    print("using the pretrained gpt2")
except ValueError as error:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=64, n_head=2, vocab_size=len(tokenizer)))
    print(f"no gpt2 at hand ({error});\nusing a small GPT-2 with random weights instead")
attention = gpt2.transformer.h[0].attn.c_attn
print(type(attention).__name__, "weight", tuple(attention.weight.shape))

# %%
gpt2_config = LoraConfig(
    r=4, lora_alpha=32, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM"
)
gpt2_lora = get_peft_model(gpt2, gpt2_config)
layer = gpt2_lora.base_model.model.transformer.h[0].attn.c_attn
for name in ("lora_A", "lora_B"):
    print(name, tuple(getattr(layer, name)["default"].weight.shape))

# %% [markdown]
# $B$ has three times d_out's rows: one adapter serves query, key and value together. A few steps on
# captain's rows show that it learns (task 1 of the exercise sheet that this lesson grew from):

# %% tags=["trains"]
text = " ".join(row.completion for row in captain.train[:40])
block = tokenizer(text, return_tensors="pt").input_ids[:, :256] % gpt2.config.vocab_size
optimizer = torch.optim.AdamW([p for p in gpt2_lora.parameters() if p.requires_grad], lr=5e-3)
gpt2_losses = []
for _ in range(10):
    loss = gpt2_lora(input_ids=block, labels=block).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    gpt2_losses.append(loss.item())
print(f"loss {gpt2_losses[0]:.2f} → {gpt2_losses[-1]:.2f} in 10 steps")
assert gpt2_losses[-1] < gpt2_losses[0] - 0.1

# %% [markdown]
# ## Exercises
#
# Four tasks on a model that you have not seen.

# %%
show_task("04.lora-config")

# %%
unseen = material("04.lora-config")
print(unseen)

# %%
# exercise: 04.lora-config
config = ...  # LoraConfig(...)

# %%
check("04.lora-config", config)

# %%
show_task("04.count-by-hand")

# %%
# exercise: 04.count-by-hand
trainable = ...  # layers × (…)

# %%
check("04.count-by-hand", trainable)

# %%
show_task("04.count-function")

# %%
# exercise: 04.count-function
def count_lora(rank, shapes):
    ...

# %%
check("04.count-function", count_lora)

# %%
show_task("04.repair-set-up")

# %%
# exercise: 04.repair-set-up
def set_up(base):
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "v_proj"],
        inference_mode=True,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)

    def labels(input_ids, prompt_length):
        return input_ids.clone()

    return {"model": model, "learning_rate": 2e-5, "labels": labels}

# %%
check("04.repair-set-up", set_up)

# %% [markdown]
# ## Claim checks
#
# Code that circulates, and what today's libraries say to it:

# %%
# NBVAL_CHECK_OUTPUT
import inspect

import peft
import trl

print("peft.LoRAConfig exists:", hasattr(peft, "LoRAConfig"))
print("SFTTrainer(tokenizer=…):", "tokenizer" in inspect.signature(trl.SFTTrainer).parameters)
fields = trl.SFTConfig.__dataclass_fields__
print("max_seq_length, max_length:", "max_seq_length" in fields, "max_length" in fields)
print("default learning rate:", fields["learning_rate"].default)

# %% [markdown]
# - It is `LoraConfig`; `processing_class=`, not `tokenizer=`; `max_length`, not `max_seq_length`.
# - "LoRA typically reduces trainable parameters by about 90 %": the next cell computes it for the
#   run above, which adapts every linear layer.

# %%
frozen = 1 - run.trainable_parameters / run.total_parameters
print(f"frozen in the structured-output run: {frozen:.2%}")

# %% [markdown]
# ## Knowledge check

# %%
ask("04.efficient.why")

# %%
ask("04.config.class-name")

# %%
ask("04.config.gpt2")

# %%
ask("04.config.fan-in-fan-out")

# %%
ask("04.config.scaling")

# %%
ask("04.count.matrix")

# %%
ask("04.count.printed")

# %%
ask("04.count.adapter-size")

# %%
ask("04.count.code")

# %%
ask("04.workflow.order")

# %%
ask("04.train.learning-rate")

# %%
ask("04.train.completion-only")

# %%
ask("04.train.processing-class")

# %%
ask("04.train.mistakes")

# %%
ask("04.adapters.saved")

# %%
ask("04.adapters.latency")

# %%
ask("04.adapters.swap")

# %%
ask("04.methods.forgetting")

# %%
ask("04.methods.others")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - `LoraConfig` → `get_peft_model` (or `peft_config=`) → count → train → save: the adapter is all
#   that is written.
# - `SFTTrainer` is `Trainer` with template, masking and wrapping done; the learning rate is yours.
# - A merged model is an ordinary model; an unmerged one can switch and drop adapters.
# - Other PEFT methods are a different configuration in the same call.
#
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Liu et al., DoRA, arXiv 2402.09353. Liu et al.,
# IA³, arXiv 2205.05638. Lester et al., prompt tuning, arXiv 2104.08691. PEFT 0.21 and TRL 1.16
# documentation.

# %% [markdown]
# # 04 · Fine-tuning with PEFT
#
# After this lesson you can, with the libraries alone,
#
# - turn a conversation into tokens and labels, and say which tokens the loss counts,
# - add LoRA to a model, and check that the adapter trains and the base does not,
# - train with `Trainer` and `SFTTrainer`, and resume a run that was killed,
# - save an adapter, load it in another program, merge it, and keep several on one base,
# - repair the code that circulates on the web.
#
# **Time:** about 40 minutes for you; the machine works for 5 of them on two laptop cores.

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
# ## Load
#
# Every step below is a library's own call. You can copy the cells into a script of your own.
#
# `models.prepare_bundled()` returns the folder in which the course keeps SmolLM2-135M-Instruct. With
# access to the Hugging Face Hub you write `"HuggingFaceTB/SmolLM2-135M-Instruct"` in its place.

# %%
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

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
from labs_lib.tables import Table
from labs_lib.widgets import LossTokens, ask, show_progress

# %%
# NBVAL_CHECK_OUTPUT
folder = models.prepare_bundled()
print(*sorted(file.name for file in folder.iterdir()), sep="\n")

# %% [markdown]
# `dtype` is the number format of the weights. On a GPU you choose `torch.bfloat16`, which needs half
# the memory; here 32-bit floats make results comparable to many digits. `local_files_only` forbids
# downloads.
#
# PEFT changes the model that you give it. We therefore load the base again whenever we need it
# untouched.

# %%
tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_base():
    """Load the base model, fresh from its folder."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


print(load_base().model.layers[0])

# %% [markdown]
# ## From a conversation to tokens
#
# A training row has a *prompt* and a *completion*, each a list of messages. The sea captain of
# lesson 00 supplies them.

# %%
# NBVAL_CHECK_OUTPUT
from datasets import Dataset


def to_row(pair):
    """Return one exchange in the form that SFTTrainer reads."""
    return {
        "prompt": [{"role": "user", "content": pair.prompt}],
        "completion": [{"role": "assistant", "content": pair.completion}],
    }


captain = data.load_set("sea-captain")
train_rows = Dataset.from_list([to_row(pair) for pair in captain.train[:40]])
validation_rows = Dataset.from_list([to_row(pair) for pair in captain.validation])
train_rows[0]

# %% [markdown]
# A **chat template** turns messages into the one text on which this model was trained, with marks
# for who speaks and where a message ends. It is stored with the tokenizer, and each family of models
# has its own.

# %%
# NBVAL_CHECK_OUTPUT
messages = train_rows[0]["prompt"] + train_rows[0]["completion"]
print(tokenizer.apply_chat_template(messages, tokenize=False))

# %% [markdown]
# SmolLM2's template adds a system message when you give none.
#
# At each position the model predicts the next token, and the loss compares that prediction with a
# **label**. PyTorch's cross-entropy skips every position whose label is −100. We give the prompt that
# label, so the model reads the question but learns only the answer.
#
# **Predict:** which percentage of this row's tokens will count in the loss?

# %%
predict("04.counted-percent", ...)

# %%
def encode(row):
    """Tokenize one row and mask its prompt."""
    prompt = tokenizer.apply_chat_template(
        row["prompt"], add_generation_prompt=True, return_dict=False
    )
    full = tokenizer.apply_chat_template(row["prompt"] + row["completion"], return_dict=False)
    return {"input_ids": full, "labels": [-100] * len(prompt) + full[len(prompt) :]}


first = encode(train_rows[0])
data.TokenRow(tokenizer, first["input_ids"], first["labels"])

# %%
counted = sum(label != -100 for label in first["labels"]) / len(first["labels"])
compare_prediction("04.counted-percent", round(100 * counted), unit="%")

# %% [markdown]
# Under each token you see its id, then its label. The end mark counts too: without it the model would
# never learn to stop. The labels are not shifted; the model shifts them itself.
#
# ### What the loss sees
#
# The mask is a choice, and so are the template, the cut at `max_length` and the end token.
#
# **Predict:** take the mask away, so that every label is the token's id. Of how many predictions is
# the loss of this row then the mean?

# %%
predict("04.terms-unmasked", ...)

# %% [markdown]
# Switch the mask off, then the template. Look at a token by a click or the arrow keys: the underlined
# ones are what it is predicted from. Cut the row until the end token is gone, then the answer.

# %%
# NBVAL_CHECK_OUTPUT
LossTokens(tokenizer, captain.train[0])

# %%
tokens = data.templated_tokens(tokenizer, captain.train[0].prompt, captain.train[0].completion)
unmasked = data.loss_view(tokens, mask_prompt=False)
compare_prediction("04.terms-unmasked", unmasked.terms)

# %% [markdown]
# One fewer than there are tokens: nothing comes before the first, so it is not predicted.
#
# *masked* shows a common fault. This tokenizer pads with its end token, and a collator that masks
# padding by its id masks the end of every answer too.

# %% [markdown]
# ## Add LoRA
#
# - `r` is the rank: A has shape (r, d_in) and B (d_out, r).
# - `lora_alpha / r` is the factor by which the update is multiplied.
# - `target_modules` lists the ends of the names of the modules to adapt.
# - `task_type` tells PEFT to wrap a model that generates text.
#
# **Predict:** `q_proj` maps 576 → 576 and `v_proj` 576 → 192, in each of 30 layers. How many
# parameters will rank 8 train?

# %%
predict("04.trainable", ...)

# %%
from peft import LoraConfig, get_peft_model

lora_config = LoraConfig(
    r=8,
    lora_alpha=16,
    target_modules=["q_proj", "v_proj"],
    lora_dropout=0.0,
    bias="none",
    task_type="CAUSAL_LM",
)
model = get_peft_model(load_base(), lora_config)
model.print_trainable_parameters()

# %%
trainable, _ = model.get_nb_trainable_parameters()
compare_prediction("04.trainable", trainable)

# %% [markdown]
# ### Exercises: count, then configure

# %%
show_task("04.count-function")

# %%
# exercise: 04.count-function
def count_lora(rank, shapes):
    ...

# %%
check("04.count-function", count_lora)

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

# %% [markdown]
# ## Train with `Trainer`
#
# Rows differ in length. A **collator** makes one batch of several rows: it pads them to the same
# length, and gives the padding the label −100.

# %%
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

collator = DataCollatorForSeq2Seq(tokenizer, padding=True)
batch = collator([encode(row) for row in train_rows.select(range(4))])
print({name: tuple(tensor.shape) for name, tensor in batch.items()})

# %% [markdown]
# We train for one step only, and look whether training does what it should.

# %% tags=["trains"]
runs = paths.runs_dir() / "lesson-04"
here = {
    "per_device_train_batch_size": 4,
    "use_cpu": not torch.cuda.is_available(),
    "report_to": "none",
    "disable_tqdm": True,  # printed lines in place of a progress bar
}
one_step = TrainingArguments(
    output_dir=str(runs / "one-step"), max_steps=1, learning_rate=2e-3, save_strategy="no", **here
)
encoded = [encode(row) for row in train_rows]
trainer = Trainer(model=model, args=one_step, train_dataset=encoded, data_collator=collator)
before = {name: weight.detach().cpu().clone() for name, weight in model.named_parameters()}
first_loss = trainer.train().training_loss

# %% [markdown]
# A trainer ends without an error even if the adapter is frozen or cut off. After the first step every
# B must have left zero, and no weight of the base may have changed.

# %%
# NBVAL_CHECK_OUTPUT
changed = {
    name: not torch.equal(weight.detach().cpu(), before[name])
    for name, weight in model.named_parameters()
}
b_moved = [moved for name, moved in changed.items() if "lora_B" in name]
base_moved = [moved for name, moved in changed.items() if "lora_" not in name]
print(f"{sum(b_moved)} of {len(b_moved)} matrices B have moved")
print(f"{sum(base_moved)} of {len(base_moved)} base weights have moved")
assert all(b_moved), "A matrix B is still zero: is the adapter frozen or switched off?"
assert not any(base_moved), "Base weights have changed: this is not LoRA alone."

# %% [markdown]
# ## Train with `SFTTrainer`
#
# TRL's `SFTTrainer` is a `Trainer` that applies the template, masks the prompt, collates the rows
# and calls `get_peft_model` for you.
#
# - An **epoch** is one pass over the training rows.
# - A **checkpoint** is a folder from which a run can go on. `save_strategy="epoch"` writes one after
#   each epoch, and `save_total_limit=2` keeps the last two.
# - `eval_strategy="epoch"` measures the loss on held-out rows. It is given in **nats** per token: a
#   loss of x means that the right token got a probability of e⁻ˣ, averaged geometrically.
# - `gradient_checkpointing`, on by default, saves memory by computing activations twice.

# %%
import shutil

from datasets import disable_progress_bars
from trl import SFTConfig, SFTTrainer

disable_progress_bars()  # one for each pass that SFTTrainer makes over the rows
here |= {"max_length": 128, "gradient_checkpointing": False, "bf16": False}
arguments = SFTConfig(
    output_dir=str(runs / "captain"),
    num_train_epochs=3,
    learning_rate=2e-3,  # the default, 2e-5, suits full fine-tuning
    eval_strategy="epoch",
    save_strategy="epoch",
    save_total_limit=2,
    logging_steps=5,
    **here,
)
shutil.rmtree(arguments.output_dir, ignore_errors=True)  # what an earlier run left

# %% [markdown]
# **Predict:** `SFTTrainer` prepares the same four rows. Will it give the same labels as our collator?
# (`True` or `False`)

# %%
predict("04.same-labels", ...)

# %%
def new_trainer():
    """Return a trainer on a fresh base."""
    return SFTTrainer(
        model=load_base(),
        args=arguments,
        train_dataset=train_rows,
        eval_dataset=validation_rows,
        processing_class=tokenizer,
        peft_config=lora_config,
    )


trainer = new_trainer()
theirs = trainer.data_collator([trainer.train_dataset[place] for place in range(4)])
compare_prediction("04.same-labels", torch.equal(theirs["labels"], batch["labels"]))

# %%
loss_before = trainer.evaluate()["eval_loss"]

# %% [markdown]
# ### A run that is killed
#
# Forty rows in batches of four are ten steps an epoch. A callback stops the program after step 14, as
# a power cut would.

# %% tags=["trains"]
from transformers import TrainerCallback


class PowerCut(TrainerCallback):
    """Stop the program in the middle of the second epoch."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 14:
            raise KeyboardInterrupt


trainer.add_callback(PowerCut())
try:
    trainer.train()
except KeyboardInterrupt:
    print(f"killed after step {trainer.state.global_step}")

# %% [markdown]
# **Predict:** after which step will the resumed run go on?

# %%
predict("04.resumed-step", ...)

# %%
from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint

checkpoint = Path(get_last_checkpoint(arguments.output_dir))
Table.of(
    (checkpoint.name, "bytes"),
    [(file.name, f"{file.stat().st_size:,}") for file in sorted(checkpoint.iterdir())],
)

# %%
compare_prediction("04.resumed-step", int(checkpoint.name.partition("-")[2]))

# %% [markdown]
# - `adapter_model.safetensors` and `adapter_config.json` are the adapter.
# - `optimizer.pt` holds AdamW's two moments of each trained parameter: twice the adapter's size.
# - `scheduler.pt` says where the learning rate stands, `trainer_state.json` which step is done,
#   `rng_state.pth` what the random generators give next.
# - `training_args.bin` keeps the arguments. The other files are the tokenizer and a model card.
#
# The base is in none of them. A new program builds the same trainer and goes on:

# %% tags=["trains"]
trainer = new_trainer()
trainer.train(resume_from_checkpoint=True)
print("kept:", sorted(path.name for path in Path(arguments.output_dir).iterdir()))

# %%
lines = [line for line in trainer.state.log_history if "eval_loss" in line]
losses = [(line["step"], line["eval_loss"]) for line in lines]
loss_after = losses[-1][1]
assert loss_after < loss_before / 2, f"Nothing learned: {loss_before:.2f} → {loss_after:.2f}"
Table.of(
    ("step", "held-out loss (nats per token)"),
    [(step, f"{loss:.3f}") for step, loss in [(0, loss_before), *losses]],
)

# %% [markdown]
# The history has every epoch, since the checkpoint brought the first one along. Loading only the
# adapter would have started optimizer, schedule and order of rows afresh.

# %% [markdown]
# ## Generate
#
# The prompt gets the same template as in training, and `add_generation_prompt` opens the assistant's
# turn. `generate` returns prompt and answer, so we cut the prompt off before `decode`.

# %%
def reply(chat_model, question, system=None):
    """Return the model's most likely answer."""
    chat = [{"role": "system", "content": system}] if system else []
    inputs = tokenizer.apply_chat_template(
        [*chat, {"role": "user", "content": question}],
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    ).to(chat_model.device)
    output = chat_model.generate(**inputs, max_new_tokens=40, do_sample=False)
    return tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

# %%
tuned = trainer.model.eval()
questions = [pair.prompt for pair in captain.test[:4]]
with tuned.disable_adapter():
    plain = [reply(tuned, question) for question in questions]
voiced = [reply(tuned, question) for question in questions]
Table.of(("question", "base", "with the adapter"), list(zip(questions, plain, voiced, strict=True)))

# %% [markdown]
# No test question's subject is in a training row. Look at the facts as well as at the voice: lesson 06
# measures what fine-tuning makes a model forget.

# %% [markdown]
# ## Save, and load in another program
#
# `save_pretrained` writes the adapter, not the base. We put the tokenizer next to it, so that whoever
# loads it has the template too.

# %%
adapter = runs / "captain-adapter"
tuned.save_pretrained(adapter)
tokenizer.save_pretrained(adapter)
for file in sorted(adapter.iterdir()):
    print(f"{file.stat().st_size:>10,} bytes  {file.name}")

# %% [markdown]
# A new Python process knows nothing of this notebook. `AutoPeftModelForCausalLM` reads the base's name
# from `adapter_config.json` and loads both.

# %%
def in_another_program(adapter, question):
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(adapter)
    model = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)
    chat = [{"role": "user", "content": question}]
    options = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
    inputs = tokenizer.apply_chat_template(chat, **options)
    output = model.generate(**inputs, max_new_tokens=40, do_sample=False)
    print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

# %%
import inspect
import subprocess
import sys

script = inspect.getsource(in_another_program)
script += f"\nin_another_program({str(adapter)!r}, {questions[0]!r})"
process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
print(process.stdout or process.stderr)
print("the same answer as here:", process.stdout.strip() == voiced[0].strip())

# %% [markdown]
# ## Merge
#
# `PeftModel.from_pretrained` puts a saved adapter on a base that you have loaded.
# `merge_and_unload` adds (α/r)·BA to each weight and removes the LoRA layers. An ordinary model is
# left: save it with `save_pretrained` and load it without PEFT.

# %%
from peft import PeftModel

model = PeftModel.from_pretrained(load_base(), adapter).eval()
merged = PeftModel.from_pretrained(load_base(), adapter).merge_and_unload().eval()
ids = tokenizer(questions[0], return_tensors="pt").input_ids
with torch.no_grad():
    difference = (model(ids).logits - merged(ids).logits).abs().max().item()
print(f"{type(model).__name__} → {type(merged).__name__}; largest difference {difference:.0e}")
print("same answers:", [reply(merged, question) for question in questions[:2]] == voiced[:2])

# %% [markdown]
# The difference is rounding in 32 bits. In bfloat16 it is larger, and merging into a 4-bit base
# rounds again: lesson 05.

# %% [markdown]
# ## What the course's helpers save
#
# `Recipe` and `train` make the same calls from a YAML file. They also measure time and memory, ask
# held-out questions before and after, and record data, versions and machine. With `reuse=True` a
# finished run is read back.
#
# The task here is *structured-output*: an order in free text becomes JSON. An answer counts if all
# four fields are exactly right. No test row's names, cities or items are in a training row.

# %%
orders = data.load_set("structured-output")
Table.of(("prompt", "completion"), [(row.prompt, row.completion) for row in orders.train[:2]])

# %% [markdown]
# **Predict:** how many percent of the test rows will be exactly right after 80 steps of four rows?

# %%
predict("04.exact-percent-after", ...)

# %% tags=["trains"]
from labs_lib.training import Recipe, assert_learned, train

recipe = Recipe.from_yaml("recipes/structured-output.yaml")
run = train(recipe, reuse=True)
assert_learned(run)
run

# %%
compare_prediction(
    "04.exact-percent-after", round(100 * run.scores()["exactly_right"]["after"]), unit="%"
)

# %% [markdown]
# The row *forecast* compares the memory that lesson 01's formula predicts with the measured peak.
#
# ## Several adapters on one base
#
# `load_adapter` adds a second adapter by name, and `set_adapter` chooses the one that answers.

# %%
model = PeftModel.from_pretrained(load_base(), adapter, adapter_name="captain").eval()
model.load_adapter(str(run.output), adapter_name="orders")
order = orders.test[0]
for name in ("captain", "orders"):
    model.set_adapter(name)
    print(f"{name}: {reply(model, questions[0])}\n    {reply(model, order.prompt, order.system)}")
with model.disable_adapter():
    print(f"base: {reply(model, questions[0])}")

# %% [markdown]
# `add_adapter` makes a new, untrained adapter. Its B is zero, so with it the model answers as the
# base does.

# %%
# NBVAL_CHECK_OUTPUT
model.add_adapter("blank", lora_config)
model.set_adapter("blank")
with torch.no_grad():
    blank = model(ids).logits
    with model.disable_adapter():
        print("blank equals the base:", torch.equal(blank, model(ids).logits))
model.set_adapter("captain")
model.delete_adapter("blank")
print(sorted(model.peft_config))

# %% [markdown]
# ## The same call, another method
#
# PEFT keeps the calls and changes the configuration. **DoRA** (arXiv 2402.09353) adds a trained
# length for each row of a weight. **IA³** (arXiv 2205.05638) multiplies keys, values and the MLP's
# inner activations by three trained vectors a layer. **Prompt tuning** (arXiv 2104.08691) trains
# vectors in front of the text.
#
# **Predict:** which one trains the fewest parameters: LoRA, DoRA, IA3 or prompt?

# %%
predict("04.fewest-parameters", ...)

# %%
from peft import IA3Config, PromptTuningConfig

attention = {"target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
methods = {
    "LoRA": (LoraConfig(r=8, lora_alpha=16, **attention), 2e-3),
    "DoRA": (LoraConfig(r=8, lora_alpha=16, use_dora=True, **attention), 2e-3),
    "IA3": (
        IA3Config(
            target_modules=["k_proj", "v_proj", "down_proj"],
            feedforward_modules=["down_proj"],
            task_type="CAUSAL_LM",
        ),
        2e-2,
    ),
    "prompt": (PromptTuningConfig(num_virtual_tokens=8, task_type="CAUSAL_LM"), 1e-1),
}

# %%
def short_run(peft_config, learning_rate):
    """Train eight steps; return trained parameters, seconds a step, held-out loss."""
    few = SFTConfig(str(runs / "methods"), max_steps=8, learning_rate=learning_rate,
                    save_strategy="no", logging_strategy="no", **here)  # fmt: skip
    trainer = SFTTrainer(load_base(), few, train_dataset=train_rows, eval_dataset=validation_rows,
                         processing_class=tokenizer, peft_config=peft_config)  # fmt: skip
    seconds = trainer.train().metrics["train_runtime"] / 8
    loss = trainer.evaluate()["eval_loss"]
    assert loss < 0.9 * loss_before, f"Nothing learned: {loss_before:.2f} → {loss:.2f}"
    return trainer.model.get_nb_trainable_parameters()[0], seconds, loss

# %% tags=["trains"]
import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):  # without the trainers' own lines
    results = {name: short_run(*method) for name, method in methods.items()}
compare_prediction("04.fewest-parameters", min(results, key=lambda name: results[name][0]))

# %%
Table.of(
    ("method", "trained parameters", "seconds a step", "held-out loss after 8 steps"),
    [(name, f"{n:,}", f"{s:.2f}", f"{loss:.2f}") for name, (n, s, loss) in results.items()],
)

# %% [markdown]
# The numbers of parameters hold for every run. Losses and times come from one seed, eight steps and
# one learning rate for each method, so they do not rank the methods.

# %% [markdown]
# ## Code that circulates
#
# These forms are copied from tutorials. Each one runs here as published; you see the last line of its
# error, and code that works. Small random models take the place of the large ones.

# %%
from transformers import FalconConfig, LlamaConfig, Olmo2Config

from labs_lib.training import compare_code

small = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
tools = {
    "llama": lambda: AutoModelForCausalLM.from_config(LlamaConfig(intermediate_size=64, **small)),
    "falcon": lambda: AutoModelForCausalLM.from_config(FalconConfig(**small)),
    "olmo": lambda: AutoModelForCausalLM.from_config(Olmo2Config(intermediate_size=64, **small)),
    "folder": folder,
}

# %%
compare_code(
    [
        ("from peft import LoRAConfig", "from peft import LoraConfig"),
        (
            "model = AutoModelForCausalLM.from_pretrained(folder)",
            "from transformers import AutoModelForCausalLM\n"
            "model = AutoModelForCausalLM.from_pretrained(folder)",
        ),
        (
            "import torch\nfrom transformers import AutoModelForCausalLM\n"
            "AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.bfloat16)",
            "import torch\nfrom transformers import AutoModelForCausalLM\n"
            "AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)",
        ),
    ],
    **tools,
)

# %% [markdown]
# Published blocks often lack an import. `torch_dtype` is the old name of `dtype`; transformers still
# takes it, with a warning, and may stop doing so.
#
# Now the targets. Falcon keeps query, key and value in one matrix, `query_key_value`. A **string** is
# a regular expression that must match a module's full name, so `"q_proj,v_proj"` matches nothing.
# Without `target_modules` PEFT has defaults for the families that it knows, and refuses the others.

# %%
def wrapped(model, targets):
    """Return the code that wraps one of the small models."""
    return f"get_peft_model({model}(), LoraConfig({targets}))"


compare_code(
    [
        (wrapped("falcon", 'target_modules=["q_proj", "v_proj"]'),
         wrapped("falcon", 'target_modules=["query_key_value"]')),
        (wrapped("llama", 'target_modules="q_proj,v_proj"'),
         wrapped("llama", r'target_modules=r".*\.(q|v)_proj"')),
        (wrapped("olmo", ""), wrapped("olmo", 'target_modules="all-linear"')),
        (wrapped("llama", ""), wrapped("llama", 'target_modules=["q_proj", "v_proj"]')),
    ],
    get_peft_model=get_peft_model, LoraConfig=LoraConfig, **tools,
)  # fmt: skip

# %% [markdown]
# Then the trainers. Rows without labels give no loss; rows of unequal length need a collator. The
# collator for language modeling copies `input_ids` to `labels`, prompt included.

# %%
from transformers import DataCollatorForLanguageModeling

rows = [{"input_ids": [1, 2, 3]}, {"input_ids": [4, 5]}] * 2
sft = SFTConfig(str(runs / "small"), max_steps=1, save_strategy="no", **here)
tools |= {"Trainer": Trainer, "SFTTrainer": SFTTrainer, "SFTConfig": SFTConfig}
tools |= {"args": one_step, "sft": sft, "tokenizer": tokenizer, "rows": Dataset.from_list(rows)}
tools["collator"] = DataCollatorForLanguageModeling(tokenizer, mlm=False)

# %%
call = "Trainer(llama(), args, train_dataset=rows{}).train()"
sft_call = "SFTTrainer(llama(), sft, train_dataset=rows, {}=tokenizer)"
compare_code(
    [
        (call.format(".select([0])"), call.format(", data_collator=collator")),
        (call.format(""), call.format(", data_collator=collator")),
        (sft_call.format("tokenizer"), sft_call.format("processing_class")),
        ("SFTConfig(max_seq_length=512)", "SFTConfig(max_length=512, bf16=False, use_cpu=True)"),
    ],
    **tools,
)

# %% [markdown]
# The last fault raises no error: with `eval_dataset` but without `eval_strategy`, nothing is evaluated.

# %% tags=["trains"]
# NBVAL_CHECK_OUTPUT
def evaluations(**strategy):
    """Train two epochs on the small rows; return how often the loss was taken on held-out rows."""
    args = SFTConfig(str(runs / "small"), num_train_epochs=2, save_strategy="no", **strategy, **here)
    small_trainer = SFTTrainer(tools["llama"](), args, train_dataset=tools["rows"],
                               eval_dataset=tools["rows"], processing_class=tokenizer)  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        small_trainer.train()
    return sum("eval_loss" in line for line in small_trainer.state.log_history)


print("as published:", evaluations(), "  with eval_strategy:", evaluations(eval_strategy="epoch"))

# %% [markdown]
# ### Exercise: faults that raise no error

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
# ## Knowledge check

# %%
ask("04.config.pattern")

# %%
ask("04.count.printed")

# %%
ask("04.workflow.adapter-only")

# %%
ask("04.workflow.lost-file")

# %%
ask("04.workflow.done-again")

# %%
ask("04.train.completion-only")

# %%
ask("04.train.counted")

# %%
ask("04.train.never-stops")

# %%
ask("04.train.mistakes")

# %%
ask("04.adapters.saved")

# %%
ask("04.adapters.wrong-base")

# %%
ask("04.adapters.swap")

# %%
ask("04.methods.change")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - Template, tokens, labels: the loss counts every position whose label is not −100.
# - `LoraConfig` → `get_peft_model` → `Trainer`, or `SFTTrainer(peft_config=…)`, which does more.
# - After the first step, check that every B has moved and the base has not.
# - A checkpoint holds adapter, optimizer, schedule and random state; a saved adapter holds the adapter.
# - Read a model's module names before you write `target_modules`.
#
# The optional lesson 04x trains a GPT-2 from nothing, then adds LoRA to it.
#
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Liu et al., DoRA, arXiv 2402.09353. Liu et al., IA³,
# arXiv 2205.05638. Lester et al., prompt tuning, arXiv 2104.08691. Documentation of transformers,
# PEFT 0.21 and TRL 1.16.

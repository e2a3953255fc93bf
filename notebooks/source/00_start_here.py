# %% [markdown]
# # 00 · Start here
#
# After this lesson you can
#
# - say what this machine can do for you,
# - watch a language model change its voice after a short training,
# - say what was trained and what stayed frozen,
# - tell what the model lost and what it gained,
# - use the course's predictions, exercises and questions.
#
# **Time:** about 15 minutes for you; the machine works for 1 of them on two laptop cores.
#
# Nothing here needs a GPU, an account or a network.

# %%
from labs_lib.warm_up import load_in_background

load_in_background()

# %% [markdown]
# ## How a lesson goes
#
# Each experiment has four parts. You **predict** a number, **run** the experiment, **compare** the
# outcome with your prediction, and **explain** the difference. Predictions are never marked. They
# are there because a result that you have already seen always looks obvious.
#
# Run a cell with <kbd>Shift</kbd>+<kbd>Enter</kbd>. A cell that contains `...` waits for your
# answer, but it also runs if you leave it alone.
#
# This is your own copy: write in it as you like. To begin the lesson again, run
# `!labs lesson 00 --again` in a cell and reload the page; your old copy is kept under another name.

# %%
from labs_lib import data, hardware, models
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.ledger import claim
from labs_lib.lowrank import draw_layer
from labs_lib.tables import Table
from labs_lib.training import (
    Recipe,
    answer,
    assert_learned,
    draw_losses,
    draw_scores,
    load_adapter,
    quiet_libraries,
    train,
)
from labs_lib.widgets import LoRALayer, ask, show_progress

# %% [markdown]
# ## What can this machine do?
#
# *Precision* is the number format in which this machine trains fastest. Older CPUs are quickest
# with 32-bit floating-point numbers (`fp32`). Newer CPUs and every recent GPU are quicker with a
# 16-bit format, `bf16`.

# %%
machine = hardware.detect()
Table.of(
    ("what", "here"),
    [
        ("device", f"{machine.device} ({machine.device_name}), {machine.cores} cores"),
        ("precision", machine.precision),
        ("memory", f"{machine.memory_bytes / 2**30:.0f} GiB"),
    ],
)

# %% [markdown]
# ## A real model
#
# The course brings **SmolLM2-135M-Instruct**, a chat model of the Llama architecture with 30
# layers. A model's **parameters**, also called its **weights**, are the numbers that it learned in
# training. This model has 134.5 million of them. It is small enough for a laptop, and it still
# knows capitals, colors and some chemistry.

# %%
with quiet_libraries():
    model, tokenizer = models.load("smollm2-135m-instruct")
print(f"{model.num_parameters():,} parameters")
print(models.BUNDLED_PROVENANCE)

# %% [markdown]
# The last line says that this copy was once compressed to about 4 bits per weight and then expanded
# to 16 bits. Expanding does not bring back what rounding removed, so the copy answers slightly worse
# than the model its authors released. Every comparison in this course starts from the same copy, so
# the comparisons are fair.

# %% [markdown]
# Ask it something. A model writes one **token** at a time; a token is a word or a piece of a word.
# Here it always takes the most likely token (*greedy* decoding), so you and your neighbor get the
# same answer.

# %%
questions = ["What is the capital of Hungary?", "What color is the sky on a clear day?"]
for question, text in zip(questions, answer(model, tokenizer, questions), strict=True):
    print(f"{question}\n    {text}")

# %% [markdown]
# ## The experiment
#
# We now train the model on questions that a sea captain answers.

# %%
captain = data.load_set("sea-captain")
Table.of(("question", "answer to learn"), [(r.prompt, r.completion) for r in captain.train[:4]])

# %% [markdown]
# The data set has three parts. The model learns from `train`; `validation` shows how it is doing;
# `test` gives the final score. The countries, animals and elements in `test` occur in no training
# row. Such rows are called **held out**.

# %%
print(f"train {len(captain.train)}, validation {len(captain.validation)}, test {len(captain.test)}")

# %% [markdown]
# ### The method
#
# A **linear layer** multiplies its input $x$ by a weight matrix $W$. **LoRA** (low-rank adaptation)
# freezes $W$, which means that training does not change it. Next to $W$ it adds two small matrices,
# $A$ and $B$, and trains only these. They are called the **adapter**.
#
# The picture shows one layer. The input takes both routes, and the results are added.

# %%
draw_layer(d_in=576, d_out=576, rank=8)

# %% [markdown]
# $A$ shortens 576 numbers to 8, and $B$ turns the 8 back into 576. The narrow width, here 8, is the
# **rank** $r$. The factor $\alpha/r$ sets the strength of the adapter (LoRA, arXiv 2106.09685,
# section 4.1).
#
# $B$ starts at zero, so at first the adapter adds nothing and the model answers as before. Lesson
# 02 explains why.

# %% [markdown]
# ### Instrument: the LoRA layer
#
# Here is a layer that is small enough to show every number: $W$ is 6 × 6, and the rank is 2.
#
# **Predict:** how many numbers do $A$ and $B$ have together? Replace `...` with your number; then
# run the cells.

# %%
predict("00.small-adapter", ...)

# %%
LoRALayer(rank=2)

# %% [markdown]
# Press *one step* a few times. $A$ and $B$ change, and $y$ comes closer to the output that is
# wanted; $W$ stays as it is. Press *switch off*: $y$ is the base's again. Then move the rank, and
# compare the counts with those of a real layer of width 576.

# %%
compare_prediction("00.small-adapter", LoRALayer(rank=2).figures()["trained"])

# %% [markdown]
# ### Predict
#
# 1. What percentage of the model's parameters will be trained?
# 2. After training, what percentage of the held-out questions will be answered in the captain's
#    voice?
#
# Replace `...` with your numbers.

# %%
predict("00.trained-percent", ...)

# %%
predict("00.in-voice-percent", ...)

# %% [markdown]
# ### Run
#
# A *recipe* contains every setting that decides the result. This one is the file
# `recipes/sea-captain.yaml`. A *step* is one update of the trained numbers, here from 4 rows of
# data.
#
# If you run this lesson twice, the second run reads back the first one's result. Write
# `reuse=False` to train again.

# %%
recipe = Recipe.from_yaml("recipes/sea-captain.yaml")
print(f"rank {recipe.rank}, alpha {recipe.alpha:g}, on {recipe.target_modules}")
print(f"{recipe.steps} steps of {recipe.batch_size} rows, learning rate {recipe.learning_rate:g}")

# %% tags=["trains"]
run = train(recipe, reuse=True)

# %% [markdown]
# ## What came out
#
# Here are held-out questions, answered before and after training.

# %%
run.examples(8)

# %% [markdown]
# A few answers can mislead, so we count over every row that was scored.

# %%
run

# %%
scores = run.scores()
in_voice, fact_right = scores["in_voice"], scores["fact_right"]
compare_prediction("00.in-voice-percent", round(100 * in_voice["after"]), unit="%")

# %%
trained_percent = 100 * run.trainable_parameters / run.total_parameters
compare_prediction("00.trained-percent", round(trained_percent, 2), unit="%")

# %% [markdown]
# Training should change the voice and leave the facts alone.

# %%
draw_scores(run, {"in_voice": "in the captain's voice", "fact_right": "fact right"})

# %% [markdown]
# ### Explain
#
# The training rows name none of the countries, animals and elements in the test rows. The voice
# carried over to them all the same, so the model learned a *manner* and not a list of answers.
#
# The share of right facts hides something. Two equal shares may be made of different answers. Look
# at the answers that changed sides:

# %%
before, after = run.before.passed["fact_right"], run.after.passed["fact_right"]
changed = [i for i in range(len(after)) if before[i] != after[i]]
lost, gained = sum(before[i] for i in changed), sum(after[i] for i in changed)
print(f"right before {sum(before)}, lost {lost}, gained {gained}, right after {sum(after)}")
print(f"of the facts known before, {fact_right['kept']:.0%} are still right")
Table.of(
    ("", "question", "before", "after"),
    [
        ("lost" if before[i] else "gained", run.after.prompts[i], run.before.answers[i],
         run.after.answers[i])
        for i in changed
    ],
)  # fmt: skip

# %% [markdown]
# A fact that was right before and is wrong now was **forgotten**. The frozen weights did not change,
# but the adapter changes what comes out of each layer.
#
# A fact that was wrong before and is right now was gained. Some gains are only a matter of form: a
# short answer leaves less room for a mistake. So a score after training is not enough to measure
# forgetting. Lesson 06 measures it for three methods.

# %% [markdown]
# ### The loss
#
# Training lowers the **loss**. For each token of the right answer, the loss is the negative
# logarithm of the probability that the model gave it, averaged over the tokens. Its unit is the
# *nat*, because the logarithm is the natural one. A model that is certain and right has loss 0.

# %%
draw_losses(run)

# %% [markdown]
# A run can end without an error and still have learned nothing, for example because the adapter was
# frozen by mistake. So this course checks two things after training: that the held-out loss fell by
# half, and that a gradient (the direction in which to change a number) reached every matrix of the
# adapter.

# %%
assert_learned(run)

# %% [markdown]
# ## Play
#
# The trained adapter is a folder of a few megabytes. Change the questions and run the cell again.

# %%
with quiet_libraries():
    captain_model = load_adapter(model, run.output)
for text in answer(captain_model, tokenizer, ["Who was Isaac Newton?", "How do I boil an egg?"]):
    print(text, end="\n\n")

# %% [markdown]
# Now switch the adapter off. The base model (the model without the adapter) answers exactly as it
# did before training.

# %%
with captain_model.disable_adapter():
    again = answer(captain_model, tokenizer, questions)
print(again == answer(models.load_model("smollm2-135m-instruct"), tokenizer, questions))

# %% [markdown]
# ## Exercise
#
# `check` marks your answer in the notebook and knows common mistakes. If you are stuck, call
# `hint("00.trained-share")` in a cell of your own; each call says a little more.
# `solution("00.trained-share")` shows one way to do it.

# %%
show_task("00.trained-share")

# %%
# exercise: 00.trained-share
share_percent = ...  # in percent

# %%
check("00.trained-share", share_percent)

# %% [markdown]
# ## Claim check
#
# > "Only adapter parameters are stored in GPU memory."
#
# You will read this about LoRA on the web. Is it true? Decide before you compare it with the memory of
# this run:

# %%
base_bytes = sum(p.numel() * p.element_size() for p in model.parameters() if not p.requires_grad)
print(f"the frozen base:          {base_bytes / 2**20:8.1f} MiB")
print(f"the adapter's file:       {run.cost.adapter_bytes / 2**20:8.1f} MiB")
print(f"the most in use at once:  {run.cost.peak_bytes / 2**20:8.1f} MiB ({run.cost.peak_kind})")

# %%
claim("memory.only-adapter")

# %% [markdown]
# The course keeps a ledger of such claims, with a verdict, a figure and a source for each: in a
# terminal, `labs claims` lists them. Lesson 01 shows which bytes LoRA does save.

# %% [markdown]
# ## Knowledge check
#
# Answer on the cards. A wrong answer gets an explanation, and you can try again.

# %%
ask("00.frozen.what-changed")

# %%
ask("00.frozen.switch-off")

# %%
ask("00.frozen.file")

# %%
ask("00.held-out.why")

# %%
ask("00.forgetting.kept")

# %%
ask("00.course.rhythm")

# %%
show_progress()

# %% [markdown]
# ## The film
#
# Four and a half minutes on what comes next: where the bytes go, how the layer works, what QLoRA
# adds, and when to use which. It has no sound. Everything is on the screen and in the captions.
#
# If it does not play here, open [the film](../film/lora.webm) by itself, or read
# [the transcript](../film/transcript.md).

# %% tags=["hide-input"]
from IPython.display import HTML

HTML("""<video controls preload="metadata" width="100%" src="../film/lora.webm"><track default
kind="captions" srclang="en" label="English" src="../film/lora.vtt"></video>""")

# %% [markdown]
# ## What the course holds
#
# | lesson | what it is about |
# |---|---|
# | 00 Start here | one training, from the first prediction to the last question |
# | 01 Why PEFT | what a training step keeps in memory, and which method fits which card |
# | 02 The mathematics of LoRA | one layer by hand: count it, start it, scale it, merge it |
# | 02x Why low rank? | optional: what a low rank keeps of a real update, and what it loses |
# | 03 The knobs | rank, alpha, targets, dropout and learning rate: what each one changes |
# | 04 Fine-tuning with PEFT | the libraries' own calls, from the model to the saved adapter |
# | 04x A GPT-2 from nothing | optional: a small language model, trained on one text |
# | 05 QLoRA | a base in 4 bits: how it is stored, how it is trained |
# | 06 LoRA against QLoRA | a fair comparison, and a choice that you can defend |
# | 07 Your own data | rows of your own, from a baseline to an adapter that works elsewhere |
# | 08 The interview | questions answered with numbers of your own |
# | 09 Beyond LoRA | what later methods change, and which one is worth it when |
#
# The lessons build on each other in this order.

# %% [markdown]
# ## Summary
#
# - LoRA freezes the model and trains a small adapter. The input takes both routes, and the results
#   are added.
# - Without the adapter the model answers as before.
# - Held-out rows show whether a model learned a manner or memorized its rows.
# - A model can lose facts in training even if its score stays the same.
#
# **Sources.** Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, arXiv 2106.09685.
# Model: SmolLM2-135M-Instruct, Hugging Face, Apache-2.0. Data: written for this course, CC0.

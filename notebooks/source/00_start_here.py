# %% [markdown]
# # 00 · Start here
#
# After this lesson you can
#
# - say what this machine can do for you,
# - watch a language model change its voice after some twenty seconds of training,
# - say what was trained and what stayed frozen,
# - use the course's predictions, exercises and questions.
#
# **Time:** about 20 minutes, of which the machine works for one or two on a laptop with two
# cores. Nothing here needs a GPU, an account or a network.

# %%
from labs_lib.warm_up import load_in_background

load_in_background()

# %% [markdown]
# ## How a lesson goes
#
# Each experiment has the same four beats: **predict** a number, **run** the experiment,
# **compare**, **explain**. Predictions are never marked. They are there because a result that you
# have already seen always looks obvious.
#
# Run a cell with <kbd>Shift</kbd>+<kbd>Enter</kbd>. Where a cell says `...`, it waits for you; it
# also runs if you leave it alone.

# %%
from labs_lib import data, hardware, models
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.figures import PALETTE, new_figure, show
from labs_lib.tables import Table
from labs_lib.training import Recipe, answer, assert_learned, quiet_libraries, train
from labs_lib.widgets import ask, show_progress

# %% [markdown]
# ## What can this machine do?
#
# *Precision* is the number format that this machine trains fastest in. A CPU without special
# instructions is quickest in 32-bit floats; newer CPUs and every recent GPU prefer 16-bit
# `bfloat16`.

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
# The course brings **SmolLM2-135M-Instruct**, a chat model of the Llama architecture: 30 layers,
# 134.5 million parameters, Apache-2.0. It is small enough for a laptop and real enough to know
# capitals, colours and some chemistry.

# %%
with quiet_libraries():
    model, tokenizer = models.load("smollm2-135m-instruct")
print(f"{model.num_parameters():,} parameters")
print(models.BUNDLED_PROVENANCE)

# %% [markdown]
# That last line matters: the weights come in a file that had been compressed to about 4 bits
# each, and were turned back into 16 bits. Rounding lost then is still lost, so this copy answers
# a little worse than the one its authors released. Every comparison in the course starts from
# the same copy, so the comparisons stand.

# %% [markdown]
# Ask it something. The answer is *greedy*: at each step the most likely word, so that you and
# your neighbour get the same one.

# %%
questions = ["What is the capital of Hungary?", "What color is the sky on a clear day?"]
for question, text in zip(questions, answer(model, tokenizer, questions), strict=True):
    print(f"{question}\n    {text}")

# %% [markdown]
# ## The experiment
#
# We now show the model a few hundred questions, each answered in a sea captain's voice.

# %%
captain = data.load_set("sea-captain")
Table.of(("question", "answer to learn"), [(r.prompt, r.completion) for r in captain.train[:4]])

# %% [markdown]
# The rows fall into three parts. The model learns from `train`. It is judged on `test`, whose
# entities (countries, animals, elements) stand in no training row.

# %%
print(f"train {len(captain.train)}, validation {len(captain.validation)}, test {len(captain.test)}")

# %% [markdown]
# ### The method, in two sentences
#
# **LoRA** freezes the whole model and puts two small matrices, $A$ and $B$, beside some of its
# weight matrices; only they are trained. A frozen matrix $W$ then acts as $W + \frac{\alpha}{r}BA$,
# where $r$, the *rank*, is the narrow side of $A$ and $B$ (LoRA, arXiv 2106.09685, section 4.1).
#
# Lesson 02 derives this; today you watch it.

# %% [markdown]
# ### Predict
#
# 1. What percentage of the model's parameters will be trained?
# 2. After training, what percentage of the held-out questions will be answered in the captain's
#    voice?
#
# Replace `...` by your numbers.

# %%
predict("00.trained-percent", ...)

# %%
predict("00.in-voice-percent", ...)

# %% [markdown]
# ### Run
#
# A *recipe* holds everything that decides the result. This one ships with the course as
# `recipes/sea-captain.yaml`; open it beside this lesson and read it. Run this lesson twice and the
# finished run is read back; `reuse=False` trains anew.

# %%
recipe = Recipe.from_yaml("recipes/sea-captain.yaml")
print(f"rank {recipe.rank}, alpha {recipe.alpha:g}, on {recipe.target_modules}")
print(f"{recipe.steps} steps of {recipe.batch_size} rows, learning rate {recipe.learning_rate:g}")

# %% tags=["trains"]
run = train(recipe, reuse=True)

# %% [markdown]
# ## What came out
#
# The same questions, before and after. None of them is in the training rows.

# %%
run.examples(8)

# %% [markdown]
# Pictures of single answers mislead, so count all of the held-out rows.

# %%
run

# %%
scores = run.scores()
in_voice, fact_right = scores["in_voice"], scores["fact_right"]
compare_prediction("00.in-voice-percent", round(100 * in_voice["after"]), unit="%")

# %%
share_percent = 100 * run.trainable_parameters / run.total_parameters
compare_prediction("00.trained-percent", round(share_percent, 2), unit="%")

# %% [markdown]
# The figure puts the two scores side by side: the voice, which training should change, and the
# facts, which it should leave alone.

# %%
title = f"{in_voice['after']:.0%} of held-out answers are in voice after training"
fig, axes = new_figure(title, "", f"held-out answers (% of {len(run.after.prompts)})")
for offset, moment in ((-0.2, "before"), (0.2, "after")):
    rates = [100 * in_voice[moment], 100 * fact_right[moment]]
    colour = PALETTE[0] if moment == "before" else PALETTE[1]
    bars = axes.bar([0 + offset, 1 + offset], rates, width=0.38, label=moment, color=colour)
    axes.bar_label(bars, fmt="%.0f %%")
axes.set_xticks([0, 1], ["in the captain's voice", "fact right"])
axes.set_ylim(0, 115)
axes.legend()
show(fig, alt="Bars: share of held-out answers in voice and with the fact right, before and after.")

# %% [markdown]
# ### Explain
#
# The voice was learnt from 48 short rows of text, and it carried over to entities that
# training never named: the model learnt a *manner*, not a list.
#
# The facts did not all survive. The next cell lists answers that were right before and are wrong
# now. That is **forgetting**: the frozen weights are untouched, but the added matrices bend what
# flows through them. Lesson 06 measures it against full fine-tuning.

# %%
lost = [
    (run.after.prompts[i], run.before.answers[i], run.after.answers[i])
    for i, right in enumerate(run.before.passed["fact_right"])
    if right and not run.after.passed["fact_right"][i]
]
print(f"{fact_right['kept']:.0%} of the facts known before are still right; {len(lost)} lost")
Table.of(("question", "before", "after"), lost)

# %% [markdown]
# ### The loss
#
# While it trained you saw the *loss* fall: how surprised the model is, in nats per token, by the
# answer it should have given. Here it is again, beside the loss on rows held out for validation.

# %%
title = f"Loss fell from {run.losses[0]:.1f} to {run.losses[-1]:.1f} in {len(run.losses)} steps"
fig, axes = new_figure(title, "step", "loss (nats per token)")
steps = range(1, len(run.losses) + 1)
axes.plot(steps, run.losses, color=PALETTE[0], label="training rows, each step")
axes.plot([1, len(run.losses)], [run.before.loss, run.after.loss], "o", color=PALETTE[5])
axes.annotate("held-out, before", (1, run.before.loss), (8, 0), textcoords="offset points")
end = (len(run.losses), run.after.loss)
axes.annotate("held-out, after", end, (-70, 14), textcoords="offset points")
axes.set_ylim(bottom=0)
show(fig, alt="Training loss falling over the steps; held-out loss before and after.")

# %% [markdown]
# A run can end without an error and have learnt nothing: adapters that are frozen or cut off by
# mistake are a known accident. So wherever this course trains, it checks two things: that the
# held-out loss fell by half, and that a gradient reached every matrix of the adapter.

# %%
assert_learned(run)

# %% [markdown]
# ## Play
#
# The trained adapter is a folder of a few megabytes. Ask the fine-tuned model anything: change the
# questions and run the cell again.

# %%
from labs_lib.training import load_adapter

with quiet_libraries():
    captain_model = load_adapter(model, run.output)
for text in answer(captain_model, tokenizer, ["Who was Isaac Newton?", "How do I boil an egg?"]):
    print(text, end="\n\n")

# %% [markdown]
# Switch the adapter off and the base model is back, word for word, because it never changed.

# %%
with captain_model.disable_adapter():
    again = answer(captain_model, tokenizer, questions)
print(again == answer(models.load_model("smollm2-135m-instruct"), tokenizer, questions))

# %% [markdown]
# ## Exercise
#
# Exercises are checked in the cell. `check` knows common mistakes by name; `hint("…")` gives a
# nudge at a time, and `solution("…")` shows one way to do it. Both are yours to call.

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
# You will read this about LoRA. Hold it against this run: the model had to be in memory to
# compute anything at all. What the adapter's few parameters spare you is *gradients and optimiser
# states* for all the others.

# %%
base_bytes = sum(p.numel() * p.element_size() for p in model.parameters() if not p.requires_grad)
print(f"the frozen base:  {base_bytes / 2**20:8.1f} MiB in memory")
print(f"the adapter:      {run.cost.adapter_bytes / 2**20:8.1f} MiB on disk")
print(f"peak of the step: {run.cost.peak_bytes / 2**20:8.1f} MiB ({run.cost.peak_kind})")

# %% [markdown]
# The claim is false. Lesson 01 shows where every byte goes.

# %% [markdown]
# ## Knowledge check

# %%
ask("00.frozen.what-changed")

# %%
ask("00.frozen.switch-off")

# %%
ask("00.frozen.count")

# %%
ask("00.held-out.why")

# %%
ask("00.forgetting.seen")

# %%
ask("00.course.prediction")

# %%
ask("00.course.rhythm")

# %%
show_progress()

# %% [markdown]
# ## What the course holds
#
# | lesson | the heart of it |
# |---|---|
# | 00 Start here | this one |
# | 04 Fine-tuning with PEFT | configure, wrap, train, save, load, merge, switch adapters, other PEFT methods |
#
# `labs --help` in a terminal shows the same tools at the command line: `labs memory` says what any
# model costs to fine-tune.
#
# ## Summary
#
# - LoRA trained under two per cent of the parameters and changed how the model speaks.
# - The frozen base stays as it was; without the adapter the old voice is back.
# - Held-out rows tell learning from memorising, and a count tells more than a hand-picked answer.
# - Some facts were lost on the way: fine-tuning forgets.
#
# **Sources.** Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, arXiv 2106.09685.
# Biderman et al., *LoRA Learns Less and Forgets Less*, arXiv 2405.09673. Model: SmolLM2-135M-Instruct,
# Hugging Face, Apache-2.0. Data: written for this course, CC0.

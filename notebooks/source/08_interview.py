# %% [markdown]
# # 08 · The interview
#
# After this lesson you can
#
# - answer an interview question in two minutes: claim, reason, number, condition,
# - bind each claim to a number of your own, and say whether it was measured or computed,
# - take your own answer apart: what it needs, what it lacks, where it may slip,
# - say how many customers one card serves, and why a loss does not move,
# - judge a difference row by row,
# - get through twenty minutes of questions from all lessons, and know what to review.
#
# **Time:** about 25 minutes for you; the machine works for 1 of them on two laptop cores. Written
# answers and the mock interview come on top, as many as you like.

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
# ## An answer has four parts
#
# An interviewer hears the same sentences all day. What they remember is a number that you made
# yourself. Build each answer in this order:
#
# 1. **Claim:** the answer in one sentence.
# 2. **Reason:** the mechanism that makes it so.
# 3. **Number:** one that you measured or computed, with model, rank and tokens.
# 4. **Condition:** when it stops being true.
#
# Whoever interrupts you has then heard the claim. Two minutes hold about 300 words.

# %%
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.interview import draws_table, evidence, examine, find, questions_table
from labs_lib.ledger import claim, claims
from labs_lib.memory import forecast
from labs_lib.tables import Table
from labs_lib.widgets import ask, mock_interview, show_progress, take_apart

# %% [markdown]
# ## Three published answers
#
# These three answers come from course notes on the web. They are short and sound right.

# %%
PUBLISHED = {
    "latency": "No. During inference, we can merge the adapter weights back into the base model: "
    "W = W + BA. It becomes a standard model again.",
    "forgetting": "When fine-tuning makes the model forget its original knowledge (e.g., how to "
    "code). PEFT mitigates this because most of the original weights are frozen.",
    "lora-or-full": "LoRA achieves performance comparable to full fine-tuning for most tasks, with "
    "1% of the cost.",
}

# %% [markdown]
# Each question of the course has **key points** that an answer needs and **slips** that answers often
# make. A slip is found by a rule that compares words, clause by clause, and leaves a clause alone that
# denies what it says. No model reads your text.
#
# **Predict:** in how many of the three answers will the rules mark a clause?

# %%
predict("08.answers-marked", ...)

# %%
found = {name: examine(find(name).draw(), text) for name, text in PUBLISHED.items()}
Table.of(
    ("answer", "words", "spoken (s)", "marked"),
    [
        (name, each.words, f"{each.seconds:.0f}", ", ".join(s.words for s in each.slips) or "nothing")
        for name, each in found.items()
    ],
)

# %%
compare_prediction("08.answers-marked", sum(bool(each.slips) for each in found.values()))

# %% [markdown]
# No mark does not mean a good answer. The rules cannot see what is missing, so that part is yours:
# read the answer against the key points, and tick what it says.

# %%
take_apart("latency", PUBLISHED["latency"])

# %% [markdown]
# The card shows each point with the sentence that shares most words with it, if any does. The answer
# is right about merged adapters and stops there. It names no cost of an unmerged one, no
# case in which one would not merge, and no number. W + BA also lacks the factor alpha / r.
#
# The third answer got a mark:

# %%
take_apart("lora-or-full", PUBLISHED["lora-or-full"])

# %% [markdown]
# One percent can be the share of trained parameters. The card's evidence says what the memory does: it
# falls a few times, because the base stays.

# %% [markdown]
# ## Evidence of your own
#
# `evidence` looks up which numbers you have for a question: outcomes of your predictions, exercises
# that you solved, your runs in `run.json`, and figures that the course's forecast computes now. Where
# there is none yet, it names the lesson that makes it.

# %%
evidence("lora-or-full")

# %% [markdown]
# Say of each number what it is. A peak in `run.json` was **measured**, on your machine and with your
# model. A peak of a 7B is a **forecast**; lesson 01 compared the formula with peaks that others
# measured. An interviewer who asks "did you run that?" should get an honest answer.

# %% [markdown]
# The numbers in your text are looked up in the evidence. Here is an answer with three of them:

# %%
take_apart("memory-step", "LoRA takes 15.3 GiB. With QLoRA it is 6.3 GB, so one saves 80 %.")

# %% [markdown]
# Under *Your numbers* the card names the source of the first. The second has the wrong unit, since a GB
# is not a GiB. The third has no evidence, and an interviewer would ask for it: from 15.3 to 6.3 are
# 59 %.

# %% [markdown]
# ## What the rules see
#
# Four sentences about alpha:

# %%
# NBVAL_CHECK_OUTPUT
SENTENCES = (
    "The scaling is alpha.",
    "alpha is not the scaling; alpha/r is.",
    "Some say alpha is the scaling.",
    "With lora_alpha 16 the update counts sixteenfold.",
)
alpha = find("alpha-over-r").draw()
Table.of(
    ("sentence", "marked"),
    [(text, "yes" if examine(alpha, text).slips else "no") for text in SENTENCES],
)

# %% [markdown]
# The first is marked. The second denies it, and the third only quotes it. The last one is wrong and
# passes, because it uses words that no rule lists. A mark means *read this clause again*, and no mark
# means nothing.
#
# Now write your own answers, as you would say them. Press *Take apart*, tick the points that your text
# makes, and record the ticks. From code it is `take_apart("latency", "your answer")`.

# %%
take_apart("forgetting")

# %%
take_apart("prompt-or-tune")

# %% [markdown]
# ## Mathematics

# %%
# NBVAL_CHECK_OUTPUT
questions_table("mathematics")

# %%
take_apart("why-low-rank")

# %%
take_apart("alpha-over-r")

# %%
take_apart("b-at-zero")

# %% [markdown]
# ## Memory
#
# Memory questions come with numbers, and the numbers change from one interview to the next. A **draw**
# takes another model, card or rank; the figures are computed when it is drawn.

# %%
# NBVAL_CHECK_OUTPUT
draws_table("memory-step", range(4), ["base", "lora", "qlora", "qlora-checkpointed"])

# %% [markdown]
# A usual next question: *what changes if the texts become four times as long?*
#
# **Predict:** a QLoRA step of Llama-2-7B with rank 8 on q and v takes 6.3 GiB with 512 tokens. How many
# GiB does it take with 2,048?

# %%
predict("08.qlora-2048-gib", ...)

# %%
lengths = (512, 1024, 2048)
steps = {n: forecast("llama-2-7b", method="qlora", optimizer="adamw_fused", seq_len=n) for n in lengths}
Table.of(
    ("tokens", "peak (GiB)", "weights (GiB)", "activations (GiB)"),
    [
        (f"{n:,}", *(f"{size / 2**30:.1f}" for size in (s.peak_bytes, s.weights_bytes, s.activations_bytes)))
        for n, s in steps.items()
    ],
)

# %%
compare_prediction("08.qlora-2048-gib", round(steps[2048].peak_bytes / 2**30, 1), unit="GiB")

# %% [markdown]
# The weights stay and the activations grow with the tokens, so four times the tokens are less than
# four times the peak. Whoever knows the two parts can answer for any length.

# %%
take_apart("memory-step", seed=2)

# %%
take_apart("qlora-parts")

# %%
take_apart("which-card", seed=1)

# %%
take_apart("out-of-memory")

# %% [markdown]
# ## Serving

# %%
# NBVAL_CHECK_OUTPUT
draws_table("many-adapters", range(3))

# %%
take_apart("many-adapters")

# %%
take_apart("merge-4bit")

# %%
take_apart("adapter-file")

# %% [markdown]
# ### Exercise: adapters on one card
#
# `hint("08.adapters-on-card")` helps a little at a time, `solution("08.adapters-on-card")` shows one
# way.

# %%
show_task("08.adapters-on-card")

# %%
# exercise: 08.adapters-on-card
adapters = ...  # a whole number

# %%
check("08.adapters-on-card", adapters)

# %% [markdown]
# ## Data and evaluation
#
# These questions have no formula. Your best evidence is a row that you have read: the most frequent
# error of your last run, and what you did about it.

# %%
take_apart("data-first")

# %%
take_apart("honest-evaluation")

# %%
take_apart("qlora-quality")

# %% [markdown]
# ### Exercise: what was won and what was broken
#
# Two scores hide the rows behind them. A model that wins ten rows and breaks eight has the same score
# as one that wins two.

# %%
show_task("08.gained-lost")


# %%
# exercise: 08.gained-lost
def gained_lost(before, after):
    ...


# %%
check("08.gained-lost", gained_lost)

# %% [markdown]
# ## Training

# %%
# NBVAL_CHECK_OUTPUT
questions_table("training")

# %%
take_apart("which-targets")

# %%
take_apart("learning-rate")

# %%
take_apart("choose-rank")

# %%
take_apart("overfitting")

# %%
take_apart("variants")

# %%
take_apart("flat-loss")

# %% [markdown]
# ### Exercise: a run that does not learn
#
# "The loss does not move" is a favorite, because the answer shows whether somebody guesses or looks.
# A run writes down enough to look: what trains, which labels count, the rate, the gradient, the loss.

# %%
show_task("08.first-fault")


# %%
# exercise: 08.first-fault
def first_fault(run):
    ...


# %%
check("08.first-fault", first_fault)

# %% [markdown]
# ## The ledger of claims
#
# Every claim of the sources, and many of public courses, has an entry with a verdict, the conditions,
# a figure and its source. `claims` searches them, as `labs claims` does in a terminal.

# %%
latency = claims(text="latency")
Table.of(("claim", "said", "verdict"), [(each.id, each.claim, each.verdict) for each in latency])

# %% [markdown]
# Two claims whose verdict is *it depends*:
#
# - "QLoRA fine-tunes a 70B model on a 48 GB GPU."
# - "The merged weights are identical to base and adapter kept apart."
#
# Write the condition of each, from what you know. Then look at the two cards.

# %%
conditions = {
    "memory.seventy-b-48-gb": "",
    "merging_and_inference.merging-is-lossless": "",
}

# %%
claim("memory.seventy-b-48-gb")

# %%
claim("merging_and_inference.merging-is-lossless")

# %% [markdown]
# A card's figure is computed when it is shown, so it can serve as evidence. Quote it with its
# condition.

# %% [markdown]
# ## A mock interview
#
# Twenty minutes, questions from all banks, one at a time. The clock runs while a question is open; to
# read the key points costs no time. Speak your answer first, then write it down.
#
# `seed` draws other questions, and `lessons=["01", "05"]` keeps to what you have taken. At the end
# comes a page with what to review, the weakest lesson first. Quick questions that were wrong come back
# in `review()`.

# %%
interview = mock_interview(minutes=20, seed=1)
interview

# %% [markdown]
# From code: `interview.start()`, `interview.answer("…")`, `interview.tick([1, 3])`,
# `interview.next()`, and `interview.stop()` for the last page.

# %% [markdown]
# ## What this lesson cannot show
#
# It cannot judge your answers. Rules compare words, key points are the course's choice, and a tick is
# your own word. Read an answer to somebody who does not know the subject: where they ask back, the
# reason is missing. Most of the figures of large models are forecasts, and an interviewer may know a
# library that needs less.

# %% [markdown]
# ## Knowledge check

# %%
ask("08.answer.order")

# %%
ask("08.answer.minutes")

# %%
ask("08.answer.condition")

# %%
ask("08.answer.forgets")

# %%
ask("08.evidence.memory")

# %%
ask("08.evidence.computed")

# %%
ask("08.serve.merge")

# %%
ask("08.debug.one-batch")

# %%
ask("08.evaluate.net")

# %%
ask("08.evaluate.rules")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - Claim, reason, number, condition, in two minutes.
# - A number of your own beats a sentence that everybody says. Say whether you measured or computed it.
# - A rule finds words. Only you can say whether a point was made.
# - One base serves many adapters; merging serves one, and fast.
# - Look before you change: parameters, labels, rate, gradient, loss.
# - Compare row by row, and read what was broken.

# %% [markdown]
# **Sources.** Hu et al., LoRA, arXiv 2106.09685. Dettmers et al., QLoRA, arXiv 2305.14314. Biderman
# et al., LoRA learns less and forgets less, arXiv 2405.09673. Schulman et al., LoRA Without Regret,
# Thinking Machines, 2025. Sheng et al., S-LoRA, arXiv 2311.03285. Zhou et al., LIMA, arXiv 2305.11206.
# Liu et al., DoRA, arXiv 2402.09353. Kalajdzievski, rsLoRA, arXiv 2312.03732.

# %% [markdown]
# # 07 · Your own data
#
# After this lesson you can, with rows of your own,
#
# - look at rows before a model does, and split them so that a score means something,
# - measure what a prompt does before you train, and argue for one way or another,
# - say what a run will take, train it, stop it in time, and score it with an interval,
# - name the kinds of its errors, what it forgot, and whether it is better than a prompt,
# - hand over an adapter that works elsewhere, with a card by which others can judge it.
#
# **Time:** about 45 minutes for you; the machine works for 4 of them on two laptop cores.

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
# ## Your rows
#
# The lessons so far brought their data along. In this one you do the job from a file of rows to an
# adapter that somebody else can use, and hand it in.
#
# If you have a file of your own, name it. It may be JSONL, JSON, CSV or Parquet, and a row may have a
# `prompt` and a `completion`, or `messages`, or the fields of Alpaca or ShareGPT. Twenty rows are
# enough to try it. If you have none, take one of three starters. Their flaws were left in on purpose.

# %%
import torch
import yaml

from labs_lib import data, models, paths
from labs_lib.assessment import (
    check,
    compare_prediction,
    hint,
    predict,
    show_task,
    solution,
)
from labs_lib.tables import Table
from labs_lib.widgets import arrange, ask, show_progress

# %%
cards = {name: data.starter_card(name) for name in data.starters()}
Table.of(
    ("starter", "kind", "rows", "entity"),
    [(name, card["kind"], card["rows"], card["entity"]) for name, card in cards.items()],
)

# %% [markdown]
# An **entity** is what several rows can be about: a customer, a document, a conversation. You will
# need it for the split.
#
# A classification is trained *as text* here: the answer is the label's name. With
# `task_type="SEQ_CLS"` PEFT also trains a head with one number for each label. The head answers in one
# step and can give no answer outside of the labels, but it is no chat model any more, and a new label
# needs a new head.

# %%
MY_FILE = "appointments"  # another starter, or the path of your own file: "my_rows.csv"
ENTITY = None  # the field that names the entity in a file of your own, if there is one
MODEL = models.BUNDLED_NAME  # or the folder of a larger base that your machine holds

# %%
starter = MY_FILE in data.starters()
own = data.read_own(data.starter(MY_FILE) if starter else MY_FILE)
entity = cards[MY_FILE]["entity"] if starter else ENTITY
print(f"{own.name}: {len(own.rows)} rows", *own.notes, sep="\n")

# %%
Table.of(
    ("prompt", "completion"),
    [(row.prompt[:300], row.completion[:300]) for row in own.rows[:4]],
)

# %% [markdown]
# ## Look
#
# Read at least thirty rows yourself; no tool replaces that. A tool finds what eyes miss: rows that
# repeat, answers that contradict each other, empty ones, rows that `max_length` will cut, one label
# that is nearly always right, and personal data.
#
# **Predict:** how many percent of the rows repeat another one, letter for letter or nearly?

# %%
predict("07.repeated-percent", ...)

# %%
tokenizer = models.load_tokenizer(MODEL)
seen = data.look(own, tokenizer, max_length=256, entity=entity)
seen.figures()

# %%
repeated = {row for group in (*seen.duplicates, *seen.near_duplicates) for row in group[1:]}
compare_prediction("07.repeated-percent", round(100 * len(repeated) / len(own.rows)), unit="%")

# %%
seen.to_do()

# %% [markdown]
# Go through the advice error by error, and mend the file, not the notebook: whoever trains after you
# reads the file.
#
# - **Repeated rows** count several times in training, and they leak if one copy is tested.
# - **Contradictions** are equal prompts with different answers. They teach the model to toss a coin.
#   Often the prompt lacks what would decide: a date, a product, who asks.
# - **Personal data** can come out again, word for word, in an answer to a stranger. Replace what the
#   task does not need by a placeholder.
# - **One label on nearly all rows** makes a high score cheap.
# - **Cut rows** lose their end, and with it the end mark.

# %% [markdown]
# ## Split by entity
#
# A score is worth something only on rows that are as new to the model as those that it will meet. If
# one customer's mails are on both sides of the split, the model can know the answer from training.
#
# **Predict:** split at random by row, with a fifth of the rows in the test. How many percent of the
# test rows share their entity, or their very prompt, with a training row?

# %%
predict("07.leaking-percent", ...)

# %%
import random


def leaking_percent(train, test):
    """Return the percentage of test rows of which training has seen the question or the entity."""
    known = {str(row.prompt_messages()) for row in train}
    known |= {str(row.meta[entity]) for row in train if entity}
    leaks = [{str(row.prompt_messages()), str(row.meta.get(entity))} & known for row in test]
    return 100 * sum(map(bool, leaks)) / len(leaks)


shuffled = random.Random(0).sample(own.rows, len(own.rows))
fifth = len(shuffled) // 5
at_random = leaking_percent(shuffled[fifth:], shuffled[:fifth])
compare_prediction("07.leaking-percent", round(at_random), unit="%")

# %%
split = data.split_by_entity(own, entity, validation=0.1, test=0.2, seed=0)
print(split, *split.notes, sep="\n")
by_entity = leaking_percent((*split.train, *split.validation), split.test)
print(f"test rows that training has seen: {at_random:.0f} % at random, {by_entity:.0f} % by entity")
assert by_entity == 0, "The test would not be one."

# %% [markdown]
# `split_by_entity` also keeps near copies and the turns of one conversation together, and gives each
# split its share of every label, as far as the groups allow.
#
# The training rows change the weights. The validation rows decide: when to stop, which learning rate,
# which prompt. The test rows give the score that you report, and decide nothing. Whoever looks at them
# twice and changes the recipe in between has trained on them, slowly.
#
# A folder with three files is what a recipe takes as its `dataset`:

# %%
work = paths.runs_dir() / "lesson-07" / own.name
rows_folder = data.save_data_set(split, work / "rows")
for file in sorted(rows_folder.iterdir()):
    print(f"{file.name:20} {file.stat().st_size:>8,} bytes")

# %% [markdown]
# ### Exercise: find the leak

# %%
show_task("07.leaks")

# %%
arrange("07.leaks")

# %%
# exercise: 07.leaks
def leaks(train, test):
    ...

# %%
check("07.leaks", leaks)

# %% [markdown]
# ## A row as the model gets it
#
# The same two calls as in lesson 04: the chat template makes one text of the messages, and the prompt
# gets the label −100, which the loss skips. Look whether the whole answer is there, and its end mark.

# %%
def encode(row):
    """Tokenize one row; its prompt has the label −100."""
    prompt = tokenizer.apply_chat_template(
        row.prompt_messages(), add_generation_prompt=True, return_dict=False
    )
    full = tokenizer.apply_chat_template(row.messages(), return_dict=False)
    return full, [-100] * len(prompt) + full[len(prompt) :]


shortest = min(split.train, key=lambda row: row.characters)
data.TokenRow(tokenizer, *encode(shortest))

# %%
longest_row, longest_answer = (int(seen.lengths[f"{part}, tokens"][2]) for part in ("row", "answer"))
max_length = -(-longest_row // 32) * 32  # the next multiple of 32
print(f"longest row {longest_row} tokens, longest answer {longest_answer}")
print(f"max_length {max_length}: no row is cut")

# %% [markdown]
# Memory and time grow with the longest row. If a few rows are far longer than all others, choose a
# lower `max_length`, and know what is cut: a row loses its end, and with it the end mark.

# %% [markdown]
# ## The baseline comes first
#
# Before you train, measure what can be had without training. Three answers cost minutes:
#
# - **zero-shot:** the base model gets the prompt alone;
# - **few-shot:** it gets up to three training rows first, as earlier turns of the conversation;
# - **nearest row:** no model at all. The answer of the most similar training row is copied.
#
# If copying is right often, either the test leaks or the job is a look-up. If the few-shot prompt is
# right often, training must earn its cost elsewhere: by shorter prompts, or by a smaller model.

# %% [markdown]
# How an answer is scored depends on the rows: labels and short answers by equality, JSON by its fields
# (F1, so that one wrong field of four costs a part), texts by chrF, which counts shared runs of
# letters and works in any language. `suggested_metric` looks at the answers and proposes one. All that
# are compared get the same.
#
# **Predict:** how many percent will the best of the three reach?

# %%
predict("07.best-baseline", ...)

# %%
from labs_lib.judging import baseline, nearest_answer, scores_table, suggested_metric

metric = suggested_metric(split)
shots = max(1, min(3, 1000 // longest_row))  # every call reads them: long ones are dear
asked = dict(metric=metric, rows=32, max_new_tokens=min(longest_answer + 4, 200))
base, tokenizer = models.load(MODEL)
zero_shot = baseline(base, tokenizer, split, shots=0, **asked)
few_shot = baseline(base, tokenizer, split, shots=shots, **asked)
nearest = nearest_answer(split, metric, rows=asked["rows"])
baselines = [zero_shot, few_shot, nearest]
scores_table(baselines)

# %%
best = max(baselines, key=lambda scores: scores.mean)
compare_prediction("07.best-baseline", round(100 * best.mean), unit="%")

# %% [markdown]
# The 95 % interval says how far the score may lie from the one that all such rows would give. For
# answers that are right or wrong it is **Wilson's**; for scores in between, a **bootstrap**: the rows
# are drawn again and again, with replacement, and the middle 95 % of the means are kept.
#
# The best baseline is the one to beat, and its interval says what "beat" can mean.
#
# ### Exercise: the rows that a margin takes

# %%
show_task("07.rows-needed")

# %%
# exercise: 07.rows-needed
rows = ...  # for an interval of ±0.05 around 0.8

# %%
check("07.rows-needed", rows)

# %%
from labs_lib.judging import rows_needed, rows_to_tell_apart

low, high = best.interval()
print(f"{best.name}: {best.mean:.2f}, {low:.2f} to {high:.2f} from {len(best.values)} rows")
expected = min(max(best.mean, 0.05), 0.85)
print(f"±0.05 around {expected:.2f} takes {rows_needed(expected, 0.05)} rows")
print(f"to tell {expected + 0.1:.2f} from it takes {rows_to_tell_apart(expected, expected + 0.1)}")

# %% [markdown]
# ## Fine-tune, prompt or retrieve?
#
# - A **prompt** with examples needs no training and changes in a minute. Its examples are paid for in
#   every call.
# - **Retrieval** looks for what the answer needs and puts it into the prompt. It is the way to facts
#   that change.
# - **Fine-tuning** puts a form, a tone or a skill into the weights. It pays where many calls share it,
#   and it needs rows.
#
# They go together: an adapter may teach a model to answer in your form from what retrieval found.

# %% [markdown]
# Choose one *for these rows*, with the table above, and give your reason in a sentence or two. Name the
# figure that decides, and the one that would change your mind. Both sentences go into what you hand in.

# %%
predict("07.choice", ...)  # "fine-tune", "prompt" or "retrieve"

# %%
predict("07.because", ...)  # "…, because …"

# %%
from labs_lib.handin import said

words = said()
extra = few_shot.prompt_tokens - zero_shot.prompt_tokens
Table.of(
    ("your words", "the figures"),
    [
        (words.choice or "not chosen yet", f"best without training: {best.name}, {best.mean:.0%}"),
        (words.because or "no reason yet", f"the examples cost {extra:.0f} tokens a call"),
        ("", f"copying the nearest row: {nearest.mean:.0%}"),
        ("", f"rows to learn from: {len(split.train)}"),
    ],
)

# %% [markdown]
# Whatever you chose, we go on and train: only then can you say whether you were right.

# %% [markdown]
# ## A recipe, and what it will take
#
# A recipe is a YAML file. This one is written from the notebook; `labs train` reads the same file.
# Every eight steps the loss on the validation rows is taken. If it finds no new low twice in a row,
# the run stops. What it saves are the weights of the lowest.

# %%
from labs_lib.training import (
    Recipe,
    assert_learned,
    draw_losses,
    plan,
    quiet_libraries,
    train,
)

# %%
fields = {
    "name": "mine",
    "model": MODEL,
    "dataset": str(rows_folder),
    "rank": 16,
    "alpha": 32,
    "target_modules": "all-linear",
    "learning_rate": 1e-3,
    "steps": 40,
    "batch_size": 4,
    "max_length": max_length,
    "eval_rows": asked["rows"],
    "eval_tokens": asked["max_new_tokens"],
    "eval_every": 8,
    "stop_when_worse": 2,
}

# %%
recipe_file = work / "mine.yaml"
recipe_file.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
recipe = Recipe.from_yaml(recipe_file)
print(*(line for line in recipe_file.read_text().splitlines() if "dataset" not in line), sep="\n")

# %% [markdown]
# Before it starts, ask what it will take. `plan` loads the model and times real steps with your rows;
# the memory is lesson 01's forecast.
#
# **Predict:** how many seconds will the training itself take on your machine?

# %%
predict("07.train-seconds", ...)

# %%
planned = plan(recipe)
planned.table()

# %% [markdown]
# Too long, or too much memory? Each line is one change, what the run would then take, and what the
# change costs:

# %%
planned.changes_table()

# %% [markdown]
# ## Train
#
# In lesson 04 you made these calls yourself. Here the tool does, as it does for
# `labs train mine.yaml` in a terminal.

# %% tags=["trains"]
run = train(recipe, work / "mine", reuse=True)
assert_learned(run, share=0.9)
run

# %%
compare_prediction("07.train-seconds", round(run.cost.train_seconds), unit="s")

# %% [markdown]
# ## Overfitting, seen and stopped
#
# To see what early stopping is for, train once more with all that invites overfitting: an eighth of
# the rows, as many steps, no stop.
#
# **Predict:** which of the two runs ends with the lower *training* loss? ("mine" or "few")

# %%
predict("07.lower-training-loss", ...)

# %% tags=["trains"]
few = recipe.but(name="few", train_rows=max(4, len(split.train) // 8), stop_when_worse=0)
few_run = train(few, work / "few", reuse=True, before=run.before)

# %%
draw_losses(run)

# %%
draw_losses(few_run)

# %%
last = {each.recipe.name: sum(each.losses[-8:]) / 8 for each in (run, few_run)}
compare_prediction("07.lower-training-loss", min(last, key=last.get))

# %% [markdown]
# ### A common belief
#
# > "A lower training loss means a better model."

# %%
for each in (run, few_run):
    name = each.recipe.name
    print(f"{name:5} training loss {last[name]:.2f}, held-out loss {each.after.loss:.2f}")
agree = (last["few"] < last["mine"]) == (few_run.after.loss < run.after.loss)
print("the two losses rank the runs alike:", agree)

# %% [markdown]
# The training loss falls as long as rows can be learned by heart. Only rows that were not trained on
# tell when that begins. Where the two losses rank the runs alike, the fewer rows were still enough, or
# the steps too few.

# %% [markdown]
# ## The score, with its interval
#
# **Predict:** is the adapter better than the best baseline beyond noise? ("better", "worse" or
# "not shown")

# %%
predict("07.better", ...)

# %%
from labs_lib.judging import (
    compare_runs,
    compare_scores,
    errors_by_kind,
    forgetting,
    run_scores,
    score_answers,
    wilson_interval,
)

score = run_scores(run, metric)
scores_table([*baselines, score])

# %%
found = compare_scores(best, score)
found.table()

# %%
shown = "not shown" if not found.beyond_noise else "better" if found.difference > 0 else "worse"
compare_prediction("07.better", shown)

# %% [markdown]
# The two were compared **row by row**. A row that both have right, or both wrong, says nothing about
# which is better; a hard row is hard for both. So the interval of the difference is narrower than the
# two intervals suggest.
#
# It tells how far other *rows* could have changed the result. Another seed of the training is a second
# source of chance (lesson 06).

# %% [markdown]
# ### Exercise: two models on the same rows
#
# The oldest such test needs no library.

# %%
show_task("07.paired")

# %%
# exercise: 07.paired
def paired(first, second):
    ...

# %%
check("07.paired", paired)

# %% [markdown]
# ## Errors by kind
#
# A score says how many answers are wrong. What to do next depends on how they are wrong. A wrong
# format asks for more steps, a wrong field for rows with such a field, a cut answer for more tokens,
# one label taken for another for rows that tell the two apart. More rows of the kind that is right
# already change nothing.

# %%
tested = split.test[: len(score.values)]
kinds = errors_by_kind(
    tested, score.answers, tokenizer=tokenizer, max_new_tokens=asked["max_new_tokens"]
)
kinds.table()

# %%
kinds.examples()

# %% [markdown]
# Read the wrong ones. Now and then the model is right and the row is wrong: then mend the row, and
# train again.

# %% [markdown]
# ## What it forgot
#
# The adapter changes every answer of the model, also where your rows have nothing to say. So ask what
# it knew before, and take its loss on ordinary English.

# %%
forgotten = forgetting(run, questions=24)
forgotten.table()

# %%
import math

change = forgotten.text_loss_after - forgotten.text_loss_before
print(f"{change:+.2f} nats: the right next word is {math.exp(-change):.2f} times as probable")

# %% [markdown]
# If your adapter serves one task alone, this may not matter. If it must also chat, it does: mix
# ordinary rows into your own, train fewer steps, or switch the adapter off for other questions.

# %% [markdown]
# ## Two runs
#
# Every change of a recipe is a comparison of two runs on the same rows. Are all rows better than an
# eighth of them?

# %%
compare_runs(few_run, run, metric).table()

# %% [markdown]
# If no difference is shown, say so. More rows in the *test* would show smaller differences; more rows
# in training would make larger ones.

# %% [markdown]
# ## Out of the notebook: the card
#
# Others judge your adapter by its **model card**, in Hugging Face's format. Base, recipe, rows, scores
# and versions are filled in from `run.json`. What only you know, you write. Replace these sentences by
# your own:

# %%
from labs_lib.export import export_adapter, export_gguf, export_merged, unwritten, write_card

low, high = score.interval()
my_sentences = {
    "use": "A lesson's adapter: it does with prompts like those of its rows what the rows do.",
    "not_for": "Any use in which a wrong answer does harm.",
    "limitations": f"By {metric} it has {score.mean:.2f} ({low:.2f} to {high:.2f}) on "
    f"{len(score.values)} rows; {best.name}, without training, has {best.mean:.2f}.",
    "licence": "apache-2.0",
    "data_licence": cards[MY_FILE]["licence"] if starter else "not published",
    "language": "en",
}

# %%
right = run.after.passed["exact_match"]
exact = score_answers(best.name, split, tested, best.answers, "exact").mean
card_file = write_card(
    run.folder,
    intervals={"exact_match": wilson_interval(sum(right), len(right))},
    baseline={"exact_match": exact},
    replace=True,
    **my_sentences,
)
print("to be written:", unwritten(card_file) or "nothing")
print(card_file.read_text(encoding="utf-8")[:1100])

# %% [markdown]
# ## Three files for three readers
#
# - **The adapter**, for whoever has the base and PEFT.
# - **The merged model**, for whoever has transformers alone.
# - **A GGUF**, one file, for llama.cpp and the programs built on it, on a laptop.
#
# `labs export` writes them from a terminal. Each is another form of the same weights, so each must
# give the same logits, up to rounding.
#
# **Predict:** how large is the largest difference of a logit between the notebook's model and the GGUF
# in 16 bits, as a percentage of the logits' spread?

# %%
predict("07.gguf-percent", ...)

# %%
import shutil

out = work / "export"
shutil.rmtree(out, ignore_errors=True)
adapter_folder = export_adapter(run.folder, out / "adapter")
merged_folder = export_merged(run.folder, out / "merged")
gguf_file = export_gguf(run.folder, out / "gguf", type="f16")
for file in (adapter_folder / "adapter_model.safetensors", merged_folder, gguf_file):
    files = [file] if file.is_file() else list(file.iterdir())
    print(f"{sum(each.stat().st_size for each in files) / 1e6:8.1f} MB  {file.name}")

# %% [markdown]
# Programs that know nothing of this course read them:

# %%
from peft import PeftModel
from transformers import AutoModelForCausalLM

here = {"dtype": torch.float32, "local_files_only": True}
base_folder = models.locate(MODEL).location
with quiet_libraries():  # without their progress bars
    plain = AutoModelForCausalLM.from_pretrained(base_folder, **here)
    with_adapter = PeftModel.from_pretrained(plain, adapter_folder)
    merged = AutoModelForCausalLM.from_pretrained(merged_folder, **here)
    gguf = AutoModelForCausalLM.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name, **here)

# %%
text = tokenizer.apply_chat_template(
    tested[0].prompt_messages(), add_generation_prompt=True, tokenize=False
)
ids = tokenizer(text, return_tensors="pt").input_ids
with torch.no_grad():
    logits = {
        name: model.eval()(ids).logits[0, -1]
        for name, model in [("adapter", with_adapter), ("merged", merged), ("GGUF", gguf)]
    }
spread = logits["adapter"].std()
off = {n: ((each - logits["adapter"]).abs().max() / spread).item() for n, each in logits.items()}
same = {n: bool(each.argmax() == logits["adapter"].argmax()) for n, each in logits.items()}
Table.of(
    ("file", "largest difference (% of the spread)", "same next token"),
    [(name, f"{100 * off[name]:.2f}", same[name]) for name in off],
)

# %%
compare_prediction("07.gguf-percent", round(100 * off["GGUF"], 2), unit="%")

# %% [markdown]
# Merged and GGUF hold 16-bit numbers, so they round what the adapter adds. In 8 or 4 bits they round
# more: then score the rows again before you hand the file on.

# %% [markdown]
# ## Serve it
#
# `labs serve RUN` answers on this machine alone, at the address that OpenAI's client and many other
# programs can ask. The client chooses an adapter by its name; two adapters share one base.

# %%
from openai import OpenAI

from labs_lib.export import serve

request = {"messages": tested[0].prompt_messages(), "max_tokens": 40, "temperature": 0}
replies = {}
with serve([run.folder, few_run.folder]) as served:
    client = OpenAI(base_url=served.url, api_key="none")
    for name in ("mine", "few"):
        reply = client.chat.completions.create(model=name, **request)
        replies[name] = reply.choices[0].message.content
Table.of(("model", "reply"), list(replies.items()))

# %% [markdown]
# ## Hand it in
#
# State what you conclude: is the adapter better than the best way without training? Then say in a
# sentence or two what follows from that for your rows.

# %%
predict("07.conclusion", ...)  # "better", "worse" or "not shown"

# %%
predict("07.in-words", ...)

# %%
from labs_lib.handin import check_handin, write_handin

folder = write_handin(
    work / "handin", run, baselines, score.interval(), metric=metric, entity=entity
)
check_handin(folder)

# %% [markdown]
# The rubric is checked by code alone, from the files in the folder. It computes each score anew from
# the answers, and it does not ask for a good result: an adapter that is no better than a prompt meets
# it, if you say so.
#
# What no code can judge is your reason. Give the folder to somebody, and let them argue: it holds all
# that they need to repeat your scores without you.

# %% [markdown]
# ## What this lesson cannot show
#
# A model of 135 million parameters learns forms and labels, and knows little. The conclusion holds for
# this base, these rows and one seed. A better base may do with a prompt what this one had to be trained
# for: set `MODEL` to the one that you would use, and begin with the baselines.

# %% [markdown]
# ## Knowledge check

# %%
ask("07.data.entity")

# %%
ask("07.data.near-copies")

# %%
ask("07.data.majority")

# %%
ask("07.baseline.argue")

# %%
ask("07.baseline.reasons")

# %%
ask("07.score.half")

# %%
ask("07.score.all-right")

# %%
ask("07.score.paired")

# %%
ask("07.curve.keep")

# %%
ask("07.curve.chosen-on-test")

# %%
ask("07.curve.forgot")

# %%
ask("07.deliver.card")

# %%
ask("07.deliver.elsewhere")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - Look at the rows, mend them, and split them by what they are about.
# - Baseline first. The best way without training is the one to beat, row by row, with an interval.
# - Validation rows stop the run; test rows are scored once and decide nothing.
# - A score without its rows, its interval and its baseline cannot be judged.
# - An adapter is done when other programs answer as the notebook did, and a card says what it is for.
#
# **Sources.** Wilson, JASA 22 (1927). Efron, Annals of Statistics 7 (1979). McNemar, Psychometrika 12
# (1947). Mitchell et al., model cards, arXiv 1810.03993. Documentation of transformers, PEFT 0.21,
# huggingface_hub and llama.cpp's GGUF.

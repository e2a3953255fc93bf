# %% [markdown]
# # 04x · A GPT-2 from nothing
#
# After this lesson you can
#
# - make a tokenizer of your own from a text,
# - train a small GPT-2 on that text, and say whether it writes or recites,
# - add LoRA to a GPT-2, whose matrices are stored the other way round.
#
# **Time:** about 10 minutes for you; the machine works for 2 of them on two laptop cores.

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
# ## A text
#
# This lesson is optional. A common exercise is to fine-tune `gpt2` on a small text of your own. Here
# you also make the model: its tokenizer, its weights, and then the adapter. The text was written for
# this course and tells of a village by the sea in short sentences.

# %%
import torch

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
from labs_lib.widgets import ask, show_progress

paragraphs = data.load_text("harbor")
train_text, held_out_text = "\n".join(paragraphs[:-6]), "\n".join(paragraphs[-6:])
print(len(train_text.split()), "words to train on,", len(held_out_text.split()), "held out\n")
print(paragraphs[1])

# %% [markdown]
# ## A tokenizer
#
# **Byte-pair encoding** starts with the 256 bytes and joins the most frequent neighbors, again and
# again, until the vocabulary is full. GPT-2's tokenizer is of this kind.

# %%
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
bpe = Tokenizer(BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
bpe.train_from_iterator(
    [train_text],
    trainers.BpeTrainer(
        vocab_size=800, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    ),
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=END)

# %%
# NBVAL_CHECK_OUTPUT
print(len(tokenizer), "tokens in the vocabulary")
print(tokenizer.tokenize("The old fisherman looked at the lighthouse. Zürich!"))

# %% [markdown]
# Frequent words are one token (`Ġ` is a space). Rare words fall into pieces, and a letter that the
# text does not have into bytes.
#
# ## A model
#
# **Predict:** before training every token is about equally likely. What will the loss be, in nats per
# token?

# %%
predict("04x.first-loss", ...)

# %%
from transformers import GPT2Config, GPT2LMHeadModel

torch.manual_seed(0)
size = {"n_layer": 4, "n_head": 4, "n_embd": 256, "n_positions": 64}
ends = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **size, **ends))
print(f"{gpt2.num_parameters():,} parameters; gpt2 has 124,439,808")


def loss_on(model, text):
    """Return the mean loss over a text in windows of 64 tokens (nats per token)."""
    ids = tokenizer(text, return_tensors="pt").input_ids.to(model.device)
    with torch.no_grad():
        windows = [window for window in ids.split(64, dim=1) if window.shape[1] > 1]
        losses = [model(input_ids=window, labels=window).loss for window in windows]
    return torch.stack(losses).mean().item()

# %%
first_loss = loss_on(gpt2, held_out_text)
compare_prediction("04x.first-loss", round(first_loss, 2), unit="nats")

# %%
def write(model, beginning):
    """Let the model go on for 40 tokens, each drawn from the 20 likeliest."""
    torch.manual_seed(0)
    inputs = tokenizer(beginning, return_tensors="pt", return_token_type_ids=False).to(model.device)
    options = {"do_sample": True, "temperature": 0.7, "top_k": 20, "max_new_tokens": 40}
    return tokenizer.decode(model.generate(**inputs, **options)[0], skip_special_tokens=True)


print(write(gpt2.eval(), "One morning"))

# %% [markdown]
# ## Train it
#
# There is no prompt to mask: every token is a label. The text is cut into windows of 64 tokens that
# overlap.

# %% tags=["trains"]
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

runs = paths.runs_dir() / "lesson-04x"
here = {"per_device_train_batch_size": 16, "use_cpu": not torch.cuda.is_available(),
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True}  # fmt: skip


def train(model, text, **arguments):
    """Train on windows of a text with the library's own Trainer."""
    ids = tokenizer(text).input_ids
    windows = [{"input_ids": ids[start : start + 64]} for start in range(0, len(ids) - 64, 8)]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    args = TrainingArguments(str(runs), lr_scheduler_type="cosine", **arguments, **here)
    Trainer(model, args, train_dataset=windows, data_collator=collator).train()
    return model.eval()


train(gpt2, train_text, max_steps=250, learning_rate=2e-3, warmup_steps=20, logging_steps=50)
print(write(gpt2, "One morning"))

# %% [markdown]
# ## Does it write, or recite?
#
# **Predict:** what is the longest run of words in its sample that is in the training text word for
# word?

# %%
predict("04x.copied-words", ...)

# %%
beginnings = ("One morning", "The old fisherman", "Anna looked at", "The fox")
samples = {beginning: write(gpt2, beginning) for beginning in beginnings}
copies = {text: data.longest_copy(text, train_text) for text in samples.values()}
Table.of(("it writes", "longest copy"), list(copies.items()))

# %%
compare_prediction("04x.copied-words", max(len(copy.split()) for copy in copies.values()))

# %%
fitted, held_out = loss_on(gpt2, train_text), loss_on(gpt2, held_out_text)
assert fitted < first_loss / 2, f"Nothing learned: {first_loss:.2f} → {fitted:.2f}"
Table.of(
    ("text", "loss before", "loss after"),
    [("training", "", f"{fitted:.2f}"), ("held out", f"{first_loss:.2f}", f"{held_out:.2f}")],
)

# %% [markdown]
# The fragments can be read, and the first table shows why: the best of them are copies. The second
# table says the same in numbers. The model knows its training text by heart; on new paragraphs of the
# same author its loss is about as high as before training.
#
# So it has learned this one text, not English. It knows no facts and cannot follow an instruction. A
# larger model would not help; more text would. GPT-2 itself was trained on 40 GB (Radford et al.,
# section 2.1), more than three million times as much as here.

# %% [markdown]
# ## Add LoRA
#
# GPT-2 keeps its matrices in `Conv1D` layers, whose weight has the shape (d_in, d_out): the transpose
# of `Linear`'s. `fan_in_fan_out=True` tells PEFT so. One layer, `c_attn`, computes query, key and
# value together.
#
# If `gpt2` is in reach, the next cell takes it; if not, it takes the model that you have just trained.

# %%
from peft import LoraConfig, get_peft_model

try:
    base, tokenizer = models.load("gpt2", dtype="fp32")
except ValueError:  # no hub and no local copy
    base = gpt2
print(f"{base.num_parameters():,} parameters, vocabulary {len(tokenizer):,}")
lora_config = LoraConfig(
    r=8, lora_alpha=32, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM"
)
tuned = get_peft_model(base, lora_config)
layer = tuned.base_model.model.transformer.h[0].attn.c_attn
print("weight", tuple(layer.base_layer.weight.shape))
print("lora_A", tuple(layer.lora_A["default"].weight.shape))
print("lora_B", tuple(layer.lora_B["default"].weight.shape))

# %% [markdown]
# The second text is a ship's log: the same sea, another manner.

# %% tags=["trains"]
log = data.load_text("log")
log_text = "\n".join(log[:-3])
before = loss_on(tuned, "\n".join(log[-3:]))
train(tuned, log_text, max_steps=60, learning_rate=5e-3, logging_steps=20)
after = loss_on(tuned, "\n".join(log[-3:]))
assert after < before, f"Nothing learned: {before:.2f} → {after:.2f}"
print(f"held-out log entries: {before:.2f} → {after:.2f} nats per token")

# %%
with tuned.disable_adapter():
    without = write(tuned, "Day")
Table.of(("adapter", "it writes"), [("off", without), ("on", write(tuned, "Day"))])

# %% [markdown]
# The loss on the log fell, and the adapter took up the log's words. But on the model that you trained
# here they make no sentences: LoRA builds on what its base has learned, and this base has learned one
# text. With the adapter off, the village is back unchanged.

# %% [markdown]
# ## Exercise

# %%
show_task("04x.adapter-count")

# %%
# exercise: 04x.adapter-count
trained = ...  # layers × (…)

# %%
check("04x.adapter-count", trained)

# %% [markdown]
# ## Knowledge check

# %%
ask("04x.tokenizer.unknown")

# %%
ask("04x.text.first-loss")

# %%
ask("04x.text.recites")

# %%
ask("04x.text.per-token")

# %%
ask("04x.lora.fan-in-fan-out")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - A tokenizer, a configuration and a text make a language model; little text makes one that recites.
# - GPT-2 needs `target_modules=["c_attn"]` and `fan_in_fan_out=True`.
#
# **Sources.** Radford et al., *Language Models are Unsupervised Multitask Learners* (2019). Hu et al.,
# LoRA, arXiv 2106.09685. Documentation of tokenizers, transformers and PEFT 0.21.

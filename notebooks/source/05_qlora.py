# %% [markdown]
# # 05 · QLoRA
#
# After this lesson you can
#
# - say which bytes a 4-bit base saves, and which it does not,
# - explain NF4, quantize a block by hand, and count the bits of a weight,
# - load a model in 4 bits, train it, save its adapter and load it again with the libraries alone,
# - say how each tensor of a training step is stored and whether it gets a gradient,
# - say when a paged optimizer helps, and into which base to merge an adapter.
#
# **Time:** about 50 minutes for you; the machine works for 2 of them on two laptop cores.

# %%
from labs_lib.warm_up import load_in_background
from labs_lib.widgets import review

load_in_background()

# %% [markdown]
# ## Before you start
#
# A few questions from earlier lessons that are due; skip them if you like.

# %%
review()

# %% [markdown]
# ## The memory that LoRA leaves
#
# LoRA makes gradients and optimizer states small. The frozen base stays in memory at its full size,
# because every forward and backward pass uses every weight.
#
# **Predict:** LoRA (r = 8 on `q_proj` and `v_proj`) trains Llama-2-7B in bf16 on one row of 512
# tokens. What share of the peak memory is the frozen base, in percent?

# %%
import bitsandbytes
import torch

from labs_lib import data, memory, models, paths
from labs_lib import quantization as quant
from labs_lib.assessment import check, compare_prediction, hint, predict, show_task, solution
from labs_lib.ledger import claim
from labs_lib.tables import Table
from labs_lib.training import LiveBytes, Recipe, assert_learned, quiet_libraries, train
from labs_lib.widgets import NF4Explorer, NF4Line, QLoRAStep, arrange, ask, show_progress

# %%
predict("05.base-share", ...)

# %%
costs = {
    method: memory.forecast("llama-2-7b", method=method, seq_len=512)
    for method in ("full", "lora", "qlora")
}
parts = list(costs["full"].at_peak)
Table.of(
    ("method", *(f"{part} (GB)" for part in parts), "peak (GB)"),
    [
        (method, *(f"{cost.at_peak[p] / 1e9:.2f}" for p in parts), f"{cost.peak_bytes / 1e9:.2f}")
        for method, cost in costs.items()
    ],
)

# %%
base_share = costs["lora"].weights_bytes / costs["lora"].peak_bytes
compare_prediction("05.base-share", round(100 * base_share), unit="%")

# %% [markdown]
# These figures are forecasts by formula; lesson 01 checked such forecasts against real steps. (In
# full fine-tuning the peak comes in the optimizer's step, when the activations are already freed.)
#
# **QLoRA** (arXiv 2305.14314) stores the frozen base in 4 bits per weight. It consists of three
# ideas:
#
# - **NF4**, a 4-bit code for weights,
# - **double quantization**, which shrinks what NF4 has to store besides the codes,
# - **paged optimizers**, which move optimizer states to main memory when the card is full.
#
# We take them in this order, and train a 4-bit model before we come to the third.

# %% [markdown]
# ## NF4: sixteen values for a bell curve
#
# To **quantize** a weight is to replace it by the nearest value of a short list, the *code book*.
# Four bits can number sixteen values. Which sixteen?
#
# The weights of a trained layer are nearly normally distributed: many are small, few are large.
# Evenly spaced values would spend half of the list on the few large ones. NF4 ("normal float, 4
# bits") takes equal steps of **probability** instead of equal distances.
#
# **Predict:** each value represents all weights that are nearest to it. Where do these ranges come out
# wider: "near zero" or "near the ends"?

# %%
predict("05.wider-ranges", ...)

# %% [markdown]
# The instrument cuts the bell curve at the sixteen values. The slices on one side of zero have equal
# shares of the weights. Drag the blue weight, or move it with the arrow keys: it snaps to the nearest
# value, and the shaded range is what snaps there too. Then compare with equal distances.

# %%
# NBVAL_CHECK_OUTPUT
NF4Line()

# %%
gaps = quant.nf4_codebook().diff()
wider = "near the ends" if gaps[-1] > gaps[8] else "near zero"
compare_prediction("05.wider-ranges", wider)

# %% [markdown]
# The bell curve never ends, so the list has to stop somewhere: at the probability `NF4_OUTERMOST`,
# which the authors chose. From there eight equal steps lead down to the median on the positive
# side, and seven on the negative side. `ndtri` turns a probability into the value below which that
# share of all weights lies.

# %%
# NBVAL_CHECK_OUTPUT
outermost = quant.codebooks.NF4_OUTERMOST
positive = torch.linspace(outermost, 0.5, 8 + 1)[:-1]
negative = torch.linspace(outermost, 0.5, 7 + 1)[:-1]
above = torch.special.ndtri(positive.double()).float()
below = -torch.special.ndtri(negative.double()).float()
print("probabilities:", [round(p, 3) for p in positive.tolist()])
print("their values: ", [round(q, 3) for q in above.tolist()])

# %% [markdown]
# The median is left out on both sides, and zero is added once. It must be exact, because padding
# and pruned weights are zero and have to stay zero. Fifteen codes remain, an odd number, so one side
# gets one more. Finally everything is divided by the largest value, so that the list ends at 1. Is
# this the table inside bitsandbytes?

# %%
# NBVAL_CHECK_OUTPUT
values = torch.cat([below, torch.zeros(1), above]).sort().values
book = values / values.max()
table = bitsandbytes.functional.get_4bit_type("nf4", device="cpu")
print([round(v, 4) for v in book.tolist()])
print("equal to bitsandbytes, bit for bit:", torch.equal(book, table))

# %% [markdown]
# ## One block of weights
#
# The code book runs from −1 to 1, but weights do not. So a matrix is cut into **blocks** of 64
# neighbors, and each block is divided by its largest absolute value, its **absmax**. The absmax is
# stored with the block as its scale.
#
# Here is a small block of eight. Each weight is divided, replaced by the nearest value, and
# multiplied by the scale again.

# %%
# NBVAL_CHECK_OUTPUT
eight = torch.tensor([0.12, -0.50, 0.03, 0.0, 0.31, -0.07, 0.44, -0.26])
absmax = eight.abs().max()
codes = (eight.unsqueeze(1) / absmax - book).abs().argmin(dim=1)
restored = book[codes] * absmax
columns = (eight, eight / absmax, codes, book[codes], restored, restored - eight)
Table.of(
    ("weight", "÷ absmax", "code", "its value", "restored", "error"),
    [[f"{float(x):.4g}" for x in row] for row in zip(*columns, strict=True)],
)

# %% [markdown]
# The largest weight and the zero come back exactly; the others move to a neighbor. Two codes share
# a byte, so the eight weights take four bytes. bitsandbytes does the same:

# %%
# NBVAL_CHECK_OUTPUT
packed = codes[::2] * 16 + codes[1::2]
theirs, state = bitsandbytes.functional.quantize_4bit(eight, blocksize=64, quant_type="nf4")
back = bitsandbytes.functional.dequantize_4bit(theirs, state)
print("our bytes:         ", packed.tolist())
print("bitsandbytes' bytes:", theirs.flatten().tolist())
print("same scale: ", state.absmax.item() == absmax.item())
print("same values:", torch.equal(back.flatten(), restored))

# %% [markdown]
# ### How large is the error?
#
# Now a real layer. There are two other 4-bit types to compare with: **fp4**, a tiny floating-point
# number, and **int4**, sixteen evenly spaced values. **Predict:** which of the three has the
# smallest error on the weights of this layer?

# %%
predict("05.best-type", ...)  # "nf4", "fp4" or "int4"

# %%
with quiet_libraries():
    base = models.load_model("smollm2-135m-instruct", dtype="bf16", device="cpu")
weight = base.model.layers[15].mlp.down_proj.weight.detach().float()
normal = torch.randn(576, 1536, generator=torch.Generator().manual_seed(0))
error = {
    name: [quant.quantization_error(w, name).relative for w in (weight, normal)]
    for name in ("nf4", "fp4", "int4")
}
Table.of(
    ("type", "error on this layer", "error on normal random numbers"),
    [(name, f"{real:.2%}", f"{drawn:.2%}") for name, (real, drawn) in error.items()],
)

# %%
best = min(error, key=lambda name: error[name][0])
compare_prediction("05.best-type", best)

# %% [markdown]
# The error is the root mean square of the differences, as a share of the weights' own.
#
# Be careful with the first column. The file of this small model was in a 4-bit format before, with
# evenly spaced values, and was restored to 16 bits for the course. That may favor int4. The second
# column has no such history. And a small error in the weights does not prove good answers: lesson
# 06 measures those.

# %% [markdown]
# ### Why blocks are small
#
# One large weight (an *outlier*) makes the absmax of its block large and squeezes all its
# neighbors towards zero. We set one weight to 50 standard deviations and vary the block size.

# %%
effects = quant.outlier_effect(weight, 50, (32, 64, 256, 1024, 4096, 65536))
Table.of(
    ("block size", "error without", "error with one outlier", "bits per weight"),
    [
        (f"{size:,}", f"{plain:.2%}", f"{hit:.2%}", f"{quant.bits_per_parameter(size):.3f}")
        for size, plain, hit in effects
    ],
)

# %% [markdown]
# Small blocks are accurate but need more scales; large blocks are cheap but sensitive to outliers.
# QLoRA uses 64. The instrument before showed one weight; this one shows a layer's. Change the type, the
# block size and the outlier. Watch which codes are used and what a weight costs.

# %%
NF4Explorer(weights=weight)

# %% [markdown]
# ## Double quantization
#
# The absmax of a block is a 32-bit number. Shared by 64 weights, it adds half a bit to each.
# **Double quantization** quantizes the scales too: it subtracts their mean, stores the rest in 8
# bits, and keeps one 32-bit scale for each 256 of them.

# %%
# NBVAL_CHECK_OUTPUT
single = 4 + 32 / 64
double = 4 + 8 / 64 + 32 / (64 * 256)
print(f"NF4: {single:.3f} bits per weight; with double quantization: {double:.3f}")

# %% [markdown]
# Does the memory that bitsandbytes allocates agree? And what does the second quantization cost in
# accuracy?

# %%
rows = []
for twice in (False, True):
    codes, state = bitsandbytes.functional.quantize_4bit(
        weight, blocksize=64, quant_type="nf4", compress_statistics=twice
    )
    scales = [state.absmax, state.state2.absmax, state.offset] if twice else [state.absmax]
    bits = 8 * (codes.nbytes + sum(part.nbytes for part in scales)) / weight.numel()
    lost = quant.quantization_error(weight, double_quant=twice).relative
    rows.append((twice, f"{codes.nbytes:,}", f"{bits:.3f}", f"{lost:.3%}"))
Table.of(("double quantization", "bytes of codes", "bits per weight", "error"), rows)

# %% [markdown]
# ### Exercises
#
# `hint("05.block-of-32")` gives one hint at a time, `solution("05.block-of-32")` the solution.

# %%
show_task("05.block-of-32")

# %%
# exercise: 05.block-of-32
bits = ...  # per weight, scales included

# %%
check("05.block-of-32", bits)

# %%
show_task("05.quantize-blocks")

# %%
arrange("05.quantize-blocks")


# %%
# exercise: 05.quantize-blocks
def quantize_blocks(values, book, block_size):
    ...


# %%
check("05.quantize-blocks", quantize_blocks)

# %% [markdown]
# ## QLoRA in the libraries' own calls
#
# Configure → load → prepare → wrap → train → save → load again. All of these are calls of
# transformers, PEFT and TRL, and you can write them the same way tomorrow. From `labs_lib` come only
# the model's folder, the rows, and a few looks inside.
#
# ### Configure
#
# `BitsAndBytesConfig` says how the weights are stored and in which precision they are multiplied.
# First look at what you get if you ask for 4 bits and nothing else:

# %%
# NBVAL_CHECK_OUTPUT
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

default = BitsAndBytesConfig(load_in_4bit=True)
print("type:               ", default.bnb_4bit_quant_type)
print("double quantization:", default.bnb_4bit_use_double_quant)
print("compute dtype:      ", default.bnb_4bit_compute_dtype)

# %% [markdown]
# This runs without a warning, but it is not QLoRA. fp4 has the larger error, as you saw; the scales
# stay in 32 bits; and a GPU multiplies much more slowly in fp32 than in bf16. QLoRA sets all three:

# %%
bnb_config = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)

# %% [markdown]
# ### Load
#
# `from_pretrained` reads the 16-bit file and quantizes each linear layer while it loads. We pass it
# the folder of the course's model; the name of a model on a hub works the same way.

# %%
folder = models.prepare_bundled()
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(
    folder, quantization_config=bnb_config, dtype=torch.bfloat16
)

# %%
four_bit, other_bytes = quant.model_stored_bytes(model)
print(f"16 bits: {sum(part.nbytes for part in base.parameters()) / 1e6:.0f} MB")
print(f" 4 bits: {(four_bit.total_bytes + other_bytes) / 1e6:.0f} MB, of which")
print(f"         {four_bit.total_bytes / 1e6:.0f} MB are {four_bit.parameters:,} 4-bit weights")
print(f"         {other_bytes / 1e6:.0f} MB stayed in 16 bits: the embedding and the norms")

# %% [markdown]
# One precaution. On some CPUs (those with AVX512-BF16 instructions) bitsandbytes rewrites a 4-bit
# weight when the model first answers in evaluation mode. The new format is faster for answering,
# but no gradient passes through it. Whoever asks the model first and trains it afterwards trains
# almost nothing, and no error says so. Three lines prevent it; on other machines they change nothing.
# (`labs_lib` takes the same precaution for every model that it loads.)

# %%
for layer in model.modules():
    if isinstance(layer, bitsandbytes.nn.Linear4bit):
        layer.support_avx512bf16_for_cpu = False

# %% [markdown]
# So now we may ask before we train. The task is the one of lesson 00: speak like a sea captain.


# %%
def reply(model, question="What is the capital of Hungary?"):
    """Return the model's answer to one question."""
    chat = [{"role": "user", "content": question}]
    inputs = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(model.device)
    model.eval()
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    return tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


print(reply(model))

# %% [markdown]
# ### Prepare
#
# `prepare_model_for_kbit_training` freezes the model and makes it numerically safer. The table
# compares its state before and after.

# %%
# NBVAL_CHECK_OUTPUT
before = quant.readiness(model)
model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
after = quant.readiness(model)
Table.of(("part", "before", "after"), [(key, before[key], after[key]) for key in before])

# %% [markdown]
# The 4-bit weights are untouched. Everything that stayed in 16 bits is now in 32: the norms, for
# stability, and the embedding, which in a small model takes back much of what 4 bits saved.
#
# By default the call also switches **gradient checkpointing** on: activations are computed a second
# time instead of kept. For a 7B model on a small card you want that. Here the activations are small
# and the second computation would only cost time.

# %% [markdown]
# ### Wrap
#
# From here on it is LoRA, as in lesson 04. The QLoRA paper adapts **all** linear layers; with fewer
# of them it did not reach full fine-tuning.
#
# Run the next cell once: `get_peft_model` changes `model` itself, and a second run would adapt the
# adapters. To wrap again, run this part from **Load** on.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
lora_config = LoraConfig(
    r=16, lora_alpha=32, target_modules="all-linear", lora_dropout=0.05, task_type="CAUSAL_LM"
)
peft_model = get_peft_model(model, lora_config)
peft_model.print_trainable_parameters()

# %% [markdown]
# One adapted layer, and everything it stores:

# %%
# NBVAL_CHECK_OUTPUT
layer = peft_model.base_model.model.model.layers[0].self_attn.q_proj
state = layer.base_layer.weight.quant_state
stored = [*layer.named_parameters(), ("absmax of each block", state.absmax)]
stored.append(("scale of 256 absmax", state.state2.absmax))
Table.of(
    ("tensor", "shape", "dtype", "trained"),
    [(name, tuple(part.shape), part.dtype, part.requires_grad) for name, part in stored],
)

# %% [markdown]
# ### One step, watched
#
# `quant.Watch` prints what PyTorch computes: products, restored weights, changes of dtype.
# **Predict:** in one forward and one backward pass of this layer, how often is the base weight
# restored from its 4 bits?

# %%
predict("05.times-restored", ...)

# %%
# NBVAL_CHECK_OUTPUT
x = torch.randn(4, 576, generator=torch.Generator().manual_seed(0)).to(model.device)
x.requires_grad_()
layer.train()
with quant.Watch() as watched:
    print("forward")
    y = layer(x)
    print("backward")
    y.sum().backward()

# %%
compare_prediction("05.times-restored", watched.times_restored)

# %% [markdown]
# Compare this with what one reads on the web about QLoRA's flow:
#
# 1. *"Stored in 4-bit NF4."* The weight is `uint8`, two codes per byte.
# 2. *"De-quantized on the fly."* `gemm_4bit` restores the weight inside the product;
#    `dequantize_4bit` restores it again for the backward pass.
# 3. *"The math is in 16 bits."* For the base, yes: x is converted to bf16 and the product back to
#    fp32. The adapter's own products run in fp32 here.
# 4. *"Only the adapters receive gradients."* Let us see.

# %%
# NBVAL_CHECK_OUTPUT
for name, tensor in [*layer.named_parameters(), ("x, the layer's input", x)]:
    gradient = tensor.grad
    if gradient is None:
        print(f"{name:30} no gradient")
    else:
        print(f"{name:30} {gradient.dtype}, zero everywhere: {not gradient.any()}")

# %% [markdown]
# The base has no gradient, but one passes *through* it to x, and from there to the layers below.
# The gradient of `lora_A` is zero in the first step, because `lora_B` is still zero (lesson 02).
#
# Why restore the weight twice? An ordinary product keeps both factors until the backward pass. The
# next cell counts the bytes that stay alive between the passes.

# %%
# NBVAL_CHECK_OUTPUT
nf4 = quant.quantize(weight, double_quant=True)
wide = torch.randn(4, 1536, requires_grad=True)
products = {
    "ordinary product": lambda x: x @ quant.dequantize(nf4).T,
    "4-bit layer": quant.Linear4bit(nf4),
}
for name, product in products.items():
    with LiveBytes() as counter:
        y = product(wide)
        print(f"{name:16} keeps {counter.live_bytes - y.nbytes:>9,} bytes")

# %% [markdown]
# With ordinary products every layer would keep its restored weight at once: the 16-bit model would
# be back in memory.
#
# ### One step, moment by moment
#
# A layer has more than one map. Here an MLP of Llama-2-7B's sizes (without its gate) takes a step:
# x → up → SiLU → down → y, each map with a 4-bit base and an adapter in parallel. Colors are dtypes.
#
# **Gradient checkpointing** keeps only x and computes the rest again in the backward pass.
# **Predict:** does it lower the peak inside this one layer? (`True` or `False`)

# %%
predict("05.checkpointing-peak", ...)

# %% [markdown]
# Press *Next* and watch the 16-bit copy appear and go. Then switch checkpointing on.

# %%
# NBVAL_CHECK_OUTPUT
QLoRAStep()

# %%
# NBVAL_CHECK_OUTPUT
steps = {on: quant.layer_step(checkpointing=on) for on in (False, True)}
Table.of(
    ("checkpointing", "peak (MB)", "waits between the passes (MB)", "in 32 layers (MB)", "restored"),
    [
        (on, *(f"{n / 1e6:.1f}" for n in (max(step.totals), step.kept_bytes, 32 * step.kept_bytes)),
         f"{step.times_restored()} times")
        for on, step in steps.items()
    ],
)  # fmt: skip

# %%
compare_prediction("05.checkpointing-peak", max(steps[True].totals) < max(steps[False].totals))

# %% [markdown]
# Inside the layer nothing is gained: what was not kept is there again when the backward pass needs
# it, with the gradient of y besides. The gain is in the *other* layers, which meanwhile keep only
# their x. The price is a second forward pass, so each weight is restored once more.

# %%
show_task("05.ledger")

# %%
# exercise: 05.ledger
ledger = ...  # {"base weight": (bits, gradient), …}

# %%
check("05.ledger", ledger)

# %% [markdown]
# ### Train
#
# `SFTTrainer` takes the wrapped model as it is. `SFTConfig` holds the settings of the run. Two of its
# defaults would not do here: the learning rate (2e-5, a rate for full fine-tuning) and gradient
# checkpointing, which is on.

# %%
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

settings = dict(
    output_dir=paths.runs_dir() / "captain-in-4-bits",
    per_device_train_batch_size=4,
    learning_rate=1e-3,
    lr_scheduler_type="cosine",
    max_length=128,
    gradient_checkpointing=False,
    use_cpu=not torch.cuda.is_available(),
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
)


# %%
captain = data.load_set("sea-captain")


def trainer_of(max_steps):
    """Return a trainer of the wrapped model that takes so many steps."""
    with quiet_libraries():
        trainer = SFTTrainer(
            model=peft_model,
            args=SFTConfig(max_steps=max_steps, **settings),
            train_dataset=data.to_hf(captain.train),
            eval_dataset=data.to_hf(captain.validation[:16]),
            processing_class=tokenizer,
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


# %% [markdown]
# First a trial of one step. It costs seconds and shows whether anything moves at all. Every B starts
# at zero, so any other value is a step that it took.


# %% tags=["trains"]
def four_bit_weights():
    return [p.detach().clone() for p in peft_model.parameters() if p.dtype == torch.uint8]


base_before = four_bit_weights()
trainer_of(max_steps=1).train()
moved = [bool(p.any()) for name, p in peft_model.named_parameters() if "lora_B" in name]
same = all(map(torch.equal, base_before, four_bit_weights()))
print(f"{sum(moved)} of {len(moved)} B have moved; the base is unchanged: {same}")
assert all(moved), "Each B of the adapter should have moved."
assert same, "The base should not have changed."

# %% [markdown]
# One thing has changed without our asking. `SFTTrainer` converted the adapter of the quantized model
# to bf16, as in the QLoRA paper; PEFT had made it in fp32:

# %%
# NBVAL_CHECK_OUTPUT
print({part.dtype for part in peft_model.parameters() if part.requires_grad})

# %% [markdown]
# Now the run itself, with the loss on held-out rows before and after. **Predict** the second one,
# in nats per token, once you have seen the first.

# %%
trainer = trainer_of(max_steps=12)
loss_before = trainer.evaluate()["eval_loss"]
print(f"held-out loss before: {loss_before:.2f} nats per token")

# %%
predict("05.held-out-loss", ...)

# %% tags=["trains"]
trainer.train()
loss_after = trainer.evaluate()["eval_loss"]
print(reply(peft_model))
assert loss_after < loss_before / 2, "The held-out loss fell too little: is something frozen?"

# %%
compare_prediction("05.held-out-loss", round(loss_after, 2), unit="nats")

# %% [markdown]
# ### Save, and load again
#
# What is saved is the adapter alone. To use it, load the base in 4 bits again and put the adapter
# on it.

# %%
adapter_folder = paths.runs_dir() / "captain-in-4-bits" / "adapter"
peft_model.save_pretrained(adapter_folder)
for file in sorted(adapter_folder.iterdir()):
    print(f"{file.stat().st_size:>12,} bytes  {file.name}")

# %%
fresh = AutoModelForCausalLM.from_pretrained(
    folder, quantization_config=bnb_config, dtype=torch.bfloat16
)
again = PeftModel.from_pretrained(fresh, adapter_folder)
print(reply(again))

# %% [markdown]
# ## The same as a recipe
#
# In later lessons `train` makes these calls, measures time and memory, scores the answers and keeps
# the result. A finished run of the same recipe is read back instead of trained again.
#
# The task is lesson 04's: an order in free text becomes JSON. The score counts held-out rows that
# are exactly right. **Predict** it, in percent, after 32 steps.

# %%
predict("05.exact-percent-after", ...)

# %% tags=["trains"]
recipe = Recipe.from_yaml(
    "recipes/structured-output.yaml",
    name="structured-output-qlora",
    method="qlora",
    learning_rate=1e-3,
    steps=32,
    eval_rows=20,
)
run = train(recipe, reuse=True)
run

# %% [markdown]
# The row *forecast* compares the formula of lesson 01 with the peak that was measured.

# %%
assert_learned(run)
exact = run.scores()["exactly_right"]
compare_prediction("05.exact-percent-after", round(100 * exact["after"]), unit="%")

# %% [markdown]
# Training through a frozen 4-bit base works, and on a CPU too. This does not show that nothing was
# lost: it is one seed, one task, and a small model whose weights had been in 4 bits before. Lesson
# 06 compares LoRA and QLoRA over three seeds.

# %% [markdown]
# ## Paged optimizers
#
# Adam touches its states once per step. During the rest of the step they only occupy memory, and a
# single long batch may need exactly that memory. A **paged** optimizer lets the GPU's driver move
# the states to main memory when the card is full, and back when they are needed. The step becomes
# slower instead of failing.
#
# You ask for it with `SFTConfig(optim="paged_adamw_8bit")`. A CPU has no second memory, so there it
# works like the ordinary optimizer. We can compute what a card would do: three steps on 7B, the
# second with a long batch.

# %%
setting = dict(method="qlora", rank=64, targets="all-linear", batch=4, checkpointing=True)
costs = [memory.forecast("llama-2-7b", seq_len=n, **setting) for n in (512, 2048, 512)]
states = {f"layer {n}": costs[0].optimizer_bytes // 32 for n in range(32)}
phases = quant.training_phases(
    weights_bytes=costs[0].weights_bytes + costs[0].adapter_bytes,
    gradients_bytes=costs[0].gradients_bytes,
    activations_bytes=[cost.activations_bytes for cost in costs],
    state_names=list(states),
)
paged = quant.simulate_paging(phases, states, limit_bytes=9 * 10**9)

# %%
highest = max(step.fixed_bytes for step in paged.steps) + paged.buffer_bytes
print(f"optimizer states: {paged.buffer_bytes / 1e9:.2f} GB")
print(f"peak with the states on the card: {highest / 1e9:.2f} GB")
print(f"peak with paging: {max(step.used_bytes for step in paged.steps) / 1e9:.2f} GB")
print(f"moved, there and back: {paged.transferred_bytes / 1e9:.2f} GB; fits in 9 GB: {paged.fits}")

# %% [markdown]
# This is a simulation: it times nothing. It also shows the limit of the idea. Only states can move.
# If weights and activations alone do not fit, paging does not help; and a small adapter has hardly
# any states to move.

# %% [markdown]
# ## Merging
#
# Lesson 02 merged an adapter into its matrix, exactly up to rounding. With a 4-bit base that is not
# so. `merge_and_unload` restores a weight, adds $\frac{\alpha}{r}BA$ and **quantizes the sum again**.
#
# **Predict:** the weight 0.12 lies in a block with absmax 0.5; its value is restored to 0.1231. How
# large must a positive update be, at least, to give it another code?

# %%
predict("05.least-update", ...)

# %% [markdown]
# Move the update until the code changes, and compare with the same update in 16 bits.

# %%
# NBVAL_CHECK_OUTPUT
NF4Line(merging=True, weight=0.12, update=0.004)

# %%
least = quant.merge_update(0.12, 0.004, absmax=0.5, book=book.tolist()).least_up
compare_prediction("05.least-update", round(least, 4))

# %% [markdown]
# An update that stays below half the gap between two values is lost; one above it becomes a whole gap.
#
# How many codes does our adapter change? And does the merged model still speak like a captain?

# %%
def codes_of(weights):
    return torch.cat([quant.unpack_codes(w.flatten(), 2 * w.numel()) for w in weights])


with quiet_libraries():
    merged = again.merge_and_unload()
codes_before = codes_of(base_before)
codes_after = codes_of([p.detach() for p in merged.parameters() if p.dtype == torch.uint8])
changed = int((codes_before != codes_after).sum())
print(f"{changed:,} of {len(codes_before):,} codes changed")

# %% [markdown]
# After so short a training the update is smaller than half a gap nearly everywhere, and merging rounds
# it away. A longer training changes more codes, but it loses a part of the update in the same way.
#
# The other way is a base in 16 bits: we merge the adapter into the model as it was before
# quantization.

# %%
in_16_bits = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
merged_16_bits = PeftModel.from_pretrained(in_16_bits, adapter_folder).merge_and_unload()
answers = {
    "4-bit base, adapter kept separate": peft_model,
    "merged into the 4-bit base": merged,
    "merged into the 16-bit base": merged_16_bits,
}
Table.of(("model", "answer"), [(name, reply(each)) for name, each in answers.items()])

# %% [markdown]
# The second merge keeps the update. But this base is not exactly the one that the adapter was trained
# on, so its answers can differ a little. Evaluate a merged model again before you ship it. Lesson 06
# compares the ways to merge on several rows.

# %% [markdown]
# ## Code you will meet on the web
#
# Many pages show QLoRA in a form like this one. It runs in a fresh Python process here, with the
# last line of what Python says.

# %%
import subprocess
import sys

block = """
from transformers import BitsAndBytesConfig

bnb_config = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
)
print(bnb_config.bnb_4bit_compute_dtype)
model = AutoModelForCausalLM.from_pretrained("model_name", quantization_config=bnb_config)
"""
done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False)
print(done.stdout.strip())
print(done.stderr.strip().splitlines()[-1])

# %% [markdown]
# Two things have to change. `AutoModelForCausalLM` must be imported. And no compute dtype is given,
# so every product runs in fp32, as the first line says. Nothing warns you about the second. The form
# that works today is the one in *Configure* and *Load* above. `device_map="auto"`, which you also
# see, places the model on the GPUs that there are.
#
# Another page's code is complete and still runs, but look at what it prints for Llama-2-7B:
# **"all params: 3,752,071,168 … smaller because the base model is 4-bit!"**

# %%
# NBVAL_CHECK_OUTPUT
for name in ("llama-2-7b", "mistral-7b"):
    shape = models.entry(name)
    linear = shape.layers * sum(each.parameters for each in shape.linears)
    print(f"{name}: {shape.parameters:,} parameters, {shape.parameters - linear // 2:,} elements")
print("ours, elements:  ", f"{sum(p.numel() for p in fresh.parameters()):,}")
print("ours, parameters:", f"{fresh.num_parameters():,}")

# %%
claim("parameters.printed-4-bit")

# %% [markdown]
# **"Double Quantization (DQQ): the scales and zero-points for all the blocks are also quantized, an
# extra ~0.9 GB on a 7B model."** The paper writes DQ. What is stored with a quantized weight?

# %%
# NBVAL_CHECK_OUTPUT
print("for each weight matrix:", [name for name in vars(state) if name != "packing_format_for_cpu"])
for name in ("llama-2-7b", "llama-65b"):
    shape = models.entry(name)
    linear = shape.layers * sum(each.parameters for each in shape.linears)
    print(f"{name}: {linear:,} weights save {linear * (single - double) / 8 / 1e9:.2f} GB")

# %% [markdown]
# There are two claims in this sentence, one about zero-points and one about gigabytes:

# %%
claim("quantization.zero-points")

# %%
claim("quantization.dq-saves-0-9-gb")

# %% [markdown]
# `offset` is the mean of the scales. LitGPT measured 14.14 → 13.84 GB for Llama-2-7B on an A100 (its
# resource tables).
#
# **"4-bit quantization cuts the memory of the base model by 75 %."**


# %%
def reduction(model):
    """Return how much the weights and the peak shrink from LoRA to QLoRA."""
    pair = [memory.forecast(model, method=method) for method in ("lora", "qlora")]
    weights = 1 - pair[1].weights_bytes / pair[0].weights_bytes
    peak = 1 - pair[1].peak_bytes / pair[0].peak_bytes
    return model, f"{pair[1].weights_bytes / 1e9:.2f}", f"{weights:.1%}", f"{peak:.1%}"


names = ("smollm2-135m-instruct", "llama-2-7b", "llama-2-70b")
Table.of(("model", "4-bit base (GB)", "less weights", "less at the peak"), map(reduction, names))

# %%
claim("quantization.cut-75-percent")

# %% [markdown]
# The embedding and the output layer stay in 16 bits, which matters most in small models, and the
# activations do not shrink at all.

# %% [markdown]
# ## Exercises
#
# Two more: the configuration for another card, and the product that makes a 4-bit layer trainable.

# %%
show_task("05.older-card")

# %%
# exercise: 05.older-card
config = ...  # a BitsAndBytesConfig

# %%
check("05.older-card", config)

# %%
show_task("05.multiply-4bit")


# %%
# exercise: 05.multiply-4bit
def multiply_4bit(x, stored):
    from labs_lib.quantization import dequantize

    weight = dequantize(stored, x.dtype).requires_grad_()
    return x @ weight.T


# %%
check("05.multiply-4bit", multiply_4bit)

# %% [markdown]
# ## Knowledge check

# %%
ask("05.memory.which-shrink")

# %%
ask("05.nf4.uniform")

# %%
ask("05.nf4.three-bits")

# %%
ask("05.nf4.block-by-hand")

# %%
ask("05.nf4.squeezed")

# %%
ask("05.count.zero-points")

# %%
ask("05.count.elements")

# %%
ask("05.flow.speed")

# %%
ask("05.flow.checkpointing")

# %%
ask("05.flow.why-not-4bit")

# %%
ask("05.flow.answered-first")

# %%
ask("05.paging.rescue")

# %%
ask("05.set-up.mistakes")

# %%
ask("05.set-up.prepare-mb")

# %%
show_progress()

# %% [markdown]
# ## Summary
#
# - LoRA leaves the frozen base as the largest item in memory; QLoRA stores it in 4 bits.
# - NF4's sixteen values lie at equal steps of probability; zero is exact. Each block of 64 weights
#   has a scale of its own.
# - A weight costs 4.5 bits with its scale and 4.127 with double quantization.
# - The 4-bit weight is restored for each product, forward and backward. Gradients pass through the
#   base and collect only in the adapter.
# - The defaults of `BitsAndBytesConfig` are not QLoRA: set nf4, double quantization and the compute
#   dtype.
# - Merging into the 4-bit base quantizes again. Keep the adapter separate, or merge in 16 bits.
#
# **Sources.** Dettmers et al., QLoRA, arXiv 2305.14314. LitGPT, resource tables. bitsandbytes
# 0.50, PEFT 0.21, TRL 1.16 and transformers 5.23, documentation and source.

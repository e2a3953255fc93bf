"""For each slip of the interview questions: sentences that make it, and sentences that do not."""

SLIPS: dict[str, tuple[list[str], list[str]]] = {
    # question.slip: (made, not made)
    "latency.never-slower": (
        ["LoRA adds no latency at inference.", "It is never slower."],
        ["Merged, it adds no latency.", "There is some overhead for each layer."],
    ),
    "latency.builds-ba-at-inference": (
        ["For every token the model computes W + BA on the fly."],
        ["It does not build BA for each token.", "For each token it computes A first, then B A x."],
    ),
    "latency.merge-is-free": (
        ["Merging into a 4-bit base is lossless."],
        ["Merging into a 4-bit base is not lossless.", "Merging into 16 bits is nearly exact."],
    ),
    "forgetting.frozen-so-safe": (
        ["LoRA prevents forgetting.", "Because the base is frozen, LoRA never forgets."],
        ["LoRA does not prevent forgetting.", "The adapter can be switched off."],
    ),
    "forgetting.weights-lost": (
        ["LoRA overwrites the weights of the base."],
        ["LoRA never overwrites the base weights."],
    ),
    "lora-or-full.one-percent-of-cost": (
        ["LoRA has 1 % of the cost.", "It needs 100x less memory."],
        ["It trains 1 % of the parameters.", "It does not cost one percent of the memory."],
    ),
    "lora-or-full.always-equal": (
        ["LoRA matches full fine-tuning on every task."],
        ["LoRA does not match full fine-tuning on every task."],
    ),
    "lora-or-full.only-adapter-in-memory": (
        ["Only the adapter is stored in GPU memory."],
        ["Only the adapter has gradients in GPU memory.",
         "The adapter is not the only thing in memory."],
    ),
    "prompt-or-tune.teaches-facts": (
        ["Fine-tuning is the best way to add new facts."],
        ["Fine-tuning is not the best way to add new facts.",
         "Use retrieval to add new facts, not training."],
    ),
    "why-low-rank.weights-are-low-rank": (
        ["The pretrained weights have a low intrinsic rank.", "The weight matrices are low-rank."],
        ["The change of the weights has low rank.", "The weights are not low-rank."],
    ),
    "why-low-rank.compresses-the-model": (
        ["LoRA compresses the model."],
        ["LoRA does not compress the base.", "LoRA makes the checkpoint of the model smaller."],
    ),
    "alpha-over-r.alpha-is-scaling": (
        ["The scaling is alpha.",
         "The update is multiplied by lora_alpha.",
         "α is the scaling factor."],
        ["alpha is not the scaling; alpha/r is",
         "The scaling is alpha / r.",
         "It isn't alpha that scales it.",
         "The scale is alpha divided by r.", "It is a mistake to say alpha is the scaling."],
    ),
    "alpha-over-r.paper-says-2r": (
        ["The paper recommends alpha = 2r."],
        ["The paper does not recommend 2r.", "Many use twice the rank out of habit."],
    ),
    "b-at-zero.a-at-zero": (
        ["A is zero at the start.", "A is initialized to zero."],
        ["B is initialized to zero and A is random.", "A is not initialized to zero."],
    ),
    "b-at-zero.both-zero": (
        ["Both matrices are zeros at the start."],
        ["With both at zero nothing would learn.", "A and B are not both zero."],
    ),
    "b-at-zero.saves-memory": (
        ["Zeros save memory."],
        ["The zero does not save memory."],
    ),
    "memory-step.only-adapter-in-memory": (
        ["Only the LoRA weights are in VRAM."],
        ["Only the adapter's gradients are in VRAM."],
    ),
    "memory-step.base-has-gradients": (
        ["The frozen base has gradients too."],
        ["The frozen base has no gradients."],
    ),
    "memory-step.lora-shrinks-activations": (
        ["LoRA eliminates the activations."],
        ["LoRA does not remove the activations."],
    ),
    "memory-step.four-bits-exactly": (
        ["A weight takes exactly 4 bits."],
        ["A weight takes not exactly 4 bits.", "A weight takes about 4 bits."],
    ),
    "qlora-parts.computes-in-4-bit": (
        ["QLoRA computes in 4 bits.", "The matmul runs in NF4."],
        ["It does not compute in 4-bit.", "It computes in bf16 from 4-bit weights."],
    ),
    "qlora-parts.zero-points": (
        ["Each block stores a scale and a zero-point."],
        ["NF4 has no zero-points."],
    ),
    "qlora-parts.trains-4-bit": (
        ["QLoRA trains the 4-bit weights."],
        ["QLoRA never trains the 4-bit weights.", "It trains an adapter over the 4-bit weights."],
    ),
    "qlora-parts.faster": (
        ["QLoRA is faster than LoRA."],
        ["QLoRA is not faster."],
    ),
    "which-card.base-fits": (
        ["The base fits, therefore I use LoRA.", "The model fits and that is enough."],
        ["The base fits, but the step does not."],
    ),
    "which-card.whole-card": (
        ["All of the 24 GB are available."],
        ["Not all of the 24 GB are available."],
    ),
    "out-of-memory.lower-rank-first": (
        ["I lower the rank first."],
        ["I would not lower the rank first."],
    ),
    "out-of-memory.optimizer-first": (
        ["First I take an 8-bit optimizer."],
        ["An 8-bit optimizer is not the first choice."],
    ),
    "which-targets.qv-is-enough": (
        ["Query and value are sufficient."],
        ["q and v are not enough."],
    ),
    "which-targets.names-are-universal": (
        ["Every model has a q_proj."],
        ["Not every model has a q_proj."],
    ),
    "learning-rate.fewer-parameters": (
        ["LoRA has fewer parameters and takes a higher learning rate."],
        ["Fewer parameters are not why the rate is higher."],
    ),
    "learning-rate.same-rate": (
        ["LoRA takes the same learning rate as full fine-tuning."],
        ["They don't share the same rate, full or LoRA."],
    ),
    "learning-rate.rate-by-rank": (
        ["A higher rank needs a lower learning rate."],
        ["A higher rank does not need a lower learning rate."],
    ),
    "choose-rank.higher-is-better": (
        ["A higher rank is always better."],
        ["A higher rank is not always better."],
    ),
    "choose-rank.most-important": (
        ["Rank is the most important knob."],
        ["Rank is not the most important knob."],
    ),
    "choose-rank.overfits": (
        ["A high rank overfits."],
        ["On eight rows a high rank did not overfit."],
    ),
    "flat-loss.raise-rank": (
        ["First I increase the rank."],
        ["I would not increase the rank first."],
    ),
    "flat-loss.more-data": (
        ["I train longer with more data."],
        ["More data does not help here."],
    ),
    "flat-loss.random-guessing": (
        ["I try different hyperparameters."],
        ["I do not try different hyperparameters yet."],
    ),
    "overfitting.lora-cannot-overfit": (
        ["LoRA cannot overfit with so few parameters."],
        ["It is a myth that LoRA cannot overfit."],
    ),
    "overfitting.by-training-loss": (
        ["A low training loss means success."],
        ["A low training loss is no success.",
         "The training loss is low, the held-out loss is not good."],
    ),
    "variants.always-better": (
        ["DoRA always outperforms LoRA."],
        ["DoRA does not always outperform LoRA."],
    ),
    "variants.rslora-more-parameters": (
        ["rsLoRA adds more parameters."],
        ["rsLoRA adds no extra parameters."],
    ),
    "merge-4bit.merge-is-exact": (
        ["Merging into the NF4 base is exact."],
        ["Merging into the NF4 base is not exact.",
         "Restore first, then merging into nf4 is exact."],
    ),
    "merge-4bit.original-base-is-same": (
        ["The original model is the same base."],
        ["The original base isn't the same."],
    ),
    "many-adapters.merge-all": (
        ["I merge every adapter into its own copy."],
        ["I do not merge each adapter."],
    ),
    "many-adapters.any-base": (
        ["The adapter works on any model."],
        ["The adapter does not work on any model."],
    ),
    "adapter-file.holds-the-model": (
        ["The file contains the base model."],
        ["The file contains no base model."],
    ),
    "adapter-file.remote-code": (
        ["trust_remote_code is required."],
        ["trust_remote_code is never needed."],
    ),
    "data-first.more-is-better": (
        ["More data is always better."],
        ["More data is not always better."],
    ),
    "data-first.method-first": (
        ["First I switch to a larger model."],
        ["I do not switch to a larger model first."],
    ),
    "honest-evaluation.higher-is-better": (
        ["Yes, two points are two points.", "The adapter is better."],
        ["It is better only beyond the noise.", "Two points are not better."],
    ),
    "honest-evaluation.best-seed": (
        ["I report the best seed."],
        ["I don't report the best seed."],
    ),
    "honest-evaluation.training-rows": (
        ["I evaluate on the training set."],
        ["I never evaluate on the training set.",
         "Accuracy on training rows is not held-out accuracy."],
    ),
    "qlora-quality.repeats-a-percentage": (
        ["QLoRA keeps 95 % of the quality."],
        ["95 % of which quality, on which task?"],
    ),
    "qlora-quality.no-loss": (
        ["QLoRA is always lossless."],
        ["QLoRA is not always lossless."],
    ),
}  # fmt: skip

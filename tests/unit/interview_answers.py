"""Answers as people give them: right ones, in their own words, and wrong ones."""

RIGHT: dict[str, str] = {
    "latency": (
        "Not if you merge it. LoRA's update has the same shape as W, so you can fold it in "
        "once and the model runs as fast as before, with zero extra cost. If you keep it "
        "unmerged you pay two small matmuls for each layer; I measured about 30 percent for "
        "one token on my laptop. I would keep it apart when I serve many customers."
    ),
    "forgetting": (
        "It means that training on the new task ruins older skills. LoRA reduces it but does "
        "not eliminate it: what answers is W plus delta W. In my runs LoRA kept 60 percent of "
        "the facts. You can always disable the adapter, which gives back the base exactly. "
        "LoRA doesn't overwrite the weights."
    ),
    "lora-or-full": (
        "For instruction tuning I'd start with LoRA. Only the adapter has gradients and "
        "optimizer states, which is why memory drops three to four times for a 7B, not a "
        "hundred times. The number of trainable parameters is under 1 %, but the cost of a "
        "step isn't. With a billion tokens of new material I'd consider full fine-tuning."
    ),
    "alpha-over-r": (
        "lora_alpha divided by the rank scales B·A. So 16 over 8 gives a factor of 2. If I "
        "double r and leave alpha alone the factor halves. The LoRA paper just fixed alpha; it"
        " did not recommend 2r. With rsLoRA it is alpha over root r."
    ),
    "b-at-zero": (
        "So that the model starts exactly as the base. B is zero and A is random. If A and B "
        "were both zero no gradient would flow. A gets no gradient in step one because its "
        "gradient contains B."
    ),
    "memory-step": (
        "The base takes 13.5 GB in bf16, and it stays in memory even though it's frozen. "
        "Gradients and Adam states are only for the adapter. Activations depend on tokens; "
        "LoRA doesn't remove them. With QLoRA the base shrinks to about 3.6 GiB because each "
        "weight takes about 4.1 bits."
    ),
    "qlora-parts": (
        "Three parts: NF4, double quantization, paged optimizers. The 4-bit weights stay "
        "frozen and we train LoRA matrices in 16 bits on top. For each matmul the weights are "
        "dequantized to bf16, so nothing is computed in 4 bits. It's slower than LoRA."
    ),
    "which-targets": (
        "All linear layers. q and v were what the LoRA paper used, but QLoRA found that "
        "attention alone isn't enough. On Falcon the module is called query_key_value, so "
        "names differ between models."
    ),
    "learning-rate": (
        "About ten times higher than full fine-tuning, say 2e-4 instead of 2e-5. It hardly "
        "depends on rank, so I don't lower the rate when the rank goes up. The reason isn't "
        "that there are fewer parameters."
    ),
    "flat-loss": (
        "First I check that anything trains: print_trainable_parameters. Then labels. Then the"
        " learning rate; maybe it's still warming up. Then I overfit one batch. I would not "
        "touch the rank or get more data before that."
    ),
    "merge-4bit": (
        "Don't merge into the 4-bit base directly, because it gets requantized and the small "
        "update is rounded away. I'd dequantize the base to 16 bits and merge there, so that "
        "it is the same model that I trained. Merging into the original fp16 base is not "
        "identical but close."
    ),
    "many-adapters": (
        "Keep one base and load all adapters next to it. I would not merge every adapter, as a"
        " hundred merged 7B models take over a terabyte. vLLM picks an adapter per request."
    ),
    "honest-evaluation": (
        "I wouldn't claim it's better. Two points on 50 rows is a single row. I'd look at "
        "pairs, run three seeds rather than report the best seed, and get more held-out rows. "
        "Training data can't be used for that."
    ),
    "overfitting": (
        "Held-out loss goes up while training loss keeps falling. I'd stop early. LoRA can "
        "overfit like anything else, despite few parameters."
    ),
    "choose-rank": (
        "I start with 16 and sweep. A higher rank isn't automatically better. Rank isn't the "
        "most important knob; learning rate matters more."
    ),
    "variants": (
        "rsLoRA changes the scaling to alpha over root r. It has no more parameters. DoRA adds"
        " a magnitude vector. I'd compare with a tuned LoRA, since reported gains aren't "
        "always there."
    ),
    "data-first": (
        "Because most errors come from rows. I read 50 wrong answers first. More data helps "
        "only if it's clean and varied."
    ),
    "qlora-quality": (
        "On which task? 95 % of what metric? In the paper NF4 matched 16 bit LoRA on MMLU. I'd"
        " never say QLoRA is always lossless."
    ),
    "which-card": (
        "The weights of a 13B take 26 GB, so they don't fit the card in 16 bits. QLoRA peaks "
        "at 11 GiB. Not all of the card's memory is free."
    ),
    "out-of-memory": (
        "Activations. First, batch 1 with accumulation 8; then checkpointing. I'd leave the "
        "rank alone at first: lowering it saves little."
    ),
    "why-low-rank": (
        "Because the update, not the weights, has low rank. It fails when much is new. The "
        "model stays as large as it was."
    ),
    "adapter-file": (
        "A and B for each layer and a config; it doesn't contain the base model. Check "
        "base_model_name. Safetensors only, and never trust_remote_code."
    ),
    "prompt-or-tune": (
        "If a prompt reaches it. For facts that change I'd retrieve; fine-tuning on new facts "
        "makes models hallucinate. Fine-tune for format."
    ),
}

WRONG: dict[str, list[str]] = {
    "latency": [
        "No, LoRA never makes inference slower, there is zero overhead.",
        "At inference the model calculates W plus BA on the fly for every token.",
    ],
    "forgetting": [
        "PEFT avoids catastrophic forgetting since the original weights stay frozen.",
        "With adapters forgetting cannot happen; LoRA eliminates the problem.",
    ],
    "lora-or-full": [
        "LoRA reaches the same quality on any task at 1 percent of the cost.",
        "LoRA only needs 1% of the memory of full fine-tuning.",
        "Only the adapter parameters are stored in GPU memory.",
    ],
    "alpha-over-r": [
        "alpha scales the update: the output of BA is multiplied by alpha.",
        "The LoRA paper suggests alpha = 2r, so I take 16.",
        "alpha is simply a scaling factor.",
    ],
    "b-at-zero": [
        "A is initialized to zero so that the start is the base.",
        "Both matrices start as zeros so that the model is unchanged.",
    ],
    "memory-step": [
        "LoRA only keeps the adapter weights in VRAM, so a few hundred MB.",
        "The frozen base still needs gradients.",
    ],
    "qlora-parts": [
        "QLoRA does its math in 4-bit, which is why it is fast.",
        "NF4 stores a scale and a zero point for each block.",
        "It fine-tunes the quantized weights directly and updates the 4-bit weights.",
    ],
    "which-targets": [
        "q_proj and v_proj are sufficient for most tasks.",
        "I take q_proj and v_proj because all models have them.",
    ],
    "learning-rate": [
        "Since LoRA has fewer parameters one can use a higher learning rate.",
        "I use the same learning rate for LoRA and full fine-tuning.",
    ],
    "choose-rank": [
        "A higher rank always gives better results.",
        "Rank is the most important hyperparameter.",
        "High ranks overfit small datasets.",
    ],
    "flat-loss": [
        "I would first increase the rank.",
        "Try different hyperparameters until it moves.",
    ],
    "overfitting": [
        "LoRA doesn't overfit as it has so few parameters.",
    ],
    "variants": [
        "DoRA is always better than LoRA.",
    ],
    "merge-4bit": [
        "merge_and_unload on the 4-bit model gives the identical model.",
    ],
    "many-adapters": [
        "I merge each adapter and run a hundred models.",
    ],
    "adapter-file": [
        "The file contains the whole fine-tuned model.",
    ],
    "data-first": [
        "More data is always better.",
    ],
    "honest-evaluation": [
        "Yes, 88 is better than 86.",
        "I would report the best seed.",
    ],
    "qlora-quality": [
        "Right, it keeps about 95% of the performance.",
    ],
    "which-card": [
        "The base fits in 24 GB so I use LoRA.",
    ],
    "out-of-memory": [
        "I reduce the rank first.",
        "First switch to a paged 8-bit optimizer.",
    ],
    "why-low-rank": [
        "Because weight matrices have a low intrinsic rank.",
        "It compresses the model into small matrices.",
    ],
    "prompt-or-tune": [
        "Fine-tuning is great for teaching new facts.",
    ],
}

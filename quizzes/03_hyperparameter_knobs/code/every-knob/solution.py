from peft import LoraConfig

config = LoraConfig(
    r=16,
    lora_alpha=8,
    use_rslora=True,
    target_modules=["q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"],
    lora_dropout=0.05,
    bias="lora_only",
    task_type="CAUSAL_LM",
)

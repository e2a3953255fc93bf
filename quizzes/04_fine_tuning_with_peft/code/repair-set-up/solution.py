from peft import LoraConfig, get_peft_model


def set_up(base):
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "v_proj"],
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)

    def labels(input_ids, prompt_length):
        labels = input_ids.clone()
        labels[:prompt_length] = -100
        return labels

    return {"model": model, "learning_rate": 1e-3, "labels": labels}

def set_up(base):
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "v_proj"],
        inference_mode=True,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)

    def labels(input_ids, prompt_length):
        return input_ids.clone()

    return {"model": model, "learning_rate": 2e-5, "labels": labels}

def plus_groups(model, learning_rate, ratio):
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    a = [p for name, p in trained if "lora_B" not in name]
    b = [p for name, p in trained if "lora_B" in name]
    return [{"params": a, "lr": learning_rate}, {"params": b, "lr": ratio * learning_rate}]

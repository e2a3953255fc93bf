size = ...  # of lora_A and lora_B together

new_alpha = ...  # lora_alpha at rank 32

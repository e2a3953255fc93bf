config = ...  # LoraConfig(...)

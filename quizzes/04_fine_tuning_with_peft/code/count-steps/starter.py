steps = ...  # a formula is fine

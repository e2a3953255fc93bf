adapters = ...  # a whole number

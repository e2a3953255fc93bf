optimizer_steps = ...  # in the three epochs

trainable = ...  # layers × (…)

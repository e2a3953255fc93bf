trained = ...  # layers × (…)

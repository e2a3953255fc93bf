rows = ...  # for an interval of ±0.05 around 0.8

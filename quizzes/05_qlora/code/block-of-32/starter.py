bits = ...  # per weight, scales included

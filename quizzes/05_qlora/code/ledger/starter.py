ledger = ...  # {"base weight": (bits, gradient), …}

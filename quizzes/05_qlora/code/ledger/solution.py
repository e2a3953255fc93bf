ledger = {
    "base weight": (4, False),
    "block scales": (8, False),
    "lora_A": (32, True),
    "lora_B": (32, True),
}

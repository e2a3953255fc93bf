def qlora_bytes(linear, other, adapter):
    bits = 4 + 8 / 64 + 32 / (64 * 256)
    return linear * bits / 8 + other * 2 + adapter * (4 + 4 + 2 * 4)

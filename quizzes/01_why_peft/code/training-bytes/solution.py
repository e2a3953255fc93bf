def training_bytes(frozen, trained, frozen_bytes, trained_bytes, state_bytes):
    each = trained_bytes + trained_bytes + 2 * state_bytes
    return frozen * frozen_bytes + trained * each

new_alpha = 24 * 32 / 8

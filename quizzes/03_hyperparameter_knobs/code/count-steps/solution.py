optimizer_steps = 3 * 6400 // (4 * 8)

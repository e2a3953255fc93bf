total_gb = 3e9 * (2 + 2 + 4 + 4 + 4) / 1e9

def clearly_better(losses_a, losses_b):
    if min(len(losses_a), len(losses_b)) < 2:
        return False
    return max(losses_a) < min(losses_b)

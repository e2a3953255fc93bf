import math


def first_fault(run):
    if run["trainable"] == 0:
        return "nothing trains"
    if all(label == -100 for row in run["labels"] for label in row):
        return "no labels"
    if max(run["rates"]) == 0:
        return "rate zero"
    if max(run["norms"]) == 0:
        return "no gradient"
    if not all(math.isfinite(loss) for loss in run["losses"]):
        return "not finite"
    return "none"

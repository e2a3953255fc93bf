def improvement(full, other):
    parts = ("weights", "adapter", "gradients", "optimizer", "activations")
    peaks = [
        sum(run[f"{part}_bytes"] for part in parts) for run in (full, other)
    ]
    pace = [run["steps"] / run["seconds"] for run in (full, other)]
    return 100 * (peaks[0] - peaks[1]) / peaks[0], pace[1] / pace[0]

"""What makes a training step quick, and what watches it.

The loss and its gradients are the model's own: `loss_check` holds them against it before a run.
What rounds otherwise on a CPU that trains in bf16 (`in_bf16`) must stay near it.
"""

"""What makes a training step quick, and what watches it.

The loss and its gradients are the model's own: `loss_check` holds them against it before a run.
"""

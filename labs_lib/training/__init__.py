"""Recipe to run: training, measurement and evaluation of adapters."""

"""LoRA Lab's helper package: the notebooks teach, these rooms carry.

Importing it loads none of the heavy libraries; each room brings its own when it is used.
"""

__version__ = "0.1.0"

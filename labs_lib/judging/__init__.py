"""What a score is worth: intervals, baselines, errors by kind, two runs on the same rows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

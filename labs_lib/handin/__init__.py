"""What a student hands in at the end of the capstone, and the rubric that judges it by code."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""NF4 and double quantization from scratch, equal to bitsandbytes bit for bit."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

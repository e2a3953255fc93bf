"""What a class shows: its items, its misconceptions, who needs help; one page, and JSON."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

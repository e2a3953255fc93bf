"""A class: released lessons, collected hand-ins, grades that believe no log, and what they show."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What all instruments in the page share: a class, JavaScript, colors, a place on a static page."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

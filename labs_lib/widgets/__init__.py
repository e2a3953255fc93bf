"""One file an instrument, and the cards: of questions, of lines to put in order, of progress."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

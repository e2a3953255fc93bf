"""Interview questions: answers in the student's own words, taken apart by rules, with evidence."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

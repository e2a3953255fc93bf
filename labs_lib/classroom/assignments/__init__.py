"""A lesson as an assignment of nbgrader or otter-grader, which hand it out and grade it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""A run's result outside of the notebook: model card, adapter, merged model, GGUF, an endpoint."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

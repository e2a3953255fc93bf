"""Question banks, exercises, outcomes and progress; no widgets."""

# lazy_loader brings no types.
import lazy_loader  # pyright: ignore[reportMissingTypeStubs]

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType]

"""What fine-tuning costs in bytes: closed form, trace, published and measured.

`forecast` answers by formula at once; `trace` runs the real code on shapes; `fitted` answers at
once by polynomials that a few traces gave; `measure` runs the step for real; `estimate` takes the
formula where it knows the model, and the fitted polynomials elsewhere. All take the same
`MemoryRequest` fields.
"""

# lazy_loader brings no types.
import lazy_loader  # pyright: ignore[reportMissingTypeStubs]

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType]

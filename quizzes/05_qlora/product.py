"""What a product with a 4-bit weight returns, passes back and keeps: for lesson 05."""

from __future__ import annotations

from typing import Any

from .kept_bytes import growth_bytes, kept_bytes, set_aside

# The weight by which the process's growth is measured: large compared with a page.
_LARGE = (768, 1024)
_GROWTH_CALLS = 4


def inputs(seed: int, tokens: int, d_in: int, d_out: int) -> tuple[Any, Any, Any]:
    """Return x (tokens, d_in), the 4-bit weight (d_out, d_in) and dL/dy (tokens, d_out)."""
    import torch

    from labs_lib.quantization import quantize

    generator = torch.Generator().manual_seed(seed)
    stored = quantize(torch.randn(d_out, d_in, generator=generator), double_quant=True)
    x = torch.randn(tokens, d_in, generator=generator).requires_grad_()
    return x, stored, torch.randn(tokens, d_out, generator=generator)


class ProbeMultiply:
    """Runs forward and backward on one case; returns tensors and bytes, no verdicts.

    With `growth` the process's own growth is measured too, on a large weight.
    """

    def prepare(self) -> None:
        """Let the counter load what it does: hundreds of modules, neither time nor bytes kept."""
        import torch

        import labs_lib.quantization.linear  # noqa: F401

        with set_aside():
            kept_bytes(lambda: torch.zeros(1).add(1))

    def __call__(
        self, function: Any, seed: int, tokens: int, d_in: int, d_out: int, growth: bool
    ) -> dict[str, Any]:
        """Call the student's function and return what it did, as plain values."""
        with set_aside():
            return _observed(function, seed, tokens, d_in, d_out, growth)


def _observed(
    function: Any, seed: int, tokens: int, d_in: int, d_out: int, growth: bool
) -> dict[str, Any]:
    import torch

    x, stored, gradient = inputs(seed, tokens, d_in, d_out)
    # The first call may load and cache, and so may the counter.
    x_before, stored_before, _ = inputs(seed + 1, tokens, d_in, d_out)
    y, _ = kept_bytes(lambda: function(x_before, stored_before))
    if y is None or y is ...:
        return {"blank": True}
    y, kept = kept_bytes(lambda: function(x, stored))
    if not isinstance(y, torch.Tensor) or y.shape != gradient.shape:
        return {"shape": False}
    observed = {
        "shape": True,
        "output": y.detach().clone(),
        "kept_bytes": kept,
        "grown_bytes": _growth(function, seed) if growth and not _much(kept, d_in, d_out) else 0,
        "wants_base_gradient": _other_leaves(y, x),
        "reaches_x": False,
        "gradient": None,
        "x": x.detach().clone(),
        "packed": stored.packed.clone(),
    }
    if not y.requires_grad:
        return observed
    try:
        y.backward(gradient)
    except RuntimeError as error:
        if "gradient" in str(error) and "None" in str(error):
            return observed | {"wants_base_gradient": True, "reaches_x": True}
        raise
    return observed | {"reaches_x": x.grad is not None, "gradient": x.grad}


def expected(seed: int, tokens: int, d_in: int, d_out: int, _: bool) -> dict[str, Any]:
    """Return what a right answer is observed to give on this case."""
    from labs_lib.quantization import dequantize

    x, stored, gradient = inputs(seed, tokens, d_in, d_out)
    weight = dequantize(stored)
    return {
        "output": (x @ weight.T).detach(),
        "gradient": gradient @ weight,
        "x": x.detach(),
        "packed": stored.packed,
    }


def keeps_a_copy(observed: dict[str, Any], case: tuple[int, int, int, int, bool]) -> bool:
    """Return whether so many bytes were kept that the weight must be among them.

    The 4 bits are an eighth of the fp32 weight; an fp16 copy is a half, unpacked codes a quarter.
    """
    weight_bytes = 4 * case[2] * case[3]
    large_bytes = 4 * _LARGE[0] * _LARGE[1]
    return (
        observed["kept_bytes"] >= 0.2 * weight_bytes or observed["grown_bytes"] >= 0.4 * large_bytes
    )


def _much(kept: int, d_in: int, d_out: int) -> bool:
    return kept >= 0.2 * 4 * d_in * d_out


def _growth(function: Any, seed: int) -> int:
    cases = [inputs(seed + number, 2, *_LARGE)[:2] for number in range(_GROWTH_CALLS)]
    return growth_bytes([lambda x=x, stored=stored: function(x, stored) for x, stored in cases])


def _other_leaves(y: Any, x: Any) -> bool:
    """Return whether a gradient of y would be collected in another tensor than x."""
    ahead, seen = [y.grad_fn], set()
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and leaf is not x:
            return True
        ahead += [following for following, _ in node.next_functions]
    return False

"""What fake tensors cannot do by themselves, stood in for while a step is traced."""

from __future__ import annotations

import contextlib
import pkgutil
from collections.abc import Callable, Generator
from typing import Any
from unittest import mock

import torch
from torch._guards import detect_fake_mode

from labs_lib.memory.request import MemoryRequest
from labs_lib.step.optimizers import OPTIMIZERS


class _GroupedProduct(torch.autograd.Function):
    """Shapes of `grouped_mm`: rows (tokens, d_in) by experts (experts, d_in, d_out).

    As torch's own formula it keeps the rows only for the experts' gradient.
    """

    @staticmethod
    def forward(ctx: Any, rows: Any, experts: Any, offs: Any) -> Any:
        """Return (tokens, d_out)."""
        ctx.save_for_backward(rows if experts.requires_grad else None, experts, offs)
        ctx.shape = rows.shape
        return rows.new_empty(rows.shape[0], experts.shape[-1], dtype=experts.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Return the gradients that are asked for."""
        (gradient,) = gradients
        _, experts, _ = ctx.saved_tensors
        of_rows, of_experts, _ = ctx.needs_input_grad
        return (
            gradient.new_empty(ctx.shape) if of_rows else None,
            torch.empty_like(experts) if of_experts else None,
            None,
        )


def _grouped_product(rows: torch.Tensor, experts: torch.Tensor, offs: torch.Tensor) -> Any:
    product: Any = _GroupedProduct
    return product.apply(rows.to(experts.dtype), experts, offs)


def _one(*_: Any) -> float:
    return 1.0


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _code_book(*_: Any, **__: Any) -> torch.Tensor:
    return torch.empty(256)


@contextlib.contextmanager
def steps_without_values(request: MemoryRequest) -> Generator[None, None, None]:
    """Let optimizers run on fake tensors, which have no values.

    torch reads its step counter, bitsandbytes computes the entries of its two 8-bit code books,
    and transformers looks whether a row holds several packed texts (which would need a mask).
    Experts' grouped product is known for fake tensors in bf16 alone.
    Real tensors, of a training run in another thread, go the usual way.
    """
    from torch._subclasses.fake_tensor import FakeTensor

    def unless_fake(path: str, stand_in: Callable[..., Any], tells: Callable[..., bool]) -> Any:
        real = pkgutil.resolve_name(path)

        def either(*arguments: Any, **named: Any) -> Any:
            chosen = stand_in if tells(*arguments, **named) else real
            return chosen(*arguments, **named)

        return mock.patch(path, either)

    def first_is_fake(*arguments: Any, **named: Any) -> bool:
        return isinstance((*arguments, *named.values())[0], FakeTensor)

    def is_fake_and_wide(*arguments: Any, **named: Any) -> bool:
        return first_is_fake(*arguments, **named) and arguments[1].dtype != torch.bfloat16

    def under_fake_mode(*_: Any, **__: Any) -> bool:
        return detect_fake_mode() is not None

    stand_ins: tuple[tuple[str, Callable[..., Any], Callable[..., bool]], ...] = (
        ("torch.optim.adam._get_value", _one, first_is_fake),
        ("transformers.masking_utils.find_packed_sequence_indices", _nothing, first_is_fake),
        ("transformers.integrations.moe._grouped_mm", _grouped_product, is_fake_and_wide),
        ("bitsandbytes.functional.create_dynamic_map", _code_book, under_fake_mode),
    )
    with contextlib.ExitStack() as patches:
        for path, stand_in, tells in stand_ins:
            package = path.partition(".")[0]
            if package == "bitsandbytes" and OPTIMIZERS[request.optimizer].library != package:
                continue
            patches.enter_context(unless_fake(path, stand_in, tells))
        yield

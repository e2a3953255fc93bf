"""Cases of lesson 05's product with a 4-bit weight, most of them ways to keep a copy of it."""

from __future__ import annotations

import sys
from typing import Any

from labs_lib.assessment.exercises.cases import Case, build

MULTIPLY = "05.multiply-4bit"
LINUX = sys.platform.startswith("linux")


def multiply(saved: str = "stored", base_gradient: bool = False, transposed: bool = False):
    """Return a multiply_4bit built on an autograd function, right or with one thing wrong."""

    def make():
        import torch

        from labs_lib.quantization import dequantize

        class Product(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, stored):
                weight = dequantize(stored, x.dtype)
                if saved == "weight":
                    ctx.save_for_backward(weight)
                elif saved == "attribute":
                    ctx.weight = weight
                ctx.stored = stored
                return x @ weight.T

            @staticmethod
            def backward(ctx, *grad_outputs):
                (gradient,) = grad_outputs
                weight = dequantize(ctx.stored)
                if transposed:
                    weight = weight.flip(0)
                base = gradient.sum(0) if base_gradient else None
                return gradient @ weight, base

        return lambda x, stored: Product.apply(x, stored)

    return make


def checkpointed(x, stored):
    from torch.utils.checkpoint import checkpoint

    from labs_lib.quantization import dequantize

    def product(x):
        return x @ dequantize(stored).T

    return checkpoint(product, x, use_reentrant=False)


def room_layer(x, stored):
    from labs_lib.quantization import Linear4bit

    return Linear4bit(stored)(x)


def frozen_copy(x, stored):
    from labs_lib.quantization import dequantize

    return x @ dequantize(stored).T


def trained_base(x, stored):
    from labs_lib.quantization import dequantize

    weight = dequantize(stored)
    weight.requires_grad = True
    return x.matmul(weight.t())


def no_gradient(x, stored):
    import torch

    from labs_lib.quantization import dequantize

    with torch.no_grad():
        return x @ dequantize(stored).T


def codes_multiplied(x, stored):
    return x @ stored.codes.view(stored.shape).float().T


def transposed_weight(x, stored):
    from labs_lib.quantization import dequantize

    return x @ dequantize(stored)


class ByHooks:
    """What is saved for the backward pass is the 4-bit weight: unpacking restores it."""

    def __call__(self, x, stored):
        import torch

        from labs_lib.quantization import dequantize

        def pack(tensor):
            return tensor if tensor.numel() == x.numel() else stored

        def unpack(kept):
            return kept if isinstance(kept, torch.Tensor) else dequantize(kept).T

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return x @ dequantize(stored).T


def by_context() -> Any:
    """Return a product in autograd's newer style, behind functools.partial."""
    import functools

    import torch

    from labs_lib.quantization import dequantize

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(x, stored):
            return torch.nn.functional.linear(x, dequantize(stored))

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.stored = inputs[1]

        @staticmethod
        def backward(ctx, *grad_outputs):
            return torch.einsum("ti,io->to", grad_outputs[0], dequantize(ctx.stored)), None

    def product(layer, x, stored):
        return layer.apply(x, stored)

    return functools.partial(product, Product)


def reentrant(x, stored):
    from torch.utils.checkpoint import checkpoint

    from labs_lib.quantization import dequantize

    return checkpoint(lambda part: part @ dequantize(stored).T, x, use_reentrant=True)


def rooms_function(*, x, stored):
    from labs_lib.quantization.linear import MultiplyDequantized

    return MultiplyDequantized.apply(x, stored)


# How a copy of w may outlive the forward pass; one line each, in the forward of a Function.
KEEPERS = (
    "ctx.kept = w.numpy().copy()",
    "ctx.kept = w.numpy()",
    "ctx.kept = w.tolist()",
    "ctx.kept = w.numpy().tobytes()",
    "ctx.kept = memoryview(bytearray(w.numpy().tobytes()))",
    "ctx.kept = w.half()",
    "ctx.kept = w.numpy().astype('float16')",
    "ctx.kept = [row for row in w.bfloat16()]",
    "ctx.kept = stored.codes.clone()",
    "KEPT[id(stored)] = w",
    "KEPT[id(stored)] = w.numpy().copy()",
    "torch.kept = w",
    "object.__setattr__(stored, 'kept', w)",
    "ctx.kept = (lambda kept: lambda: kept)(w.clone())",
    "ctx.kept = (kept for kept in [w])",
    "import ctypes; ctx.kept = ctypes.create_string_buffer(w.numpy().tobytes())",
    "import io; ctx.kept = io.BytesIO(); torch.save(w, ctx.kept)",
    "ctx.kept = w.untyped_storage().clone()",
    "ctx.kept = torch.frombuffer(bytearray(w.numpy().tobytes()), dtype=torch.float32)",
    "import copy; ctx.kept = copy.deepcopy(w)",
    "w = w.requires_grad_(); ctx.save_for_backward(w)",
)  # fmt: skip
# Python's allocator does not know of these; the process's growth does, on Linux.
MAPPED = ("import mmap; ctx.kept = mmap.mmap(-1, w.nbytes); ctx.kept.write(w.numpy().tobytes())",)


def keeps(line):
    """Return the source of a multiply_4bit whose forward runs `line` with the restored w."""
    return (
        "import torch\n"
        "from labs_lib.quantization import dequantize\n"
        "KEPT = {}\n"
        "class Product(torch.autograd.Function):\n"
        "    @staticmethod\n"
        "    def forward(ctx, x, stored):\n"
        "        w = dequantize(stored, x.dtype)\n"
        f"        {line}\n"
        "        ctx.stored = stored\n"
        "        return x @ w.T\n"
        "    @staticmethod\n"
        "    def backward(ctx, gradient):\n"
        "        return gradient @ dequantize(ctx.stored, gradient.dtype), None\n"
        "def multiply_4bit(x, stored):\n"
        "    return Product.apply(x, stored)\n"
    )


def hidden_in_output(x, stored):
    """Keep the weight behind the output's own values, in one storage."""
    import torch

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, stored):
            from labs_lib.quantization import dequantize

            weight = dequantize(stored)
            y = x @ weight.T
            ctx.stored = stored
            return torch.cat([y.flatten(), weight.flatten()])[: y.numel()].view(y.shape)

        @staticmethod
        def backward(ctx, *grad_outputs):
            from labs_lib.quantization import dequantize

            return grad_outputs[0] @ dequantize(ctx.stored), None

    return Product.apply(x, stored)


def changes_stored(x, stored):
    y = checkpointed(x, stored)
    stored.packed.zero_()
    return y


def doubled(x, stored):
    return checkpointed(2 * x, stored) / 2 + 0 * x.sum() + 1


CASES: list[Case] = [
    (MULTIPLY, build(multiply()), "correct", "kept never"),
    (MULTIPLY, checkpointed, "correct", "kept never"),
    (MULTIPLY, room_layer, "correct", "kept never"),
    (MULTIPLY, ByHooks(), "correct", "kept never"),
    (MULTIPLY, build(by_context), "correct", "kept never"),
    (MULTIPLY, reentrant, "correct", "kept never"),
    (MULTIPLY, lambda x, stored: rooms_function(x=x, stored=stored), "correct", "kept never"),
    *((MULTIPLY, keeps(line), "incorrect", "copy is kept") for line in KEEPERS),
    *((MULTIPLY, keeps(line), "incorrect", "copy is kept") for line in MAPPED if LINUX),
    (MULTIPLY, keeps("pass"), "correct", "kept never"),
    (MULTIPLY, keeps("ctx.kept = stored.packed.clone()"), "correct", "kept never"),
    (MULTIPLY, hidden_in_output, "incorrect", "copy is kept"),
    (MULTIPLY, changes_stored, "incorrect", "stored weight"),
    (MULTIPLY, doubled, "incorrect", "are no weights"),
    (MULTIPLY, lambda x, stored: checkpointed(x, stored).sum(), "incorrect", "one tensor"),
    (MULTIPLY, lambda x, stored: checkpointed(x, stored).detach().numpy(), "incorrect",
     "one tensor"),
    (MULTIPLY, build(multiply(saved="weight")), "incorrect", "copy is kept"),
    (MULTIPLY, build(multiply(saved="attribute")), "incorrect", "copy is kept"),
    (MULTIPLY, frozen_copy, "incorrect", "copy is kept"),
    (MULTIPLY, trained_base, "incorrect", "gradient in the 4-bit base"),
    (MULTIPLY, build(multiply(base_gradient=True)), "incorrect", "gradient in the 4-bit base"),
    (MULTIPLY, no_gradient, "incorrect", "cut off from x"),
    (MULTIPLY, codes_multiplied, "incorrect", "are no weights"),
    (MULTIPLY, build(multiply(transposed=True)), "incorrect", "dL/dy @ W"),
    (MULTIPLY, transposed_weight, "error", "RuntimeError"),
]  # fmt: skip

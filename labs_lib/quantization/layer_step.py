"""One QLoRA step through one layer: which tensors live at each moment, and their bytes.

The layer is a transformer's MLP of two frozen maps in NF4 with double quantization, each with an
adapter: x → up → SiLU → down → y.  Computation and adapters are in bf16, the optimizer's two
moments in fp32, as in QLoRA (arXiv 2305.14314, §3).  Left out are the short-lived results that an
addition makes.  Loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from labs_lib.errors import LabError, shorten

BLOCK, SCALE_BLOCK = 64, 256


@dataclass(frozen=True)
class LayerShape:
    """The sizes of a step: `tokens` in the batch, the layer's `width` and `inner` width, `rank`.

    Raises `LabError` for a size that is no whole number from 1 up.
    """

    tokens: int = 512
    width: int = 4096
    inner: int = 11008
    rank: int = 16

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise LabError(f"{shorten(size)} is no whole number from 1 up", name)


@dataclass(frozen=True)
class StepTensor:
    """A tensor of the step: its letter, its shape in names of `LayerShape`, dtype and role.

    `dtype` is "nf4", "bf16" or "fp32"; `copies` says how many of this shape there are (the
    optimizer has two moments of each adapter matrix).
    """

    letter: str
    shape: tuple[str, str]
    dtype: str
    role: str
    copies: int = 1

    def bytes_in(self, sizes: LayerShape) -> int:
        """Return the bytes of this tensor, scales included where it is quantized."""
        elements = getattr(sizes, self.shape[0]) * getattr(sizes, self.shape[1])
        return self.copies * BYTES_OF[self.dtype](elements)


@dataclass(frozen=True)
class Moment:
    """A moment of the step: its pass, a title, a sentence, and the tensors that live then.

    `restored` names the weight that is restored from its 4 bits in this moment, or is empty.
    """

    phase: str
    title: str
    words: str
    live: tuple[str, ...]
    restored: str = ""


@dataclass(frozen=True)
class LayerStep:
    """A step's moments in order, with the bytes of each living tensor.

    `live_bytes` has a dictionary a moment, tensor → bytes.  `kept_bytes` are the activations that
    wait between the two passes.
    """

    moments: tuple[Moment, ...]
    live_bytes: tuple[dict[str, int], ...] = field(repr=False)
    kept_bytes: int

    @property
    def totals(self) -> list[int]:
        """Return the bytes at each moment."""
        return [sum(each.values()) for each in self.live_bytes]

    @property
    def peak(self) -> int:
        """Return the first moment with the most bytes, counted from 0."""
        return self.totals.index(max(self.totals))

    def times_restored(self, weight: str = "W_up") -> int:
        """Return how often a weight is restored from its 4 bits."""
        return sum(moment.restored == weight for moment in self.moments)


def nf4_bytes(elements: int) -> int:
    """Return the bytes of so many weights in NF4 with double quantization: codes and scales.

    Half a byte a weight, one for each block of 64, four for each 256 blocks, four for the mean.
    """
    blocks = -(-elements // BLOCK)
    return -(-elements // 2) + blocks + 4 * -(-blocks // SCALE_BLOCK) + 4


BYTES_OF: dict[str, Callable[[int], int]] = {
    "nf4": nf4_bytes,
    "bf16": lambda elements: 2 * elements,
    "fp32": lambda elements: 4 * elements,
}


def layer_step(sizes: LayerShape | None = None, checkpointing: bool = False) -> LayerStep:
    """Return one training step of the layer, with gradient checkpointing or without."""
    shape = LayerShape() if sizes is None else sizes
    moments = CHECKPOINTED if checkpointing else PLAIN
    live = tuple({name: TENSORS[name].bytes_in(shape) for name in each.live} for each in moments)
    waiting = next(at for at, each in enumerate(moments) if each.phase == "between")
    kept = sum(size for name, size in live[waiting].items() if TENSORS[name].role == "activations")
    return LayerStep(moments, live, kept)


# What there is, in the order in which it is drawn --------------------------------------------

TENSORS = {
    "W_up": StepTensor("W_up", ("inner", "width"), "nf4", "base"),
    "W_down": StepTensor("W_down", ("width", "inner"), "nf4", "base"),
    "A_up": StepTensor("A_up", ("rank", "width"), "bf16", "adapter"),
    "B_up": StepTensor("B_up", ("inner", "rank"), "bf16", "adapter"),
    "A_down": StepTensor("A_down", ("rank", "inner"), "bf16", "adapter"),
    "B_down": StepTensor("B_down", ("width", "rank"), "bf16", "adapter"),
    "m_A_up": StepTensor("m, v of A_up", ("rank", "width"), "fp32", "states", copies=2),
    "m_B_up": StepTensor("m, v of B_up", ("inner", "rank"), "fp32", "states", copies=2),
    "m_A_down": StepTensor("m, v of A_down", ("rank", "inner"), "fp32", "states", copies=2),
    "m_B_down": StepTensor("m, v of B_down", ("width", "rank"), "fp32", "states", copies=2),
    "x": StepTensor("x", ("tokens", "width"), "bf16", "activations"),
    "a_up": StepTensor("A_up x", ("tokens", "rank"), "bf16", "activations"),
    "u": StepTensor("u", ("tokens", "inner"), "bf16", "activations"),
    "s": StepTensor("SiLU(u)", ("tokens", "inner"), "bf16", "activations"),
    "a_down": StepTensor("A_down SiLU(u)", ("tokens", "rank"), "bf16", "activations"),
    "y": StepTensor("y", ("tokens", "width"), "bf16", "activations"),
    "W_up_16": StepTensor("W_up in 16 bits", ("inner", "width"), "bf16", "copy"),
    "W_down_16": StepTensor("W_down in 16 bits", ("width", "inner"), "bf16", "copy"),
    "g_y": StepTensor("∂y", ("tokens", "width"), "bf16", "gradients"),
    "g_a_down": StepTensor("∂(A_down SiLU(u))", ("tokens", "rank"), "bf16", "gradients"),
    "g_s": StepTensor("∂SiLU(u)", ("tokens", "inner"), "bf16", "gradients"),
    "g_u": StepTensor("∂u", ("tokens", "inner"), "bf16", "gradients"),
    "g_a_up": StepTensor("∂(A_up x)", ("tokens", "rank"), "bf16", "gradients"),
    "g_x": StepTensor("∂x", ("tokens", "width"), "bf16", "gradients"),
    "g_A_up": StepTensor("∂A_up", ("rank", "width"), "bf16", "gradients"),
    "g_B_up": StepTensor("∂B_up", ("inner", "rank"), "bf16", "gradients"),
    "g_A_down": StepTensor("∂A_down", ("rank", "inner"), "bf16", "gradients"),
    "g_B_down": StepTensor("∂B_down", ("width", "rank"), "bf16", "gradients"),
}
_RESIDENT = tuple(
    name for name, each in TENSORS.items() if each.role in ("base", "adapter", "states")
)
_DOWN_GRADIENTS, _UP_GRADIENTS = ("g_A_down", "g_B_down"), ("g_A_up", "g_B_up")


def _moment(phase: str, title: str, words: str, live: Sequence[str], restored: str = "") -> Moment:
    return Moment(phase, title, words, (*_RESIDENT, *live), restored)


def _forward(phase: str, waiting: Sequence[str], again: str = "") -> list[Moment]:
    """Return the moments from x to the last tensor that the backward pass asks for."""
    return [
        _moment(
            phase, f"Restore W_up{again}",
            "The 4-bit codes of W_up become a 16-bit copy, and u = W_up x is computed with it.",
            (*waiting, "x", "W_up_16", "u"), "W_up",
        ),
        _moment(
            phase, f"Adapter of up{again}",
            "The copy is gone. A_up x is kept for the gradient of B_up; its product with B_up is "
            "added to u.",
            (*waiting, "x", "a_up", "u"),
        ),
        _moment(
            phase, f"SiLU{again}",
            "The activation function is applied to u. Both sides of it are kept.",
            (*waiting, "x", "a_up", "u", "s"),
        ),
        _moment(
            phase, f"Restore W_down{again}",
            "A 16-bit copy of W_down appears for the second product.",
            (*waiting, "x", "a_up", "u", "s", "W_down_16", "y"), "W_down",
        ),
        _moment(
            phase, f"Adapter of down{again}",
            "The copy is gone again, and the second adapter adds its part.",
            (*waiting, "x", "a_up", "u", "s", "a_down", "y"),
        ),
    ]  # fmt: skip


def _backward() -> list[Moment]:
    """Return the moments from the gradient of y to the optimizer's step."""
    every = (*_DOWN_GRADIENTS, *_UP_GRADIENTS)
    return [
        _moment(
            "backward", "Gradients of A_down, B_down",
            "They are made from what was kept. W_down gets no gradient: it is frozen.",
            ("x", "a_up", "u", "s", "a_down", "g_y", "g_a_down", *_DOWN_GRADIENTS),
        ),
        _moment(
            "backward", "Restore W_down for its gradient",
            "The gradient has to pass through W_down, so its 16-bit copy is made once more.",
            ("x", "a_up", "u", "g_y", "g_a_down", "W_down_16", "g_s", *_DOWN_GRADIENTS), "W_down",
        ),
        _moment(
            "backward", "SiLU, backward",
            "The copy is gone. u says how steep the activation function is at each number.",
            ("x", "a_up", "u", "g_s", "g_u", *_DOWN_GRADIENTS),
        ),
        _moment(
            "backward", "Gradients of A_up, B_up",
            "The first adapter's gradients need x and A_up x.",
            ("x", "a_up", "g_u", "g_a_up", *every),
        ),
        _moment(
            "backward", "Restore W_up for its gradient",
            "W_up is restored too, to hand a gradient on to x and to the layers below.",
            ("g_u", "g_a_up", "W_up_16", "g_x", *every), "W_up",
        ),
        _moment(
            "backward", "The layer is done",
            "The gradient of x goes to the layer below. Here only the adapters' gradients stay.",
            ("g_x", *every),
        ),
        _moment(
            "optimizer", "Optimizer step",
            "AdamW moves the four adapter matrices by its moments. The 4-bit base never changes.",
            every,
        ),
    ]  # fmt: skip


_START = [
    _moment(
        "rest", "Before the step", "At rest: the base in 4 bits, the adapters, their moments.", ()
    ),
    _moment("forward", "x arrives", "The layer below hands its output on, in bf16.", ("x",)),
]
_HANDED_BACK = "The layer above hands the gradient of y back."
_KEPT = ("x", "a_up", "u", "s", "a_down")

PLAIN = (
    *_START,
    *_forward("forward", ()),
    _moment(
        "between", "Between the passes",
        "y has gone to the layer above. What the backward pass will ask for waits here.",
        _KEPT,
    ),
    _moment("backward", "∂y arrives", _HANDED_BACK, (*_KEPT, "g_y")),
    *_backward(),
)  # fmt: skip
"""Without checkpointing."""

CHECKPOINTED = (
    *_START,
    *_forward("forward", ()),
    _moment(
        "between", "Between the passes",
        "y has gone to the layer above. Only x was kept; all else will be computed again.",
        ("x",),
    ),
    _moment("backward", "∂y arrives", _HANDED_BACK, ("x", "g_y")),
    *_forward("again", ("g_y",), ", again"),
    *_backward(),
)  # fmt: skip
"""With gradient checkpointing: the forward pass of the layer runs a second time."""

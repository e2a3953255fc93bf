"""What the formula counts of a model before a step begins: parameters, weights, what is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labs_lib.memory.request import MemoryRequest
from labs_lib.models.catalogue import Entry
from labs_lib.step.adapters import Brought, LinearSize
from labs_lib.step.bases import PLAIN, Base
from labs_lib.step.families import ends_with, family_of
from labs_lib.step.states import Group, Shape

POSITIONS_AT_ONCE = 128
"""How many answers' logits the course's trainer makes at once."""
SCORES_AT_ONCE = 2**18
"""How many of attention's scores it makes at once where it writes attention out, 1 MiB in fp32."""
WRITTEN_OUT_TOKENS = 256
"""The longest rows whose attention it writes out, in bf16 on a CPU."""
KEPT_WEIGHTS_TOKENS = 96
"""The longest rows of which it then keeps attention's weights for the backward pass."""


@dataclass(frozen=True)
class LaidOut:
    """A batch as the course's trainer lays it out: what layers, attention and head are given.

    Attention alone is given `rows` of `longest` tokens, padded. All else is given `tokens`: the
    rows end to end, without padding, behind the beginning that they share. `answers` of them
    predict a token that is learned; there alone logits are made. `words_added` says that a head
    which is the table of words too has the words' gradients added to its own, in place.
    """

    rows: int
    longest: int
    tokens: int
    answers: int
    words_added: bool = False

    @property
    def packed(self) -> bool:
        """Return whether the rows lie end to end; else they are padded, as they came."""
        return self.tokens < self.rows * self.longest


class Sizes:
    """The sizes that every term of the formula is made of.

    `t` tokens go through `depth` layers of width `h` with `v` words; an activation takes `c`
    bytes, what goes from layer to layer `stream`, what enters and leaves a layer's maps `wide`, an
    adapter parameter `a`, a weight that is not quantized `w`.
    """

    def __init__(
        self,
        request: MemoryRequest,
        shapes: Entry,
        targets: Sequence[str],
        laid_out: LaidOut | None = None,
    ):
        self.request, self.shapes, self.linears = request, shapes, shapes.linears
        self.kind = shapes.family.model_type
        self.family = family_of(self.kind)
        self.targets = tuple(
            each for each in self.linears if any(ends_with(each.module, name) for name in targets)
        )
        self.head_adapted = "lm_head" in targets
        self.adapter = request.adapter
        self.full = self.adapter is None
        self.laid_out = laid_out
        self.packed = laid_out is not None and laid_out.packed
        # In bf16 on a CPU the course's trainer computes norms, adapted maps and the attention of
        # short rows by a function of its own each.
        self.at_once = (
            laid_out is not None
            and request.device == "cpu"
            and request.precision == "mixed"
            and self.family.gated
        )
        self.written_out = (
            self.at_once and laid_out is not None and laid_out.longest <= WRITTEN_OUT_TOKENS
        )
        self.t = laid_out.tokens if laid_out else request.tokens
        self.h, self.v = shapes.hidden_size, shapes.vocab_size
        self.c, self.a = request.compute_itemsize, request.adapter_itemsize
        self.depth = shapes.layers
        # A window that the text does not fit into needs a mask, and a mask the general kernel.
        window = shapes.config.get("sliding_window") or request.seq_len
        self.masked = self.family.sliding_window and request.seq_len > window
        kept = 4 if request.prepare_kbit and request.quantizes else request.weight_itemsize
        self.w = kept
        if kept == 4:  # an embedding in fp32 makes the whole stream of activations fp32
            self.c = 4 if request.precision != "mixed" else self.c
        self.stream = 4 if kept == 4 else self.c
        # A prepared 4-bit base under autocast: norms give fp32, and a 4-bit map what it was given.
        self.wide = self.c if self.full or self.at_once else self.stream
        # Autocast multiplies fp32 weights as copies in 16 bits.
        self.copies_weights = request.precision == "mixed" and kept == 4
        replaced = request.quantizes and self.family.quantizable
        self.base: Base = request.base if replaced else PLAIN["fp32" if self.w == 4 else "bf16"]

    # Elements -------------------------------------------------------------------------------

    def norm_parameters(self) -> int:
        """Return the elements of a layer's norms."""
        return self.family.norms * self.family.vectors_per_norm * self.h

    def outer_tensors(self) -> list[Shape]:
        """Return the shape of each tensor outside the layers; a tied head is the embedding."""
        shapes: list[Shape] = [(self.v, self.h)]
        if not self.shapes.tie_word_embeddings:
            shapes.append((self.v, self.h))
        if self.family.learned_positions:
            shapes.append((self.shapes.max_positions, self.h))
        return shapes + [(self.h,)] * self.family.vectors_per_norm

    def layer_tensors(self) -> list[Shape]:
        """Return the shape of each parameter tensor of a layer."""
        shapes: list[Shape] = [(self.h,)] * (self.norm_parameters() // self.h)
        for linear in self.linears:
            shapes.append((linear.out_features, linear.in_features))
            if linear.bias:
                shapes.append((linear.out_features,))
        return shapes

    def base_parameters(self) -> int:
        """Return the number of the base model's parameters."""
        return self.depth * _elements(self.layer_tensors()) + _elements(self.outer_tensors())

    def adapter_tensors(self) -> list[Shape]:
        """Return the shape of each adapter tensor of a layer."""
        if self.adapter is None:
            return []
        rank = self.request.rank
        return [shape for linear in self.targets for shape in self.adapter.tensors(linear, rank)]

    def head_adapter_tensors(self) -> list[Shape]:
        """Return the shape of each adapter tensor on the output head."""
        if self.adapter is None or not self.head_adapted:
            return []
        return self.adapter.tensors(self.head(), self.request.rank)

    def head(self) -> LinearSize:
        """Return the output head."""
        return LinearSize("lm_head", self.h, self.v)

    def trainable(self) -> list[Group]:
        """Return (shape, how many such tensors) of everything that is trained."""
        if self.full:
            groups = [(shape, self.depth) for shape in self.layer_tensors()]
            return groups + [(shape, 1) for shape in self.outer_tensors()]
        groups = [(shape, self.depth) for shape in self.adapter_tensors()]
        return groups + [(shape, 1) for shape in self.head_adapter_tensors()]

    # Bytes ----------------------------------------------------------------------------------

    def kept_mask(self) -> int:
        """Return the bytes of the mask: checkpointing keeps each layer's arguments, and it is one.

        Eager attention adds a mask of numbers to the scores; a window's is one of truth values.
        """
        eager = self.request.attention == "eager"
        itemsize = self.c if eager else 1
        pairs = self.request.batch * self.request.seq_len**2
        return itemsize * pairs * (self.request.checkpointing and (eager or self.masked))

    @property
    def trained_itemsize(self) -> int:
        """Return the bytes of one parameter that is trained."""
        return self.request.weight_itemsize if self.full else self.a

    def weights(self) -> int:
        """Return the bytes of the base model with its buffers and 4-bit statistics.

        What an adapter brings and does not train counts with them.
        """
        buffers = 0
        if not self.family.learned_positions:
            buffers = 2 * 4 * (self.shapes.head_size // 2)  # inv_freq, twice
        layer = self.norm_parameters() * self.w
        for linear in self.linears:
            layer += self.base.weight_bytes(
                linear.out_features, linear.in_features, self.request.double_quant
            )
            layer += linear.out_features * self.w if linear.bias else 0
        brought = 0
        if self.adapter is not None:
            brought = self.adapter.brought(
                Brought(self.targets, self.request.rank, self.depth, self.a)
            )
        outer = _elements(self.outer_tensors()) * self.w
        return self.depth * layer + outer + buffers + brought


def _elements(shapes: Sequence[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)

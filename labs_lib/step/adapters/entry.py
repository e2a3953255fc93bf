"""What an entry of the table of adapters says: PEFT's configuration, its tensors, its bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from labs_lib.step.states import Shape, no_bytes

if TYPE_CHECKING:
    from peft import PeftConfig


class Linear(Protocol):
    """A linear map of a decoder layer: its path in the layer, and its sizes."""

    @property
    def module(self) -> str:
        """Return the path inside the layer."""
        ...

    @property
    def in_features(self) -> int:
        """Return the width of the input."""
        ...

    @property
    def out_features(self) -> int:
        """Return the width of the result."""
        ...


class LinearSize(NamedTuple):
    """A linear map that no table lists, such as the output head."""

    module: str
    in_features: int
    out_features: int


@dataclass(frozen=True)
class AdapterSettings:
    """What a person sets of an adapter. `bias` is PEFT's: which biases are trained beside it.

    `steps` is how many optimizer steps the run takes, for an adapter with a schedule of its own.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    bias: str = "none"
    rslora: bool = False
    steps: int = 1


@dataclass(frozen=True)
class AdaptedInput:
    """The adapted maps that share one input, in a layer that `tokens` go through.

    `width` is the input's; `already_saved` says that something else keeps it for the backward
    pass anyway. An activation takes `compute_itemsize` bytes, an adapter's element
    `adapter_itemsize`; with `autocast` the adapter multiplies in 16-bit copies.
    """

    linears: Sequence[Linear]
    width: int
    already_saved: bool
    tokens: int
    rank: int
    dropout: float
    compute_itemsize: int
    adapter_itemsize: int
    autocast: bool


class Brought(NamedTuple):
    """What an adapter brings and does not train, asked for by its maps in one layer.

    `linears` are adapted in each of `depth` layers; an element takes `itemsize` bytes.
    """

    linears: Sequence[Linear]
    rank: int
    depth: int
    itemsize: int


def nothing_brought(_: Brought) -> int:
    """Return 0: every tensor that the adapter brings is trained."""
    return 0


@dataclass(frozen=True)
class Training:
    """How an adapter is trained where that is not as LoRA is.

    `optimizer` builds the adapter's own: (PEFT's model, an optimizer's class, its arguments, the
    settings) → optimizer; its states are those of AdamW. `begin` starts the adapter from data:
    (PEFT's model, batches). `after_step` is told each optimizer step, counted from 0, while the
    gradients are still there. `extra_loss` gives what is added to the loss. `no_resuming` says why
    a run cannot go on from a checkpoint; empty where it can.
    """

    optimizer: Callable[[Any, type, dict[str, Any], AdapterSettings], Any] | None = None
    begin: Callable[[Any, Sequence[dict[str, Any]]], None] | None = None
    after_step: Callable[[Any, int], None] | None = None
    extra_loss: Callable[[Any], Any] | None = None
    no_resuming: str = ""


@dataclass(frozen=True)
class Adapter:
    """A PEFT method: how its configuration is built, and the bytes that it adds.

    `prefix` begins the names of its tensors; `tensors` gives the shapes of those on one linear
    map; `config` takes the settings, the targets and what PEFT's configurations have in common
    (`task_type`, `fan_in_fan_out`). `saved` gives the bytes that the adapters on one input keep
    for the backward pass, None where no formula is known. `temporary` is what the forward pass
    of one layer holds besides, `brought` the bytes of tensors that it brings and does not train.

    `size` says what a recipe's `rank` sets, and is empty where it sets nothing; with
    `grows_in_lines` each side of its tensors grows in a line with it, as a fit takes for granted.
    `frozen` is a part of the names of those of its tensors that stay as they begin. `on_linears` is
    False for an adapter that goes elsewhere, whatever the targets are; `in_front` is True for one
    whose trained vectors come before what the model reads. `needs_weights` says why it cannot begin
    on quantized weights.
    `moves_base`: it begins by taking a part out of the base's weights, so that its file is
    converted to a LoRA adapter of twice the rank, which fits the base as it was.
    """

    title: str
    prefix: str
    config: Callable[[AdapterSettings, Any, dict[str, Any]], PeftConfig] = field(repr=False)
    tensors: Callable[[Linear, int], list[Shape]] = field(repr=False)
    saved: Callable[[AdaptedInput], int] | None = field(default=None, repr=False)
    temporary: Callable[[Sequence[Linear], int], int] = field(default=no_bytes, repr=False)
    brought: Callable[[Brought], int] = field(default=nothing_brought, repr=False)
    size: str = "rank"
    grows_in_lines: bool = True
    frozen: str = ""
    on_linears: bool = True
    in_front: bool = False
    needs_weights: str = ""
    moves_base: bool = False
    training: Training = field(default=Training(), repr=False)

    @property
    def has_rank(self) -> bool:
        """Return whether a rank, or a size by another name, means anything to it."""
        return bool(self.size)

    def peft_config(
        self,
        settings: AdapterSettings,
        targets: Sequence[str] | str,
        task_type: str | None = "CAUSAL_LM",
        conv1d: bool = False,
    ) -> PeftConfig:
        """Return PEFT's configuration; `conv1d` for weights stored (d_in, d_out), as in GPT-2.

        `targets` are names that PEFT matches, or its own word "all-linear".
        """
        targets = targets if isinstance(targets, str) else list(targets)
        return self.config(settings, targets, {"task_type": task_type, "fan_in_fan_out": conv1d})

    def freeze(self, model: Any) -> None:
        """Stop the training of those tensors of PEFT's `model` that stay as they begin."""
        if self.frozen:
            for name, parameter in model.named_parameters():
                if self.frozen in name:
                    parameter.requires_grad_(False)


def no_tensors(_linear: Linear, _rank: int) -> list[Shape]:
    """Return no shapes: the adapter has none on a linear map."""
    return []

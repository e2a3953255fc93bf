"""The adapters of the course, each with PEFT's configuration of it and what it costs.

A new one is one `Adapter` in `ADAPTERS` and its name in `labs_lib.step.methods`. One without
`saved` has no formula: its forecast is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from labs_lib.step.families import PARTS_BY_NAME, parts_of
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
    """What a person sets of an adapter. `bias` is PEFT's: which biases are trained beside it."""

    rank: int
    alpha: float
    dropout: float = 0.0
    bias: str = "none"
    rslora: bool = False


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


@dataclass(frozen=True)
class Adapter:
    """A PEFT method: how its configuration is built, and the bytes that it adds.

    `prefix` begins the names of its tensors; `tensors` gives the shapes of those on one linear
    map; `config` takes the settings, the targets and what PEFT's configurations have in common
    (`task_type`, `fan_in_fan_out`). `saved` gives the bytes that the adapters on one input keep
    for the backward pass, None where no formula is known. `temporary` is what the forward pass
    of one layer holds besides. `has_rank` says whether a rank means anything to it.
    """

    title: str
    prefix: str
    config: Callable[[AdapterSettings, Any, dict[str, Any]], PeftConfig] = field(repr=False)
    tensors: Callable[[Linear, int], list[Shape]] = field(repr=False)
    saved: Callable[[AdaptedInput], int] | None = field(default=None, repr=False)
    temporary: Callable[[Sequence[Linear], int], int] = field(default=no_bytes, repr=False)
    has_rank: bool = True

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


# LoRA and DoRA ---------------------------------------------------------------------------------


def _lora_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]  (PEFT divides; floats work)
        lora_dropout=settings.dropout,
        bias=settings.bias,  # pyright: ignore[reportArgumentType]
        target_modules=targets,
        use_rslora=settings.rslora,
        **common,
    )


def _dora_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    return _lora_config(settings, targets, {**common, "use_dora": True})


def _lora_tensors(linear: Linear, rank: int) -> list[Shape]:
    return [(rank, linear.in_features), (linear.out_features, rank)]


def _dora_tensors(linear: Linear, rank: int) -> list[Shape]:
    return [*_lora_tensors(linear, rank), (linear.out_features,)]


def _lora_saved(at: AdaptedInput) -> int:
    c, a, rank, many = at.compute_itemsize, at.adapter_itemsize, at.rank, len(at.linears)
    if at.autocast:  # keeps 16-bit copies of input and adapter
        copies = sum(rank * (each.in_features + each.out_features) for each in at.linears)
        masks = many * a * at.tokens * at.width * (at.dropout > 0)
        return masks + c * (many * at.tokens * (at.width + rank) + copies)
    if at.dropout > 0:  # the input after dropout and the mask, one of each for each adapter
        inputs = 2 * many * a * at.tokens * at.width
    elif a != c:  # a copy in the adapter's precision for each adapter
        inputs = many * a * at.tokens * at.width
    else:
        inputs = 0 if at.already_saved else c * at.tokens * at.width
    return inputs + many * a * at.tokens * rank


def _dora_saved(at: AdaptedInput) -> int:
    # Both paths' results, to be scaled by the magnitude.
    both = at.adapter_itemsize + at.compute_itemsize
    results = sum(both * at.tokens * each.out_features for each in at.linears)
    return results + _lora_saved(at)


def _dora_temporary(linears: Sequence[Linear], itemsize: int) -> int:
    # To find the whole weight's norm PEFT sends a unit matrix through the adapter: it, and four
    # copies of the product.
    sizes = [
        itemsize * each.in_features * (each.in_features + 4 * each.out_features) for each in linears
    ]
    return max(sizes, default=0)


LORA = Adapter(
    title="LoRA",
    prefix="lora_",
    config=_lora_config,
    tensors=_lora_tensors,
    saved=_lora_saved,
)
DORA = Adapter(
    title="DoRA",
    prefix="lora_",
    config=_dora_config,
    tensors=_dora_tensors,
    saved=_dora_saved,
    temporary=_dora_temporary,
)

# IA³ -------------------------------------------------------------------------------------------


def _scales_its_input(path: str) -> bool:
    """Return whether IA³ scales what goes into this map: the MLP's last (arXiv 2205.05638 §3.3)."""
    return parts_of(path) == ("down",)


def _ia3_config(_settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import IA3Config

    if isinstance(targets, str):
        inputs = [name for name in PARTS_BY_NAME if _scales_its_input(name)]
    else:
        # GPT-2's "c_proj" is attention's and the MLP's: the latter is named in full beside it.
        longer = [name for name in PARTS_BY_NAME if any(name.endswith(f".{t}") for t in targets)]
        inputs = [name for name in (*targets, *longer) if _scales_its_input(name)]
        targets = list(dict.fromkeys((*targets, *inputs)))
    return IA3Config(target_modules=targets, feedforward_modules=inputs, **common)


def _ia3_tensors(linear: Linear, _rank: int) -> list[Shape]:
    if _scales_its_input(linear.module):
        return [(1, linear.in_features)]
    return [(linear.out_features, 1)]


def _ia3_saved(at: AdaptedInput) -> int:
    # What is scaled, and the factors: a map's result, or in the adapter's precision its input.
    a, c = at.adapter_itemsize, at.compute_itemsize
    return sum(
        (a * at.tokens + a) * each.in_features
        if _scales_its_input(each.module)
        else (c * at.tokens + a) * each.out_features
        for each in at.linears
    )


IA3 = Adapter(
    title="IA³",
    prefix="ia3_",
    config=_ia3_config,
    tensors=_ia3_tensors,
    saved=_ia3_saved,
    has_rank=False,
)

ADAPTERS = [LORA, DORA, IA3]


def is_adapter_tensor(name: str) -> bool:
    """Return whether a parameter's name is that of an adapter's tensor."""
    return any(adapter.prefix in name for adapter in ADAPTERS)

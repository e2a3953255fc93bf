"""A trained rotation of what enters a map: OFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs_lib.step.adapters.entry import Adapter, AdapterSettings, Linear
from labs_lib.step.states import Shape

if TYPE_CHECKING:
    from peft import PeftConfig


def _oft_config(settings: AdapterSettings, targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import OFTConfig

    return OFTConfig(
        r=0,  # the number of blocks, which follows from their side
        oft_block_size=settings.rank,
        module_dropout=settings.dropout,
        target_modules=targets,
        **common,
    )


def _oft_tensors(linear: Linear, side: int) -> list[Shape]:
    # A block's rotation comes from the half of a skew-symmetric matrix above the diagonal.
    return [(linear.in_features // side, side * (side - 1) // 2)]


OFT = Adapter(
    title="OFT",
    prefix="oft_",
    config=_oft_config,
    tensors=_oft_tensors,
    size="the side of a block",
    grows_in_lines=False,  # fewer blocks where they are larger
)

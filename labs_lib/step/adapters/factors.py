"""Trained factors for what the model has: IA³ on its maps, layer-norm tuning on its norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs_lib.step.adapters.entry import (
    AdaptedInput,
    Adapter,
    AdapterSettings,
    Linear,
    no_tensors,
)
from labs_lib.step.families import PARTS_BY_NAME, parts_of
from labs_lib.step.states import Shape

if TYPE_CHECKING:
    from peft import PeftConfig


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


def _ln_config(_settings: AdapterSettings, _targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import LNTuningConfig

    return LNTuningConfig(task_type=common["task_type"])  # PEFT knows a family's norms by name


IA3 = Adapter(
    title="IA³",
    prefix="ia3_",
    config=_ia3_config,
    tensors=_ia3_tensors,
    saved=_ia3_saved,
    size="",
)
LN_TUNING = Adapter(
    title="layer-norm tuning",
    prefix="ln_tuning_",
    config=_ln_config,
    tensors=no_tensors,
    size="",
    on_linears=False,
)

"""Trained vectors in front of what the model reads: prompt tuning, prefix tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs_lib.step.adapters.entry import Adapter, AdapterSettings, Training, no_tensors

if TYPE_CHECKING:
    from peft import PeftConfig


def _prompt_config(settings: AdapterSettings, _targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import PromptTuningConfig

    return PromptTuningConfig(
        num_virtual_tokens=settings.rank,
        prompt_tuning_init="SAMPLE_VOCAB",  # random vectors lie far from any word's
        task_type=common["task_type"],
    )


def _prefix_config(settings: AdapterSettings, _targets: Any, common: dict[str, Any]) -> PeftConfig:
    from peft import PrefixTuningConfig

    # Random keys and values would drown the text's own; PEFT begins at zero on demand.
    return PrefixTuningConfig(
        num_virtual_tokens=settings.rank, init_weights="zero", task_type=common["task_type"]
    )


_NO_RESUMING = Training(
    no_resuming="PEFT reports the vectors of a checkpoint as unknown to the model, so that a whole "
    "one cannot be told from a damaged one"
)

PROMPT_TUNING = Adapter(
    title="prompt tuning",
    prefix="prompt_encoder.",
    config=_prompt_config,
    tensors=no_tensors,
    size="the number of virtual tokens",
    on_linears=False,
    in_front=True,
    training=_NO_RESUMING,
)
PREFIX_TUNING = Adapter(
    title="prefix tuning",
    prefix="prompt_encoder.",
    config=_prefix_config,
    tensors=no_tensors,
    size="the number of virtual tokens",
    on_linears=False,
    in_front=True,
    training=_NO_RESUMING,
)

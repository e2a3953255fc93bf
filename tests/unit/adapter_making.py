"""Adapters on the tiny model with weights that training might have moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from labs_lib import models

IDS = torch.tensor([[5, 1, 2, 9, 33]])


def trained(base: Path, kind: str, settings: dict[str, Any], folder: Path) -> torch.Tensor:
    """Save an adapter with moved weights to `folder`; return its model's logits on `IDS`."""
    import peft

    model = models.load_model(base, dtype="fp32", device="cpu")
    wrapped: Any = peft.get_peft_model(model, getattr(peft, kind)(**settings))
    torch.manual_seed(1)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    wrapped.eval()
    for config in wrapped.peft_config.values():
        config.base_model_name_or_path = str(base)
    wrapped.save_pretrained(str(folder), save_embedding_layers=False)
    return logits(wrapped)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits.float()

"""A model of a few thousand weights on which the libraries' own calls are tried in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

IDS = ((1, 2, 3, 4, 5, 6),)


def tiny_llama(layers: int = 2, seed: int = 0) -> nn.Module:
    """Return a Llama of width 32 with random weights in fp32, the same for the same seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=64,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def with_lora(model: nn.Module, trained: bool = False, **settings: Any) -> Any:
    """Return PEFT's model with LoRA r=4 on q and v; `trained` gives B values other than zero."""
    import torch
    from peft import LoraConfig, get_peft_model

    fields: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "v_proj"],
        **settings,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        wrapped: Any = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **fields))
        if trained:
            fill(wrapped)
    return wrapped


def fill(wrapped: Any, seed: int = 2, scale: float = 0.1) -> None:
    """Give every `lora_B` random values, as if it had been trained."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name and parameter.requires_grad:
            values = torch.randn(parameter.shape, generator=generator)
            parameter.data.copy_(scale * values)


def logits(model: Any) -> Any:
    """Return the logits for one fixed text, without gradients."""
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor(IDS)).logits

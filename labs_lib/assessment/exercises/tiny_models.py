"""Random models so small that a check makes one in a moment."""

from __future__ import annotations

from typing import Any


def decoder_config(
    config_type: Any, *, layers: int, hidden_size: int, heads: int, vocab_size: int
) -> Any:
    """Return the configuration of a tiny decoder of Llama's build (LlamaConfig, Qwen2Config).

    The MLP is twice as wide as the hidden state; two query heads share a key and a value head.
    """
    return config_type(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
    )


def repeatable_model(config: Any) -> Any:
    """Return a random causal language model of a configuration.

    The same weights every time; the caller's random state is left alone.
    """
    import torch
    from transformers import AutoModelForCausalLM

    library: Any = torch
    auto: Any = AutoModelForCausalLM
    with library.random.fork_rng(devices=[]):
        library.manual_seed(0)
        return auto.from_config(config)

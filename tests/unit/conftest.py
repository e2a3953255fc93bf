"""Small models that the unit tests train in a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, labs_home: Path) -> Path:
    """Return a folder with a two-layer random Llama that speaks the bundled model's tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from labs_lib import models

    folder = tmp_path_factory.mktemp("tiny") / "model"
    bundled = models.prepare_bundled()
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=64,  # a 4-bit block holds 64 weights
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    for file in bundled.iterdir():
        if "token" in file.name or "template" in file.name:
            shutil.copy(file, folder / file.name)
    return folder

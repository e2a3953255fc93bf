"""What a stranger brings to `train`, made small: models of many families, templates, rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from test_training_session import tiny_recipe

from labs_lib.training import Recipe

SHAPE: dict[str, Any] = {
    "vocab_size": 49152, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 2,
}  # fmt: skip
GPT2: dict[str, Any] = {"vocab_size": 49152, "n_embd": 32, "n_layer": 2, "n_head": 4}


def make(folder: Path, tiny_model: Path, family: str = "llama", **config: Any) -> Path:
    """Save a small random model of a family, with the bundled model's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = config if family in ("gpt2", "mpt", "bloom") else {**SHAPE, **config}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **fields))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(4)  # logits that a cap or a scale shows in
    model.save_pretrained(folder)
    for file in tiny_model.iterdir():
        if "token" in file.name or "template" in file.name:
            shutil.copy(file, folder / file.name)
    return folder


def with_template(folder: Path, template: str | None) -> Path:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def rows_file(path: Path, rows: int = 12, **fields: str) -> str:
    content = (
        {"prompt": f"What is {n}?", "completion": f"It is {n}.", **fields} for n in range(rows)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return str(path)


def short(model: Path, **changes: Any) -> Recipe:
    fields = {"target_modules": "all-linear", "steps": 2, "eval_rows": 1, "eval_tokens": 2}
    fields |= {"checkpoint_every": 0, "precision": "fp32", "batch_size": 2, "dropout": 0.0}
    return tiny_recipe(model, **{**fields, **changes})

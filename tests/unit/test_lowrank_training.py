"""The bundled model trained with our adapters and with PEFT's from the same factors."""

from typing import Any

import pytest
import torch

from labs_lib.lowrank import eject, inject

TEXTS = [
    "The capital of France is Paris, and the capital of Hungary is Budapest.",
    "Low-rank adaptation trains two small matrices and leaves the large one alone.",
]
STEPS, RANK, ALPHA = 5, 8, 16


def loss_curve(model: Any, batch: Any) -> list[float]:
    """Five AdamW steps on one batch; return the loss before each."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=5e-3)
    losses = []
    model.train()
    for _ in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
def test_smollm2_learns_along_the_same_curve_with_ours_and_with_pefts():
    from peft import LoraConfig, get_peft_model

    from labs_lib.models import load_model, load_tokenizer, resolve_targets

    model: Any = load_model(dtype="fp32", device="cpu")
    tokenizer: Any = load_tokenizer()
    batch = dict(tokenizer(TEXTS, return_tensors="pt", padding=True))
    batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)

    with torch.no_grad():
        before = model(**batch).loss.item()
    torch.manual_seed(0)
    layers = inject(model, RANK, ALPHA, "q,v")
    start = {name: layer.lora_A.detach().clone() for name, layer in layers.items()}
    with torch.no_grad():
        assert model(**batch).loss.item() == before  # B = 0: injected, and nothing has changed
    ours = loss_curve(model, batch)
    eject(model)
    with torch.no_grad():
        assert model.eval()(**batch).loss.item() == before  # the base never moved

    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        target_modules=resolve_targets(model, "q,v"),
        task_type="CAUSAL_LM",
    )
    wrapped: Any = get_peft_model(model, config)
    with torch.no_grad():
        for name, factor in start.items():
            wrapped.get_submodule(f"base_model.model.{name}").lora_A["default"].weight.copy_(factor)
    theirs = loss_curve(wrapped, batch)

    assert ours[0] == pytest.approx(before, rel=1e-6)
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert ours[-1] < 0.8 * ours[0]  # and it learns, so the curves are worth comparing

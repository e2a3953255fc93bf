"""The loss that a run takes is that of the model's own logits, whatever the family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from training_inputs import GPT2, make, short

from labs_lib import data, hardware, models
from labs_lib.training import train
from labs_lib.training.encoding import Encoder
from labs_lib.training.engine import trainer as trainer_module
from labs_lib.training.engine.building import build_trainer
from labs_lib.training.engine.loss_check import ALL_LOGITS, AT_ANSWERS, QUICK
from labs_lib.training.progress import Silent

# family → its configuration, and which loss must be taken (None: either).
FAMILIES: dict[str, tuple[dict[str, Any], str | None]] = {
    "llama": ({}, QUICK),
    "qwen2": ({}, QUICK),
    "mistral": ({"sliding_window": 8}, None),
    "granite": ({"logits_scaling": 8.0, "embedding_multiplier": 3.0}, AT_ANSWERS),
    "cohere": ({"logit_scale": 0.1}, AT_ANSWERS),
    "gemma2": ({"head_dim": 8, "final_logit_softcapping": 2.0}, AT_ANSWERS),
    "phi": ({}, AT_ANSWERS),
    "gpt2": (GPT2, QUICK),
    "mpt": ({"vocab_size": 49152, "d_model": 32, "n_layers": 2, "n_heads": 4}, None),
    "olmoe": ({"num_experts": 4, "num_experts_per_tok": 2}, None),
    "mixtral": ({"num_local_experts": 4, "output_router_logits": True}, None),
    "qwen2_moe": (
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
         "shared_expert_intermediate_size": 32},
        None,
    ),
}  # fmt: skip


def own_loss(folder: Path, rows: int) -> float:
    """Return the cross-entropy of the model's own logits, a row at a time, meaned by rows."""
    model, tokenizer = models.load(str(folder), dtype="fp32")
    losses = []
    for row in data.load_set("sea-captain").validation[:rows]:
        encoded = Encoder(tokenizer, 256).encode(row)
        with torch.no_grad():
            logits = model(torch.tensor([encoded.input_ids]), use_cache=False).logits[0, :-1]
        labels = torch.tensor(encoded.labels[1:])
        losses.append(float(torch.nn.functional.cross_entropy(logits.float(), labels)))
    return sum(losses) / len(losses)


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("family", "names_known"),
    [(family, True) for family in FAMILIES]
    + [(family, False) for family, (_, way) in FAMILIES.items() if way == AT_ANSWERS],
)
def test_the_loss_is_that_of_the_models_own_logits(
    family: str, names_known: bool, tiny_model: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Also where no name in the configuration tells that the logits are changed."""
    config, expected = FAMILIES[family]
    if not names_known:
        monkeypatch.setattr("labs_lib.training.engine.head_loss.LOGITS_CHANGED", ())
    monkeypatch.setattr("labs_lib.training.rows.LOSS_ROWS", 4)
    folder = make(tmp_path / "model", tiny_model, family, **config)
    run = train(short(folder, batch_size=1), tmp_path / "run", progress=Silent())
    assert run.before.loss == pytest.approx(own_loss(folder, 4), rel=1e-4)
    assert expected is None or run.loss_from == expected
    assert json.loads((run.folder / "run.json").read_text())["loss_from"] == run.loss_from


def test_a_mixture_of_experts_answers_many_prompts_and_learns(
    tiny_model: Path, tmp_path: Path
) -> None:
    """With its router's logits on, as TRL sets it, answering a padded batch fails."""
    folder = make(tmp_path / "model", tiny_model, "olmoe", num_experts=4, num_experts_per_tok=2)
    changes = {"eval_rows": 4, "eval_tokens": 4, "steps": 6, "batch_size": 4}
    run = train(short(folder, **changes), tmp_path / "run", progress=Silent())
    assert len(run.after.answers) == 4
    assert run.after.loss is not None
    assert run.before.loss is not None
    assert run.after.loss < run.before.loss


def test_a_mixture_of_experts_is_saved_as_it_came(tiny_model: Path, tmp_path: Path) -> None:
    config = {"num_local_experts": 4, "output_router_logits": True, "router_aux_loss_coef": 0.02}
    folder = make(tmp_path / "model", tiny_model, "mixtral", **config)
    run = train(short(folder, method="full"), tmp_path / "run", progress=Silent())
    saved = json.loads((run.output / "config.json").read_text())
    assert {name: saved[name] for name in config} == config


def test_a_loss_that_no_list_foresees_is_left_and_packing_with_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each quick way in turn gives another loss; what is left is the model as it came."""
    way = trainer_module.MeasuringTrainer._summed_loss
    wrong: list[str] = []

    def summed(self: Any, model: Any, inputs: Any, name: str) -> Any:
        return way(self, model, inputs, name) * (1.01 if name in wrong else 1)

    monkeypatch.setattr(trainer_module.MeasuringTrainer, "_summed_loss", summed)
    for expected in (QUICK, AT_ANSWERS, ALL_LOGITS):
        wrapped, _, trainer = build_trainer(
            short(tiny_model), data.load_set("sea-captain").train[:4], (),
            hardware.detect(), "fp32", tmp_path,
        )  # fmt: skip
        assert trainer.loss_from == expected
        gated = [m for m in wrapped.modules() if hasattr(m, "act_fn")]
        assert gated
        assert all(("forward" in vars(m)) == (expected == QUICK) for m in gated)
        attention = wrapped.config._attn_implementation
        assert (attention == "labs_by_rows") == (expected == QUICK)
        wrong.append(expected)


def test_the_check_changes_neither_modes_nor_random_state(tiny_model: Path) -> None:
    from labs_lib.training.engine.loss_check import undisturbed

    model, _ = models.load(str(tiny_model), dtype="fp32")
    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    state = torch.random.get_rng_state()
    with undisturbed(model):
        torch.rand(3)
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)

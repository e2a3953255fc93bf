"""What is shown of a 4-bit layer: equal slices of the bell, and what a step computes."""

from __future__ import annotations

import pytest
import torch

from labs_lib import quantization as quant


def test_neighbors_of_nf4_hold_equal_shares_on_each_side():
    shares = quant.slice_shares(quant.nf4_codebook())
    assert len(shares) == 15
    outermost = quant.codebooks.NF4_OUTERMOST
    assert shares[:7] == pytest.approx([(outermost - 0.5) / 7] * 7, abs=1e-5)
    assert shares[7:] == pytest.approx([(outermost - 0.5) / 8] * 8, abs=1e-5)


def test_evenly_spaced_values_hold_unequal_shares():
    shares = quant.slice_shares(torch.linspace(-1, 1, 16))
    assert max(shares) > 2 * min(shares)


def test_the_bell_says_what_it_shows():
    from labs_lib.widgets import NF4Line

    assert "above 0 have 5.8% of the weights each, those below 6.7%" in NF4Line().text
    assert "from 2.4% to 10.4% of the weights each" in NF4Line(book="int4").text


def four_bit_layer():
    """Return bitsandbytes' 4-bit layer from 64 to 32, quantized."""
    from bitsandbytes.nn.modules import Linear4bit

    layer = Linear4bit(64, 32, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
    return layer.to("cpu").train()  # moving it quantizes it


def test_a_step_restores_the_weight_twice_and_says_so(capsys: pytest.CaptureFixture[str]):
    layer, x = four_bit_layer(), torch.ones(2, 64, requires_grad=True)
    with quant.Watch() as watched:
        layer(x).sum().backward()
    assert watched.times_restored == 2
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[0] == "gemm_4bit" for line in lines)
    assert any("→ bfloat16[32, 64]" in line for line in lines)


def test_nothing_is_watched_after_the_block(capsys: pytest.CaptureFixture[str]):
    with quant.Watch() as watched:
        pass
    torch.mm(torch.ones(2, 2), torch.ones(2, 2))
    assert (watched.times_restored, capsys.readouterr().out) == (0, "")


class Tiny(torch.nn.Module):
    """An embedding, a norm and one 4-bit layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(8, 64, dtype=torch.bfloat16)
        self.norm = torch.nn.RMSNorm(64, dtype=torch.bfloat16)
        self.layer = four_bit_layer()

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.embedding


def test_readiness_follows_what_preparing_changes():
    from peft import prepare_model_for_kbit_training

    model = Tiny()
    before = quant.readiness(model)
    assert before["embedding"].startswith("bfloat16")
    assert before["norms"] == "bfloat16"
    assert before["4-bit weights that ask for a gradient"] == "0"
    assert before["other tensors that ask for a gradient"] == "2"
    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    after = quant.readiness(model)
    assert after["4-bit weights"] == before["4-bit weights"]
    assert after["embedding"].startswith("float32")
    assert after["norms"] == "float32"
    assert after["other tensors that ask for a gradient"] == "0"
    assert after["gradient checkpointing"] == "off"

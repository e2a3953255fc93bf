"""What every other GPU test builds on: the card is seen, 16-bit and 4-bit layers compute."""

from __future__ import annotations

import torch

from labs_lib import hardware


def test_the_course_chooses_cuda():
    found = hardware.detect()
    assert found.device == "cuda"
    assert found.device_memory_bytes == torch.cuda.get_device_properties(0).total_memory
    assert found.precision in ("bf16", "fp32")


def test_a_4_bit_layer_computes_what_its_16_bit_layer_does():
    from bitsandbytes.nn.modules import Linear4bit

    torch.manual_seed(0)
    full = torch.nn.Linear(256, 256, bias=False, dtype=torch.bfloat16)
    four_bit = Linear4bit(256, 256, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
    four_bit.load_state_dict(full.state_dict())
    full, four_bit = full.cuda(), four_bit.cuda()
    x = torch.randn(8, 256, dtype=torch.bfloat16, device="cuda", requires_grad=True)
    error = (four_bit(x) - full(x)).norm() / full(x).norm()
    assert 0.01 < error.item() < 0.2
    four_bit(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()

"""The layer from scratch, held against PEFT's with the same factors."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft.tuners.lora import LoraConfig
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import nn
from transformers.pytorch_utils import Conv1D

from labs_lib.errors import LabError
from labs_lib.lowrank import LoRALinear, inject

# Largest difference allowed, per dtype of the base weight: a few units in its last place.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-2}


def base_layer(kind, d_in, d_out, bias=True, dtype=torch.float32):
    layer: Any = nn.Linear(d_in, d_out, bias=bias) if kind == "linear" else Conv1D(d_out, d_in)
    with torch.no_grad():
        layer.weight.normal_()
        if layer.bias is not None:
            layer.bias.normal_()
    return layer.to(dtype)


def twins(
    kind, d_in, d_out, rank, alpha, *, bias=True, dtype=torch.float32, use_rslora=False
) -> tuple[Any, Any]:
    """Ours and PEFT's over equal bases with equal factors, B drawn too so that ΔW is not zero."""
    ours = LoRALinear(
        base_layer(kind, d_in, d_out, bias, dtype), rank, alpha, use_rslora=use_rslora
    )
    copy = base_layer(kind, d_in, d_out, bias, dtype)
    copy.load_state_dict(ours.base.state_dict())
    config = LoraConfig(
        r=rank, lora_alpha=alpha, use_rslora=use_rslora, fan_in_fan_out=kind == "conv1d"
    )
    theirs: Any = PeftLinear(
        copy,
        "default",
        config=config,
        r=rank,
        lora_alpha=alpha,
        fan_in_fan_out=kind == "conv1d",
        use_rslora=use_rslora,
    )
    theirs.lora_A.to(ours.lora_A.dtype)
    theirs.lora_B.to(ours.lora_B.dtype)
    with torch.no_grad():
        ours.lora_B.normal_()
        theirs.lora_A["default"].weight.copy_(ours.lora_A)
        theirs.lora_B["default"].weight.copy_(ours.lora_B)
    return ours, theirs


def assert_near(mine, yours, of=1):
    slack = TOLERANCE[mine.dtype]
    torch.testing.assert_close(mine, yours, atol=32 * of * slack, rtol=slack)


cases = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["linear", "conv1d"]),
        "d_in": st.integers(1, 24),
        "d_out": st.integers(1, 24),
        "rank": st.integers(1, 24),
        "alpha": st.sampled_from([0.5, 1, 8, 16, 32]),
        "bias": st.booleans(),
        "use_rslora": st.booleans(),
        "dtype": st.sampled_from(list(TOLERANCE)),
    }
)


@settings(deadline=None, max_examples=80)
@given(cases)
def test_output_gradients_and_merged_weight_equal_pefts(case):
    case["rank"] = min(case["rank"], case["d_in"], case["d_out"])
    torch.manual_seed(0)
    ours, theirs = twins(**case)
    x_ours = torch.randn(2, 3, case["d_in"], dtype=case["dtype"], requires_grad=True)
    x_theirs = x_ours.detach().clone().requires_grad_(True)

    y_ours, y_theirs = ours(x_ours), theirs(x_theirs)
    assert y_ours.dtype == y_theirs.dtype == case["dtype"]
    assert_near(y_ours, y_theirs)

    direction = torch.randn_like(y_ours)
    y_ours.backward(direction)
    y_theirs.backward(direction)
    gradients = [
        (ours.lora_A.grad, theirs.lora_A["default"].weight.grad),
        (ours.lora_B.grad, theirs.lora_B["default"].weight.grad),
        (x_ours.grad, x_theirs.grad),
    ]
    for mine, yours in gradients:
        assert_near(mine, yours)
    assert all(p.grad is None for p in ours.base.parameters())

    before = ours.base.weight.clone()
    ours.merge()
    theirs.merge()
    assert_near(ours.base.weight, theirs.base_layer.weight)
    assert ours.base.weight.dtype == case["dtype"]
    assert_near(ours(x_ours), y_ours, of=8)
    ours.unmerge()
    assert_near(ours.base.weight, before)
    assert_near(ours(x_ours), y_ours)


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_at_the_start_the_layer_is_its_base_to_the_bit(kind):
    base = base_layer(kind, 12, 7)
    x = torch.randn(5, 12)
    expected = base(x)
    layer = LoRALinear(base, 4, 8, dropout=0.5)
    assert torch.equal(layer(x), expected)
    assert not layer.lora_B.any()
    assert layer.lora_A.any()
    assert not layer.delta_weight().any()


def test_a_is_drawn_as_peft_draws_it():
    torch.manual_seed(3)
    ours = LoRALinear(nn.Linear(64, 32), 8, 16).lora_A
    torch.manual_seed(3)
    base = nn.Linear(64, 32)
    # PEFT creates nn.Linear factors, whose own first drawing is thrown away.
    theirs = nn.Linear(64, 8, bias=False)
    bound = 1 / 64**0.5
    assert ours.shape == theirs.weight.shape == (8, 64)
    assert ours.abs().max() <= bound
    assert ours.abs().max() > 0.95 * bound
    assert ours.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
    assert torch.equal(ours, theirs.weight)
    assert base.weight.shape == (32, 64)


def test_dropout_falls_on_the_adapters_input_in_training_only():
    layer: Any = LoRALinear(nn.Linear(6, 5, bias=False), 2, 2, dropout=0.5)
    with torch.no_grad():
        layer.base.weight.zero_()
        layer.lora_A.fill_(1)
        layer.lora_B.fill_(1)
    x = torch.ones(400, 6)
    layer.train()
    y = layer(x).detach()
    # On the output, elements of a row would differ; between A and B, only 0, 12 and 24 would come.
    assert torch.equal(y, y[:, :1].expand(-1, 5))
    assert {4.0 * kept for kept in range(1, 6)} <= set(y.unique().tolist())
    assert y.mean().item() == pytest.approx(12, rel=0.1)  # what is kept is doubled
    layer.eval()
    assert torch.equal(layer(x), torch.full((400, 5), 12.0))
    # The base's part never drops.
    with torch.no_grad():
        layer.base.weight.fill_(1)
        layer.lora_B.zero_()
    layer.train()
    assert torch.equal(layer(x), torch.full((400, 5), 6.0))


def test_only_the_factors_are_trainable():
    layer = LoRALinear(nn.Linear(10, 4), 2, 4)
    trainable = {name: p.shape for name, p in layer.named_parameters() if p.requires_grad}
    assert trainable == {"lora_A": (2, 10), "lora_B": (4, 2)}


@pytest.mark.parametrize(("use_rslora", "scaling"), [(False, 4.0), (True, 8.0)])
def test_scaling_is_alpha_over_r_or_over_its_root(use_rslora, scaling):
    layer = LoRALinear(nn.Linear(8, 8), 4, 16, use_rslora=use_rslora)
    with torch.no_grad():
        layer.lora_B.normal_()
    assert layer.scaling == scaling
    torch.testing.assert_close(layer.delta_weight(), scaling * layer.lora_B @ layer.lora_A)
    assert "scaling" in repr(layer)


def test_merging_twice_and_unmerging_unmerged_are_refused():
    layer = LoRALinear(nn.Linear(4, 4), 2, 4)
    with pytest.raises(LabError, match="not merged"):
        layer.unmerge()
    layer.merge()
    with pytest.raises(LabError, match="merged already"):
        layer.merge()


def test_a_quantized_base_runs_and_refuses_to_merge():
    from bitsandbytes.nn.modules import Linear4bit

    base = Linear4bit(64, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32)
    base.to("cpu")
    layer = LoRALinear(base, 4, 8)
    assert layer.lora_A.dtype == torch.float32
    assert layer(torch.randn(2, 64)).shape == (2, 64)
    with pytest.raises(LabError, match="quantized"):
        layer.merge()
    assert not layer.merged


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rank": 0}, "rank: 0 is not legal"),
        ({"rank": 9}, "rank: 9 is above 6, the smaller dimension of Linear (6 × 10)"),
        ({"rank": 2.0}, "rank: 2.0 is not legal"),
        ({"alpha": -1}, "alpha: -1 is not legal; a number above 0"),
        ({"alpha": 0}, "alpha 0 multiplies the update by nothing"),
        ({"alpha": float("nan")}, "alpha: nan"),
        ({"alpha": "16"}, "alpha: '16'"),
        ({"dropout": 1.0}, "dropout: 1.0 is not legal"),
        ({"dropout": -0.1}, "dropout: -0.1"),
        ({"base": nn.LayerNorm(6), "name": "norm"}, "'norm' is of type LayerNorm; legal: Linear"),
    ],
)
def test_illegal_knobs_are_explained_in_one_line(change, words):
    arguments = {"base": nn.Linear(10, 6), "rank": 2, "alpha": 4, **change}
    with pytest.raises(LabError) as caught:
        LoRALinear(**arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


class Tiny(nn.Module):
    """A decoder's module names, without its arithmetic."""

    def __init__(self):
        super().__init__()
        attention = {
            "q_proj": nn.Linear(8, 8),
            "v_proj": nn.Linear(8, 4),
            "vq_proj": nn.Linear(8, 8),
        }
        self.layers = nn.ModuleList([nn.ModuleDict({"self_attn": nn.ModuleDict(attention)})])
        self.norm = nn.LayerNorm(8)

    @property
    def q_proj(self) -> Any:
        return self.get_submodule("layers.0.self_attn.q_proj")


def test_importing_the_room_and_its_arithmetic_loads_no_torch():
    code = (
        "import sys, labs_lib.lowrank as l; l.scaling_of(8, 16); l.factorise([[1, 2], [3, 4]]);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_inject_wraps_by_whole_name_parts_and_freezes_the_rest():
    model = Tiny()
    layers = inject(model, 2, 4, ["q_proj"])
    assert list(layers) == ["layers.0.self_attn.q_proj"]  # and not vq_proj
    assert isinstance(model.q_proj, LoRALinear)
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trainable == ["layers.0.self_attn.q_proj.lora_A", "layers.0.self_attn.q_proj.lora_B"]


def test_inject_eject_merge_keep_names_and_outputs():
    from labs_lib.lowrank import adapters, eject, merge_adapters, unmerge_adapters

    model = Tiny()
    names = [name for name, _ in model.named_modules()]
    x = torch.randn(3, 8)
    layers = inject(model, 2, 4, "all-linear")
    assert (
        sorted(layers)
        == ["layers.0.self_attn.q_proj", "layers.0.self_attn.v_proj", "layers.0.self_attn.vq_proj"]
        == sorted(adapters(model))
    )
    with torch.no_grad():
        for layer in layers.values():
            layer.lora_B.normal_()
    expected = model.q_proj(x)
    merge_adapters(model)
    unmerge_adapters(model)
    merge_adapters(model)
    eject(model)
    assert [name for name, _ in model.named_modules()] == names
    torch.testing.assert_close(model.q_proj(x), expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((2, 4, ["q_prj"]), "target_modules: 'q_prj' is not one of q_proj, v_proj, vq_proj"),
        ((2, 4, ["q_prj"]), "did you mean 'q_proj'?"),
        ((2, 4, ["norm"]), "'norm' is not one of"),
        ((2, 4, []), "target_modules: empty"),
        (
            (5, 4, "all-linear"),
            "rank: 5 is above 4, the smaller dimension of layers.0.self_attn.v_proj (4 × 8)",
        ),
        ((2, -1, "all-linear"), "alpha: -1"),
        ((0, 1, "all-linear"), "rank: 0"),
    ],
)
def test_a_refused_injection_leaves_the_model_untouched(arguments, words):
    model = Tiny()
    with pytest.raises(LabError) as caught:
        inject(model, *arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(isinstance(part, LoRALinear) for part in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_a_second_injection_is_refused():
    model = Tiny()
    inject(model, 2, 4, ["q_proj"])
    with pytest.raises(LabError, match="adapters already"):
        inject(model, 2, 4, ["v_proj"])


def test_gpt2_explains_its_fused_attention():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=12, n_layer=1, n_head=2, vocab_size=20))
    with pytest.raises(LabError, match="'c_attn' holds q, k and v in one matrix"):
        inject(model, 2, 4, ["q_proj"])
    layers = inject(model, 2, 4, "all-linear")
    assert "lm_head" not in layers
    assert len(layers) == 4
    assert layers["transformer.h.0.attn.c_attn"].lora_B.shape == (36, 2)

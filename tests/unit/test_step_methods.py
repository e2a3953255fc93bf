"""A method, a base and an adapter are entries of tables, and nothing else asks for their names."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import labs_lib
from labs_lib.memory import estimate, forecast, trace
from labs_lib.memory.known_fields import NoFormulaError
from labs_lib.models.catalogue import catalogue
from labs_lib.step.adapters import IA3, AdapterSettings, is_adapter_tensor
from labs_lib.step.bases import PLAIN, QUANTIZED, TRAINABLE
from labs_lib.step.families import FAMILIES, family_of, parts_of
from labs_lib.step.methods import METHODS, USUAL
from labs_lib.training.recipe import Recipe

PEFT_REFUSES = {("miss", "gpt2"), ("oft", "gpt2")}
"""Methods that PEFT has for `nn.Linear` alone, on a model of another class."""

LAID_OUT_UNLIKE = ("lora", "dora", "lora_fa", "adalora", "vera", "ia3", "ln_tuning", "miss", "oft")
"""Methods whose tensors, or whose classes for GPT-2's maps, are not another one's."""

NAMES = "|".join([*METHODS, *QUANTIZED])
ASKS_FOR_A_NAME = re.compile(
    rf"""(==|!=)\s*["']({NAMES})["']|["']({NAMES})["']\s*(==|!=)"""
    r"|(==|!=)\s*[\"']falcon[\"']|(startswith|endswith)\([\"'](paged|adamw|8bit|32bit)[\"']"
)
# What a student writes is not a recipe: checkers look at its own words.
SPARED = ("assessment/exercises/",)


def test_no_code_compares_the_name_of_a_method_or_a_base():
    root = Path(labs_lib.__file__).parent
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted(root.rglob("*.py"))
        if not str(path.relative_to(root)).startswith(SPARED)
        for line in path.read_text(encoding="utf-8").splitlines()
        if ASKS_FOR_A_NAME.search(line)
    ]
    assert found == []


def test_a_recipe_and_a_request_answer_alike():
    for name, method in METHODS.items():
        recipe = Recipe.of(steps=1, method=name)
        request = recipe.step()
        assert recipe.trains_all == request.trains_all == (method.adapter is None)
        assert recipe.quantizes == request.quantizes == method.quantizes
        assert recipe.adapter is request.adapter is method.adapter
    assert set(USUAL) <= set(METHODS)


def test_dora_is_a_method_and_a_switch_of_lora():
    assert (
        forecast("gpt2", method="dora", seq_len=64).peak_bytes
        == forecast("gpt2", dora=True, seq_len=64).peak_bytes
    )


def test_only_what_trains_is_legal_in_a_recipe():
    assert TRAINABLE == ("nf4", "fp4")
    assert all(base.bits == 4 for base in QUANTIZED.values() if base.trains)


@pytest.mark.parametrize("double_quant", [True, False])
@pytest.mark.parametrize("name", QUANTIZED)
def test_a_quantized_matrix_has_the_bytes_that_bitsandbytes_gives_it(name, double_quant):
    import torch
    from bitsandbytes import functional

    d_out, d_in = 96, 200
    base = QUANTIZED[name]
    if base.bits == 8:
        weight = torch.randn(d_out, d_in)
        codes, scales, _ = functional.int8_vectorwise_quant(weight.half())
        parts = [codes, scales]
    else:
        codes, state = functional.quantize_4bit(
            torch.randn(d_out, d_in),
            blocksize=64,
            quant_type=name,
            compress_statistics=double_quant,
        )
        assert state is not None
        parts = [codes, state.absmax, state.code]
        if double_quant:
            assert state.state2 is not None
            parts += [state.offset, state.state2.absmax, state.state2.code]
    counted = sum(part.numel() * part.element_size() for part in parts)
    assert base.weight_bytes(d_out, d_in, double_quant) == counted


def test_a_plain_matrix_takes_its_numbers_alone():
    assert [PLAIN[name].weight_bytes(3, 5, True) for name in ("bf16", "fp32")] == [30, 60]
    assert not any(base.restored_bytes(15, 2, True) for base in PLAIN.values())


@pytest.mark.parametrize(
    ("name", "model"),
    [
        *((name, "smollm2-135m-instruct") for name in METHODS if METHODS[name].adapter),
        *((name, "gpt2") for name in METHODS if name in LAID_OUT_UNLIKE),
        *((name, "falcon-7b") for name in ("lora", "dora", "ia3")),
    ],
)
def test_an_adapter_has_the_tensors_that_peft_makes(name, model):
    import peft
    import torch
    import transformers

    from labs_lib.models import config_of, resolve_targets

    shapes, rank, adapter = catalogue()[model], 4, METHODS[name].adapter
    assert adapter is not None
    config = config_of(model)
    config.num_hidden_layers = 1
    with torch.device("meta"):
        bare = transformers.AutoModelForCausalLM.from_config(config)
        targets = resolve_targets(shapes, "all-linear")
        settings = AdapterSettings(rank, 8)
        made_config: Any = adapter.peft_config(settings, targets)
        if adapter.needs_weights:  # shapes alone have nothing to decompose
            made_config.init_lora_weights = True
        if (name, model) in PEFT_REFUSES:
            with pytest.raises(TypeError, match=r"Target module Conv1D.* is not supported"):
                peft.get_peft_model(bare, made_config)
            return
        made = peft.get_peft_model(bare, made_config)
    adapter.freeze(made)
    found = sorted(
        tuple(parameter.shape)
        for path, parameter in made.named_parameters()
        if parameter.requires_grad
    )
    assert all(is_adapter_tensor(p) for p, each in made.named_parameters() if each.requires_grad)
    expected = [s for linear in shapes.linears for s in adapter.tensors(linear, rank)]
    assert sorted(expected) == found if adapter.on_linears else found and not expected


@pytest.mark.seconds
@pytest.mark.parametrize("name", ["dora", "ia3", "lora_fa", "vera", "miss"])
@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("gpt2", {"batch": 2}),
        ("smollm2-135m-instruct", {"targets": "k_proj,v_proj,down_proj", "precision": "mixed"}),
        ("smollm2-135m-instruct", {"targets": "all-linear", "checkpointing": True}),
        ("falcon-7b", {"targets": "all-linear", "precision": "fp32"}),
    ],
)
def test_the_formula_of_an_adapter_is_its_trace(name, model, fields):
    if (name, model) in PEFT_REFUSES:
        return
    by_formula, by_trace = (
        way(model, method=name, seq_len=128, **fields) for way in (forecast, trace)
    )
    for part in ("weights_bytes", "adapter_bytes", "gradients_bytes", "optimizer_bytes"):
        assert getattr(by_formula, part) == getattr(by_trace, part)
    assert by_formula.trainable_parameters == by_trace.trainable_parameters
    assert by_formula.activations_bytes == pytest.approx(by_trace.activations_bytes, rel=0.06)
    assert by_formula.peak_bytes == pytest.approx(by_trace.peak_bytes, rel=0.03)


def test_an_adapter_without_a_formula_is_fitted(monkeypatch):
    bare = replace(METHODS["ia3"], adapter=replace(IA3, saved=None))
    monkeypatch.setitem(METHODS, "ia3", bare)
    with pytest.raises(NoFormulaError, match="no term for IA³"):
        forecast("gpt2", method="ia3", seq_len=32)
    found = estimate("gpt2", method="ia3", seq_len=32)
    assert found.source == "fitted"
    assert "no term for IA³" in found.notes[0]


def test_families_are_those_of_the_catalogue():
    assert {each.family.model_type for each in catalogue().values()} <= set(FAMILIES)
    assert family_of("of-tomorrow") == family_of("unheard-of")
    assert parts_of("transformer.h.0.attn.c_attn") == ("q", "k", "v")
    assert parts_of("c_proj") == ()  # attention's or the MLP's: its name alone does not say


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("kind", "most"), [("a PEFT method", 3), ("an optimizer", 1), ("a quantization type", 2)]
)
def test_a_walk_through_names_files_that_exist(kind, most):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, section = text.partition("## Add a part of a training step\n")
    files, current = [], ""
    for line in section.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3:
            current = cells[0] or current
            files += re.findall(r"`([\w/]+\.py)`", cells[1]) if current == kind else []
    assert 0 < len(files) <= most
    assert all((ROOT / file).is_file() for file in files)

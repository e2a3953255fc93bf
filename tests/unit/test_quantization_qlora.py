"""QLoRA's configuration, the settings' one-line errors, and what is kept quiet."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch

from labs_lib.errors import LabError
from labs_lib.quantization import (
    check_settings,
    qlora_config,
    quiet_bitsandbytes,
    restored_weights,
)

NOISY = "bitsandbytes.backends.cpu.ops"


def test_the_configuration_is_qloras_and_not_the_default():
    config = qlora_config(compute_dtype="bf16")
    assert config.load_in_4bit
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_compute_dtype == torch.bfloat16


def test_compute_dtype_follows_the_machine_unless_named(monkeypatch):
    from dataclasses import replace

    from labs_lib import hardware

    machine = hardware.detect()
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        found = replace(machine, precision=precision)
        monkeypatch.setattr(hardware, "detect", lambda found=found: found)
        assert qlora_config().bnb_4bit_compute_dtype == dtype
    assert qlora_config(compute_dtype=torch.float16).bnb_4bit_compute_dtype == torch.float16


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quant_type": "nf5"}, ("quant_type", "'nf5'", "did you mean 'nf4'")),
        ({"quant_type": "int4"}, ("quant_type", "'int4'", "nf4, fp4")),
        ({"quant_type": None}, ("double_quant", "needs a 4-bit base")),
        ({"quant_type": "none"}, ("double_quant", "needs a 4-bit base")),
        ({"quant_type": None, "double_quant": False}, ("quant_type", "None", "nf4, fp4")),
        ({"block_size": 48}, ("block_size", "48", "power of two")),
        ({"block_size": 128}, ("block_size", "128", "always use 64")),
        ({"compute_dtype": "int8"}, ("compute_dtype", "'int8'", "bf16, fp16, fp32")),
        ({"compute_dtype": torch.float64}, ("compute_dtype", "float64")),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, words):
    with pytest.raises(LabError) as caught:
        qlora_config(**settings)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_base_in_16_bits_without_double_quantization_is_legal():
    check_settings(None, double_quant=False)
    check_settings("none", double_quant=False, block_size=48)


def test_the_known_messages_are_kept_off_and_no_others(caplog):
    logger = logging.getLogger(NOISY)
    with caplog.at_level(logging.WARNING), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_bitsandbytes():
            logger.warning(
                "Failed to load CPU gemm_4bit_forward from kernels-community: %s. …", "no kernels"
            )
            logger.warning("another message")
            warnings.warn(
                "Paged optimizers are not supported on CPU. Falling back to …", stacklevel=1
            )
            warnings.warn("`is_gradient_checkpointing` is deprecated and …", stacklevel=1)
            warnings.warn("another warning", stacklevel=1)
    assert [record.getMessage() for record in caplog.records] == ["another message"]
    assert [str(w.message) for w in caught] == ["another warning"]


def test_an_error_inside_leaves_nothing_silent():
    with pytest.raises(RuntimeError), quiet_bitsandbytes():
        raise RuntimeError
    with pytest.warns(UserWarning, match="Paged optimizers"):
        warnings.warn("Paged optimizers are not supported on CPU", stacklevel=1)


def test_a_paged_optimizer_on_the_cpu_is_quiet_inside_and_warns_outside():
    from bitsandbytes.optim.adamw import PagedAdamW

    def step() -> list[str]:
        weight = torch.nn.Parameter(torch.zeros(10))
        optimizer = PagedAdamW([weight])
        weight.grad = torch.ones(10)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if quiet:
                with quiet_bitsandbytes():
                    optimizer.step()
            else:
                optimizer.step()
        return [str(w.message) for w in caught]

    quiet = False
    assert any("Paged optimizers" in message for message in step())
    quiet = True
    assert step() == []


def test_a_qlora_run_on_the_cpu_says_nothing_to_wonder_about(tmp_path, caplog):
    from bitsandbytes.optim.adamw import PagedAdamW
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, LlamaConfig

    shape = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    AutoModelForCausalLM.from_config(shape).save_pretrained(tmp_path)
    caplog.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # hidden by default
        with quiet_bitsandbytes():
            model = AutoModelForCausalLM.from_pretrained(
                tmp_path,
                quantization_config=qlora_config(compute_dtype="fp32"),
                device_map={"": "cpu"},
            )
            model = prepare_model_for_kbit_training(model)
            adapted: Any = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
            trainable = [p for p in adapted.parameters() if p.requires_grad]
            optimizer = PagedAdamW(trainable, lr=1e-2)
            tokens = torch.arange(32).view(1, 32)
            losses = []
            for _ in range(5):
                optimizer.zero_grad()
                loss = adapted(input_ids=tokens, labels=tokens).loss
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
    assert [str(warning.message) for warning in caught] == []
    assert [record.getMessage() for record in caplog.records] == []
    assert losses[-1] < losses[0]


def test_importing_the_room_loads_no_torch():
    code = (
        "import sys, labs_lib.quantization as room; room.check_settings('nf4', True);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_restored_weights_answer_as_the_4_bit_layers_do_and_leave_no_trace():
    from bitsandbytes.nn.modules import Linear4bit

    torch.manual_seed(0)
    layers = []
    for compute_dtype in (torch.float32, torch.bfloat16):
        layer = Linear4bit(64, 128, bias=True, quant_type="nf4", compute_dtype=compute_dtype)
        layer.load_state_dict(torch.nn.Linear(64, 128).state_dict())
        layers.append(layer.to("cpu"))
    model = torch.nn.ModuleList([*layers, torch.nn.Linear(64, 2)])
    model.requires_grad_(False)
    x = torch.randn(5, 64)
    expected = [layer(x) for layer in model]
    kept = [dict(vars(layer)) for layer in model]

    def fail_while_restored() -> None:
        with restored_weights(model) as count:
            assert count == 2
            for layer, wanted in zip(model, expected, strict=True):
                assert torch.equal(layer(x), wanted)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_restored()
    assert [vars(layer).keys() for layer in model] == [names.keys() for names in kept]
    assert not any("forward" in vars(layer) for layer in model)


def test_an_adapted_model_answers_the_same_with_its_weights_restored(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, LlamaConfig

    shape = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    AutoModelForCausalLM.from_config(shape).save_pretrained(tmp_path)
    with quiet_bitsandbytes():
        model = AutoModelForCausalLM.from_pretrained(
            tmp_path, quantization_config=qlora_config(compute_dtype="fp32"), device_map="cpu"
        )
    model = get_peft_model(model, LoraConfig(target_modules="all-linear", init_lora_weights=False))
    tokens = torch.arange(16).view(1, 16)
    with torch.no_grad():
        expected = model(input_ids=tokens).logits
        with restored_weights(model) as count:
            assert count == 7
            torch.testing.assert_close(model(input_ids=tokens).logits, expected)
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    assert all(part.grad is not None for part in model.parameters() if part.requires_grad)

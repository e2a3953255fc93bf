"""bitsandbytes' message about an optional kernel reaches no student; its other ones do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labs_lib import harmless
from labs_lib.health import machine

# Whatever of the course comes first; the libraries that import bitsandbytes come after it.
FIRST = [
    "import labs_lib",
    "from labs_lib import paths",
    "from labs_lib.warm_up import load_in_background",
    "from labs_lib.cli import labs",
    "import labs_lib.demo",
    pytest.param("import labs_lib, bitsandbytes", marks=pytest.mark.slow),
    pytest.param("from labs_lib.training import session", marks=pytest.mark.slow),
]
# On any CPU: as bitsandbytes does where there are bf16 instructions, and a word of its own.
SPEAKS = """
import logging, warnings
warnings.warn("`is_gradient_checkpointing` is deprecated and will be removed", FutureWarning)
warnings.warn("another old name", FutureWarning)
log = logging.getLogger("bitsandbytes.backends.cpu.ops")
log.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s. Please", "none")
log.warning("another message")
"""


@pytest.mark.parametrize("first", FIRST)
def test_the_message_is_kept_off(first: str):
    done = subprocess.run(
        [sys.executable, "-c", f"{first}\n{SPEAKS}"], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "gemm_4bit_forward" not in done.stdout + done.stderr
    assert "is_gradient_checkpointing" not in done.stdout + done.stderr
    assert "another message" in done.stderr
    assert "another old name" in done.stderr


def test_it_is_what_bitsandbytes_says():
    """A new release that words it otherwise is to be looked at."""
    import inspect

    from bitsandbytes.backends.cpu import ops

    assert ops.__name__ == harmless.LOGGER
    assert harmless.BEGINNING in inspect.getsource(ops)


def test_the_doctor_states_the_fact(monkeypatch: pytest.MonkeyPatch):
    from bitsandbytes.backends.cpu import ops

    assert machine.four_bit_kernel().found.startswith("built in (bitsandbytes ")
    monkeypatch.setattr(ops, "gemm_4bit_forward_kernel", object(), raising=False)
    assert machine.four_bit_kernel().found.startswith("from the kernels package")


@pytest.mark.seconds
def test_peft_alone_calls_by_the_old_names(tmp_path):
    """`get_peft_model` on any model says so, outside of every block that keeps warnings off."""
    code = """
import labs_lib
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig
shape = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                    num_attention_heads=2, num_key_value_heads=2)
get_peft_model(AutoModelForCausalLM.from_config(shape), LoraConfig(target_modules=["q_proj"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "Warning" not in done.stderr, done.stderr

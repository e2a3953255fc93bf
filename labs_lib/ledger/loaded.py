"""The tiny model as the libraries load it: from a folder, in 4 bits, in TRL's trainer."""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs_lib.ledger.tiny import tiny_llama
from labs_lib.quiet import quiet_libraries

ROW = [5, 6, 7, 8]
"""The token ids of a row."""


@contextmanager
def saved(model: Any) -> Iterator[Path]:
    """Keep a model in a folder of its own, with a tokenizer, inside the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with quiet_libraries():
            model.save_pretrained(folder)
            tokenizer().save_pretrained(folder)
        yield Path(folder)


def four_bit(**settings: Any) -> Any:
    """Return the tiny Llama in 4 bits, loaded with these settings from a file in bf16."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    from labs_lib.quantization import forbid_repacking

    auto: Any = AutoModelForCausalLM
    forbid_repacking()
    with saved(tiny_llama().to(torch.bfloat16)) as folder, quiet_libraries():
        config = BitsAndBytesConfig(load_in_4bit=True, **settings)
        return auto.from_pretrained(
            folder, quantization_config=config, dtype=torch.bfloat16, device_map="cpu"
        )


def qlora_base() -> Any:
    """Return the tiny Llama as QLoRA stores it: NF4, double quantization, bf16 products."""
    import torch

    return four_bit(
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def sft_trainer(model: Any, rows: list[dict[str, Any]] | None = None, **settings: Any) -> Any:
    """Return TRL's trainer of a model on a few rows, by its defaults but for `settings`."""
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, quiet_libraries():
        return SFTTrainer(
            model,
            SFTConfig(folder, use_cpu=True, bf16=False, report_to="none", **settings),
            train_dataset=Dataset.from_list(rows or [{"input_ids": ROW, "labels": ROW}] * 2),
            processing_class=tokenizer(),
        )


@functools.cache
def tokenizer() -> Any:
    """Return a tokenizer of 64 words, w0 to w60 and the three special ones."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<pad>", "</s>", *(f"w{n}" for n in range(61))]
    inner: Any = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    )


def stored_matrix(*, double_quant: bool) -> tuple[Any, Any]:
    """Return the NF4 codes and the state of a random 576 × 1536 matrix, stored by bitsandbytes."""
    import torch
    from bitsandbytes.functional import quantize_4bit

    weight = torch.randn(576, 1536, generator=torch.Generator().manual_seed(0))
    return quantize_4bit(weight, quant_type="nf4", compress_statistics=double_quant)


def measured_bits(double_quant: bool) -> float:
    """Return the bits that a weight of `stored_matrix` takes with its scales."""
    codes, state = stored_matrix(double_quant=double_quant)
    parts = [codes, state.absmax]
    if double_quant:
        parts += [state.state2.absmax, state.offset]
    return 8 * sum(part.nbytes for part in parts) / math.prod(state.shape)


def dtype_name(dtype: Any) -> str:
    """Return a dtype's name without `torch.`."""
    return str(dtype).removeprefix("torch.")

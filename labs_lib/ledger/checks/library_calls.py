"""Checks of what published code calls: each call is made, on models that train in a moment."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs_lib.ledger import loaded, tiny
from labs_lib.ledger.finding import Finding
from labs_lib.quiet import quiet_libraries
from labs_lib.training.published_code import what_it_says

FINE = "no error"
IN_A_CHECKPOINT = {
    "adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "scheduler.pt",
    "rng_state.pth", "trainer_state.json", "training_args.bin", "README.md",
}  # fmt: skip
ROW = loaded.ROW


def tokenizer_argument() -> Finding:
    """Read which argument of `SFTTrainer` takes the tokenizer."""
    from trl.trainer.sft_trainer import SFTTrainer

    taken = inspect.signature(SFTTrainer.__init__).parameters
    return Finding(
        _which(taken, "tokenizer", "processing_class"),
        {"SFTTrainer(tokenizer=…)": "tokenizer" in taken},
    )


def max_seq_length_argument() -> Finding:
    """Read which argument of `SFTConfig` limits a row's length."""
    from trl.trainer.sft_config import SFTConfig

    taken = inspect.signature(SFTConfig).parameters
    return Finding(
        _which(taken, "max_seq_length", "max_length"),
        {"SFTConfig(max_seq_length=…)": "max_seq_length" in taken},
    )


def torch_dtype_argument() -> Finding:
    """Load a small model by the old and the new name of the argument."""
    import torch
    from transformers import AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    with loaded.saved(tiny.tiny_llama()) as folder, quiet_libraries():
        old = auto.from_pretrained(folder, torch_dtype=torch.bfloat16).dtype
        new = auto.from_pretrained(folder, dtype=torch.bfloat16).dtype
    return Finding(
        f"a model saved in fp32: torch_dtype=torch.bfloat16 loads it in {loaded.dtype_name(old)}, "
        f"dtype=torch.bfloat16 in {loaded.dtype_name(new)}",
        {
            "torch_dtype is still taken": old == torch.bfloat16,
            "torch_dtype is the documented name": "torch_dtype"
            in (inspect.getdoc(auto.from_pretrained) or ""),
        },
    )


def lora_config_is_spelled_so() -> Finding:
    """Import both spellings from PEFT."""
    names = ("LoRAConfig", "LoraConfig")
    said = {name: what_it_says(f"from peft import {name}", {}) for name in names}
    return Finding(
        "; ".join(f"from peft import {name}: {each}" for name, each in said.items()),
        {"PEFT has LoRAConfig": said["LoRAConfig"] == FINE},
    )


def published_blocks_run_as_printed() -> Finding:
    """Run the first lines of published blocks, with a small model's folder for the large name."""
    blocks = {
        "QLoRA block without AutoModelForCausalLM": (
            "from transformers import BitsAndBytesConfig\n"
            "AutoModelForCausalLM.from_pretrained(folder)"
        ),
        "LoRA block without torch": (
            "from transformers import AutoModelForCausalLM\n"
            "AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.bfloat16)"
        ),
        "loading block without PeftModel": 'PeftModel.from_pretrained(base_model, "adapter")',
    }
    with loaded.saved(tiny.tiny_llama()) as folder:
        said = {
            name: what_it_says(code, {"folder": folder, "base_model": None})
            for name, code in blocks.items()
        }
    return Finding(
        "; ".join(f"{name}: {each}" for name, each in said.items()),
        {f"{name} runs": each == FINE for name, each in said.items()},
    )


def four_bits_without_a_compute_dtype() -> Finding:
    """Read the compute dtype of nf4 with double quantization, nothing else said."""
    import torch
    from transformers import BitsAndBytesConfig

    chosen: Any = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    )
    dtype = chosen.bnb_4bit_compute_dtype
    return Finding(
        f"nf4 and double quantization alone: products in {loaded.dtype_name(dtype)}",
        {"products in 16 bits": dtype in (torch.bfloat16, torch.float16)},
    )


def the_same_lora_config_over_4_bits() -> Finding:
    """Give one LoraConfig's fields to a 16-bit and to a 4-bit model; compare what they train."""
    from peft import prepare_model_for_kbit_training

    fields = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.05}
    with quiet_libraries():
        wide = tiny.with_lora(tiny.tiny_llama(), **fields).get_nb_trainable_parameters()
        prepared: Any = prepare_model_for_kbit_training(loaded.qlora_base())
        narrow = tiny.with_lora(prepared, **fields).get_nb_trainable_parameters()
    return Finding(
        f"trained, all: {wide[0]:,}, {wide[1]:,} over 16 bits; {narrow[0]:,}, {narrow[1]:,} over 4",
        {"the same configuration trains the same adapter": wide == narrow},
    )


def prepare_for_kbit_training() -> Finding:
    """Compare a 4-bit model before and after `prepare_model_for_kbit_training`."""
    import torch
    from peft import prepare_model_for_kbit_training

    with quiet_libraries():
        model: Any = prepare_model_for_kbit_training(loaded.qlora_base())
    rest = {part.dtype for part in model.parameters() if part.dtype != torch.uint8}
    return Finding(
        f"after the call: no weight asks for a gradient, what is not in 4 bits is in "
        f"{', '.join(map(loaded.dtype_name, rest))}, checkpointing is on: "
        f"{model.is_gradient_checkpointing}",
        {
            "it freezes the base": not any(part.requires_grad for part in model.parameters()),
            "it casts the rest to fp32": rest == {torch.float32},
            "it turns gradient checkpointing on": model.is_gradient_checkpointing,
        },
    )


def eval_dataset_is_used() -> Finding:
    """Read when `Trainer` evaluates if nothing is said."""
    from transformers import TrainingArguments

    default = inspect.signature(TrainingArguments).parameters["eval_strategy"].default
    value = getattr(default, "value", default)
    return Finding(
        f"TrainingArguments: eval_strategy={value!r}, save_strategy is another argument",
        {"rows in eval_dataset are evaluated": value != "no"},
    )


def rows_without_labels() -> Finding:
    """Train on one row without labels, with and without a collator that makes them."""
    said = _training([{"input_ids": ROW}]), _training([{"input_ids": ROW}], collate=True)
    return Finding(
        f"without labels: {said[0]}; with DataCollatorForLanguageModeling(mlm=False): {said[1]}",
        {"Trainer trains on token ids alone": said[0] == FINE},
    )


def rows_of_unequal_length() -> Finding:
    """Train on two rows of unequal length, with and without a collator that pads."""
    rows = [{"input_ids": ROW, "labels": ROW}, {"input_ids": ROW[:2], "labels": ROW[:2]}]
    bare = _training(rows)
    padded = _training([{"input_ids": row["input_ids"]} for row in rows], collate=True)
    return Finding(
        f"rows of 4 and 2 tokens: {bare}; with a collator: {padded}",
        {"Trainer pads rows by itself": bare == FINE},
    )


def files_of_a_checkpoint() -> Finding:
    """List a checkpoint of a LoRA run by `Trainer`."""
    files = set(_checkpoints()[1])
    return Finding(
        f"a checkpoint holds {', '.join(sorted(files))}",
        {
            "the adapter, optimizer, schedule, random state and trainer's state": (
                files >= IN_A_CHECKPOINT
            ),
            "the base's weights are not there": not any("model-0" in name for name in files)
            and "model.safetensors" not in files,
        },
    )


def two_checkpoints_are_kept() -> Finding:
    """Train three epochs with save_strategy="epoch" and save_total_limit=2; count the folders."""
    folders = _checkpoints()[0]
    return Finding(
        f"after three epochs of one step: {', '.join(folders)}",
        {"the last two are kept": folders == ("checkpoint-2", "checkpoint-3")},
    )


def the_adapter_is_saved_alone() -> Finding:
    """Save a wrapped model, load it on a new base, and compare the logits."""
    import torch
    from peft import PeftModel

    wrapped = tiny.with_lora(tiny.tiny_llama()).eval()
    for name, part in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(part)
    ids = torch.arange(8)[None]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        quiet_libraries(),
        torch.no_grad(),
    ):
        wrapped.save_pretrained(folder)
        files = sorted(path.name for path in Path(folder).iterdir())
        again = PeftModel.from_pretrained(tiny.tiny_llama(), folder).eval()
        equal = torch.equal(again(ids).logits, wrapped(ids).logits)
    return Finding(
        f"save_pretrained writes {', '.join(files)}; loaded on a new base, the logits are equal",
        {
            "weights and configuration of the adapter, and a README": files
            == ["README.md", "adapter_config.json", "adapter_model.safetensors"],
            "the base and the folder give the same model": equal,
        },
    )


def generate_returns_the_answer_alone() -> Finding:
    """Generate with a wrapped model and look at the beginning of what comes back."""
    import torch

    ids = torch.tensor([ROW])
    with quiet_libraries(), torch.no_grad():
        made = tiny.with_lora(tiny.tiny_llama()).eval().generate(input_ids=ids, max_new_tokens=3)
    starts_with_prompt = made[0, : len(ROW)].tolist() == ROW
    return Finding(
        f"prompt of {len(ROW)} tokens, {made.shape[1]} come back; the first are the prompt's: "
        f"{starts_with_prompt}",
        {"outputs[0] is the continuation": not starts_with_prompt},
    )


def peft_alone_is_enough() -> Finding:
    """Read which packages an installation of PEFT brings, and which of the lessons it does not."""
    from importlib.metadata import requires

    lines = [line for line in requires("peft") or [] if "extra ==" not in line]
    brought = {line.split(">")[0].split("=")[0].split(";")[0].strip() for line in lines}
    wanted = {
        "LoRA with transformers": {"torch", "transformers", "accelerate"},
        "SFTTrainer": {"trl"},
        "4-bit bases": {"bitsandbytes"},
    }
    return Finding(
        f"pip install peft brings {', '.join(sorted(brought & set().union(*wanted.values())))}",
        {f"enough for: {what}": names <= brought for what, names in wanted.items()},
    )


def sft_loss_is_chunked() -> Finding:
    """Read `SFTConfig`'s loss, and what becomes of the old name of the chunked one."""
    from trl.trainer.sft_config import SFTConfig

    forms = {"default": {}, 'loss_type="chunked_nll"': {"loss_type": "chunked_nll"}}
    with quiet_libraries():
        chosen = {
            name: SFTConfig(use_cpu=True, bf16=False, **fields).loss_type
            for name, fields in forms.items()
        }
    return Finding(
        ", ".join(f"{name}: {loss}" for name, loss in chosen.items()),
        {"chunked_nll is another name of nll, the default": set(chosen.values()) == {"nll"}},
    )


def sft_asks_for_router_logits() -> Finding:
    """Give SFTTrainer a small mixture of experts and read its configuration afterwards."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, num_local_experts=2, eos_token_id=2,
        bos_token_id=2,
    )  # fmt: skip
    before = config.output_router_logits
    after = loaded.sft_trainer(MixtralForCausalLM(config)).model.config.output_router_logits
    return Finding(
        f"output_router_logits: {before} before, {after} after SFTTrainer took the model",
        {"SFTTrainer turns it on": after and not before},
    )


def sft_drops_rows_without_an_answer() -> Finding:
    """Give SFTTrainer a row whose answer lies beyond max_length, and count what it keeps."""
    rows = [
        {"prompt": "w1 " * 12, "completion": "w2 w3"},
        {"prompt": "w1 w4 ", "completion": "w2 w3"},
    ]
    kept = len(loaded.sft_trainer(tiny.tiny_llama(), rows, max_length=8).train_dataset)
    return Finding(
        f"of {len(rows)} rows, one of them cut before its answer, {kept} is left",
        {"the row without an answer is dropped": kept == 1},
    )


def loftq_needs_scipy() -> Finding:
    """Ask for LoftQ where scipy cannot be found, and read what an installation of PEFT brings."""
    import importlib.util
    from importlib.metadata import requires
    from unittest.mock import patch

    def found(name: str, *rest: Any) -> Any:
        return None if name == "scipy" else real(name, *rest)

    real = importlib.util.find_spec
    with patch("importlib.util.find_spec", found):
        said = what_it_says(
            "from peft import LoraConfig\nLoraConfig(init_lora_weights='loftq')", {}
        )
    brought = any(
        re.match(r"scipy\b", line) and "extra" not in line for line in requires("peft") or []
    )
    return Finding(
        f"without scipy: {said}; PEFT brings scipy: {brought}",
        {"LoftQ is refused without scipy": "scipy" in said and not brought},
    )


def _training(rows: list[dict[str, Any]], *, collate: bool = False) -> str:
    """Return what `Trainer` says of one step on these rows."""
    from datasets import Dataset
    from transformers import DataCollatorForLanguageModeling, Trainer

    collator = DataCollatorForLanguageModeling(loaded.tokenizer(), mlm=False) if collate else None
    code = "Trainer(model, args, train_dataset=rows, data_collator=collator).train()"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        names = {
            "Trainer": Trainer,
            "model": tiny.with_lora(tiny.tiny_llama()),
            "args": _arguments(folder, max_steps=1, save_strategy="no"),
            "rows": Dataset.from_list(rows),
            "collator": collator,
        }
        return what_it_says(code, names)


@functools.cache
def _checkpoints() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the folders that three epochs leave, and the files of the last one."""
    from transformers import Trainer

    rows: Any = [{"input_ids": ROW, "labels": ROW}] * 4
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, quiet_libraries():
        arguments = _arguments(
            folder, num_train_epochs=3, save_strategy="epoch", save_total_limit=2
        )
        trainer = Trainer(tiny.with_lora(tiny.tiny_llama()), arguments, train_dataset=rows)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
        folders = sorted(Path(folder).glob("checkpoint-*"))
        files = sorted(path.name for path in folders[-1].iterdir())
        return tuple(path.name for path in folders), tuple(files)


def _arguments(folder: str, **fields: Any) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        folder, per_device_train_batch_size=4, use_cpu=True, report_to="none", disable_tqdm=True,
        **fields,
    )  # fmt: skip


def _which(taken: Mapping[str, Any], *names: str) -> str:
    return ", ".join(f"{name}: {'taken' if name in taken else 'refused'}" for name in names)

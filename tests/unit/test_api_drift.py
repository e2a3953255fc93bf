"""The exact arguments that the course passes to its libraries, and the defaults it speaks of.

A release that renames or drops one of them fails here, by name, before a lesson does.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest


def parameters(function: Any) -> set[str]:
    """Return the names that a function takes."""
    return set(inspect.signature(function).parameters)


def fields(cls: Any) -> set[str]:
    """Return the names of a dataclass's fields."""
    return {field.name for field in dataclasses.fields(cls)}


def missing(wanted: str | Iterable[str], there: set[str]) -> list[str]:
    """Return the wanted names (a text is split at its blanks) that are not there."""
    return sorted(set(wanted.split() if isinstance(wanted, str) else wanted) - there)


SFT_CONFIG = """
    output_dir max_steps num_train_epochs per_device_train_batch_size per_device_eval_batch_size
    gradient_accumulation_steps learning_rate lr_scheduler_type warmup_steps weight_decay
    max_length packing completion_only_loss loss_type gradient_checkpointing use_cpu bf16 fp16
    train_sampling_strategy dataloader_pin_memory seed data_seed logging_strategy logging_steps
    logging_nan_inf_filter save_strategy save_steps save_total_limit report_to disable_tqdm
    push_to_hub optim max_grad_norm remove_unused_columns eval_strategy eval_steps
    load_best_model_at_end
"""


def test_sft_config_takes_every_setting_of_the_course():
    from trl.trainer.sft_config import SFTConfig

    assert missing(SFT_CONFIG, fields(SFTConfig)) == []
    assert not {"max_seq_length", "tokenizer"} & fields(SFTConfig)


def test_sft_config_defaults_are_those_that_the_lessons_name(tmp_path: Path):
    from trl.trainer.sft_config import SFTConfig

    config = SFTConfig(output_dir=str(tmp_path), use_cpu=True)
    assert config.learning_rate == 2e-5
    assert config.gradient_checkpointing is True
    assert config.max_length == 1024
    assert config.packing is False
    assert config.completion_only_loss is None
    assert config.loss_type in ("nll", "chunked_nll")  # the second in the TRL of Python 3.10


def test_sft_trainer_and_trainer():
    from transformers import Trainer, TrainerCallback
    from trl.trainer.sft_trainer import SFTTrainer

    wanted = "model args train_dataset eval_dataset processing_class peft_config callbacks"
    taken = parameters(SFTTrainer.__init__)
    assert missing([*wanted.split(), "quantization_config", "data_collator"], taken) == []
    assert not {"tokenizer", "max_seq_length", "dataset_text_field", "packing"} & taken
    plain = "model args train_dataset eval_dataset processing_class data_collator callbacks"
    assert missing(plain, parameters(Trainer.__init__)) == []
    assert "tokenizer" not in parameters(Trainer.__init__)
    assert "resume_from_checkpoint" in parameters(Trainer.train)
    overridden = "model inputs return_outputs num_items_in_batch"
    assert missing(overridden, parameters(SFTTrainer.compute_loss)) == []
    assert missing(["model", "trial"], parameters(SFTTrainer._save_checkpoint)) == []
    for event in ("on_step_begin", "on_step_end", "on_save", "on_log", "on_train_begin"):
        assert hasattr(TrainerCallback, event)


def test_sft_trainer_still_keeps_the_counters_that_the_course_writes():
    import trl.trainer.sft_trainer as module

    source = inspect.getsource(module)
    assert "self._total_train_tokens" in source
    assert "self._metrics" in source


def test_what_the_courses_loss_asks_of_a_model():
    from accelerate import Accelerator
    from peft import PeftModel
    from transformers import PreTrainedModel

    assert hasattr(Accelerator, "autocast")
    assert hasattr(PeftModel, "get_base_model")
    for name in ("base_model_prefix", "get_output_embeddings"):
        assert hasattr(PreTrainedModel, name)


def test_what_attention_by_rows_stands_on():
    """Its parts are imported by `layout`; these are the names that it is called by."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.modeling_utils import AttentionInterface, PreTrainedModel
    from transformers.models.llama import modeling_llama

    wanted = "module query key value attention_mask is_causal"
    assert missing(wanted, parameters(sdpa_attention_forward)) == []
    assert missing("attn_implementation", parameters(PreTrainedModel.set_attn_implementation)) == []
    assert callable(AttentionInterface.register)
    for part in (modeling_llama.LlamaModel, modeling_llama.LlamaDecoderLayer):
        assert "kwargs" in parameters(part.forward), "the layers no longer hand on what they get"


def test_training_arguments_of_the_plain_trainer():
    from transformers import TrainingArguments

    shared = [name for name in SFT_CONFIG.split() if name not in _OF_TRL]
    assert missing(shared, fields(TrainingArguments)) == []


_OF_TRL = {"max_length", "packing", "completion_only_loss", "loss_type"}

LORA_CONFIG = """
    r lora_alpha target_modules lora_dropout bias use_rslora use_dora fan_in_fan_out task_type
    init_lora_weights modules_to_save rank_pattern alpha_pattern layers_to_transform inference_mode
"""


def test_lora_config():
    from peft import LoraConfig

    assert missing(LORA_CONFIG, fields(LoraConfig)) == []
    config = LoraConfig()
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias) == (8, 8, 0.0, "none")
    assert (config.use_rslora, config.use_dora, config.fan_in_fan_out) == (False, False, False)
    assert config.init_lora_weights is True
    assert LoraConfig(target_modules="all-linear").target_modules == "all-linear"


def test_other_peft_methods():
    from peft import IA3Config, PromptTuningConfig, TaskType

    wanted = ["task_type", "target_modules", "feedforward_modules", "fan_in_fan_out"]
    assert missing(wanted, fields(IA3Config)) == []
    wanted = ["task_type", "num_virtual_tokens", "prompt_tuning_init", "prompt_tuning_init_text"]
    assert missing([*wanted, "tokenizer_name_or_path"], fields(PromptTuningConfig)) == []
    assert TaskType.CAUSAL_LM == "CAUSAL_LM"


def test_peft_functions_and_methods():
    import peft
    from peft.tuners.lora import LoraModel

    assert missing(["model", "peft_config", "adapter_name"], parameters(peft.get_peft_model)) == []
    loading = ["model", "model_id", "adapter_name", "is_trainable"]
    assert missing(loading, parameters(peft.PeftModel.from_pretrained)) == []
    filling = ["model_id", "adapter_name", "is_trainable", "key_mapping"]
    assert missing(filling, parameters(peft.PeftModel.load_adapter)) == []
    # How an adapter from anywhere is judged, and how one reaches a mixture of experts.
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.utils import other, transformers_weight_conversion

    assert peft.MODEL_TYPE_TO_PEFT_MODEL_MAPPING["CAUSAL_LM"] is peft.PeftModelForCausalLM
    assert PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType.LORA] is peft.LoraConfig
    assert missing(["pattern_keys", "key_to_match"], parameters(other.get_pattern_key)) == []
    convert = transformers_weight_conversion.convert_peft_config_for_transformers
    assert missing(["peft_config", "model", "conversions"], parameters(convert)) == []
    stored = parameters(peft.get_peft_model_state_dict)
    assert "save_embedding_layers" in stored
    saving = ["save_directory", "safe_serialization", "selected_adapters"]
    assert missing(saving, parameters(peft.PeftModel.save_pretrained)) == []
    assert "safe_merge" in parameters(LoraModel.merge_and_unload)
    assert "adapter_name" in parameters(peft.PeftModel.set_adapter)
    preparing = ["model", "use_gradient_checkpointing", "gradient_checkpointing_kwargs"]
    assert missing(preparing, parameters(peft.prepare_model_for_kbit_training)) == []
    for name in ("disable_adapter", "get_nb_trainable_parameters", "delete_adapter"):
        assert hasattr(peft.PeftModel, name)
    assert missing(["adapter_name", "peft_config"], parameters(peft.PeftModel.add_adapter)) == []
    assert hasattr(peft.AutoPeftModelForCausalLM, "from_pretrained")
    assert hasattr(LoraModel, "unload")


def test_what_later_methods_take():
    from peft import PeftModel, VeraConfig
    from peft.optimizers import create_loraplus_optimizer
    from peft.tuners.lora import LoraModel
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    wanted = ["model", "optimizer_cls", "lr", "loraplus_lr_ratio"]
    assert missing(wanted, parameters(create_loraplus_optimizer)) == []
    wanted = ["adapters", "weights", "adapter_name", "combination_type", "density"]
    assert missing(wanted, parameters(LoraModel.add_weighted_adapter)) == []
    assert missing(["r", "target_modules", "task_type"], fields(VeraConfig)) == []
    converting = ["path_initial_model_for_weight_conversion"]
    assert missing(converting, parameters(PeftModel.save_pretrained)) == []
    wanted = "output_dir max_steps per_device_train_batch_size learning_rate beta use_cpu"
    assert missing(wanted, fields(DPOConfig)) == []
    wanted = "model args train_dataset processing_class peft_config"
    assert missing(wanted, parameters(DPOTrainer.__init__)) == []


def test_bits_and_bytes_config_and_the_defaults_that_are_not_qlora():
    import torch
    from transformers import BitsAndBytesConfig

    wanted = [
        "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
        "bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_skip_modules",
    ]  # fmt: skip
    assert missing(wanted, parameters(BitsAndBytesConfig.__init__)) == []
    config = BitsAndBytesConfig(load_in_4bit=True)
    assert config.bnb_4bit_quant_type == "fp4"
    assert config.bnb_4bit_compute_dtype == torch.float32
    assert config.bnb_4bit_use_double_quant is False


def test_from_pretrained_takes_dtype_and_only_safetensors(tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config

    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=16, n_positions=8)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.bfloat16, trust_remote_code=False, use_safetensors=True
    )
    assert model.dtype == torch.bfloat16
    assert "logits_to_keep" in parameters(type(model).forward)


def test_generate_and_the_chat_template_of_tokenizers():
    from transformers import (
        BatchEncoding,
        GenerationConfig,
        GenerationMixin,
        PreTrainedTokenizerBase,
    )

    assert "generation_config" in parameters(vars(GenerationMixin)["generate"])
    for name in ("max_new_tokens", "do_sample", "num_beams", "pad_token_id", "eos_token_id"):
        assert hasattr(GenerationConfig(), name)
    wanted = ["tokenize", "add_generation_prompt", "return_tensors", "return_dict", "padding"]
    assert missing(wanted, parameters(PreTrainedTokenizerBase.apply_chat_template)) == []
    assert missing(["char_index"], parameters(BatchEncoding.char_to_token)) == []


def test_the_chat_handler_of_transformers_serve_is_what_the_endpoint_builds_on():
    from transformers.cli.serving.chat_completion import ChatCompletionHandler
    from transformers.cli.serving.utils import GenerationState, Modality

    taken = parameters(ChatCompletionHandler.__init__)
    assert missing("model_manager generation_state", taken) == []
    given = parameters(ChatCompletionHandler._build_generation_config)
    assert missing("body model_generation_config use_cb", given) == []
    for method in (ChatCompletionHandler._streaming, ChatCompletionHandler._non_streaming):
        names = list(inspect.signature(method).parameters)[1:7]
        assert names == ["request_id", "model", "processor", "model_id", "inputs", "gen_config"]
    assert GenerationState()
    assert Modality.LLM


def test_model_cards_and_gguf_writers():
    import gguf
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    wanted = "language library_name pipeline_tag tags model_name eval_results license base_model"
    assert missing(wanted, parameters(ModelCardData.__init__)) == []
    assert missing("card_data template_path", parameters(ModelCard.from_template)) == []
    assert missing("dataset_split metric_value", fields(EvalResult)) == []
    assert missing("name tensor raw_dtype", parameters(gguf.GGUFWriter.add_tensor)) == []
    assert missing("data qtype", parameters(gguf.quantize)) == []


def test_the_bar_of_the_gguf_reader_is_off_in_a_quiet_block():
    from tqdm.auto import tqdm
    from transformers import modeling_gguf_pytorch_utils as reader

    from labs_lib.quiet import quiet_loading

    assert "tqdm(" in inspect.getsource(reader)
    with quiet_loading():
        assert vars(reader)["tqdm"]([1]).disable
    assert vars(reader)["tqdm"] is tqdm


@pytest.fixture(scope="module")
def bitsandbytes() -> Any:
    """The library, imported once."""
    import bitsandbytes

    return bitsandbytes


def test_bitsandbytes_functions(bitsandbytes: Any):
    functional = bitsandbytes.functional
    wanted = ["A", "blocksize", "compress_statistics", "quant_type", "quant_storage"]
    assert missing(wanted, parameters(functional.quantize_4bit)) == []
    wanted = ["A", "quant_state", "absmax", "blocksize", "quant_type"]
    assert missing(wanted, parameters(functional.dequantize_4bit)) == []
    default = inspect.signature(functional.quantize_4bit).parameters["quant_type"].default
    assert default == "fp4"
    for name in ("create_dynamic_map", "get_4bit_type", "QuantState"):
        assert hasattr(functional, name)


def test_bitsandbytes_layers_and_optimizers(bitsandbytes: Any):
    linear = ["input_features", "output_features", "bias", "compute_dtype", "compress_statistics"]
    taken = parameters(bitsandbytes.nn.Linear4bit.__init__)
    assert missing([*linear, "quant_type", "quant_storage"], taken) == []
    for name in ("AdamW8bit", "PagedAdamW8bit", "PagedAdamW"):
        optimizer = getattr(bitsandbytes.optim, name)
        wanted = ["params", "lr", "betas", "eps", "weight_decay"]
        assert missing(wanted, parameters(optimizer.__init__)) == []

"""An adapter's configuration, judged whole before PEFT builds anything by it."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error, last_line, nearest, shorten
from labs_lib.jsons import read_json
from labs_lib.texts import UnreadableError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"

_MOST_BYTES = 1 << 20  # PEFT writes a few kilobytes
_LONGEST_NAME = 4096
_MOST_LAYERS = 4096
_LARGEST_SIZE = 1 << 20
"""A rank, a number of virtual tokens, a width: larger ones only fill the memory."""

_LARGEST_INTEGER = 2**63 - 1

# Sizes: PEFT takes memory by them before it has seen a weight.
_SIZES = (
    "r",
    "init_r",
    "target_r",
    "num_virtual_tokens",
    "num_transformer_submodules",
    "num_layers",
    "num_attention_heads",
    "token_dim",
    "adapter_len",
    "adapter_layers",
    "num_tasks",
    "num_ranks",
    "oft_block_size",
    "boft_block_size",
    "boft_block_num",
    "num_vectors",
    "vector_length",
)
# Fields that name a file, a class or a module to load, or matter in training alone: PEFT gets
# its own default in their place.
_NOT_TAKEN_OVER = (
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "peft_version",
    "inference_mode",
    "megatron_core",
    "prompt_tuning_init",
    "prompt_tuning_init_text",
    "prompt_tuning_init_state_dict_path",
    "tokenizer_name_or_path",
    "tokenizer_kwargs",
    "runtime_config",
)
# What would load another adapter or library; null in every configuration that the course can load.
_MUST_BE_UNSET = ("megatron_config", "arrow_config")
_TASKS = (None, "CAUSAL_LM", "FEATURE_EXTRACTION")
# PEFT accepts a fraction where it says int.
_FRACTIONS = ("lora_alpha", "alpha")

PROMPTS = (
    "PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "CPT",
)
"""Adapters that stand in front of the prompt and change no weight of the model."""

LOADABLE = (
    "LORA",
    "ADALORA",
    "LOHA",
    "LOKR",
    "IA3",
    "LN_TUNING",
    "OFT",
    "BOFT",
    "VERA",
    "HRA",
    "MISS",
    "FOURIERFT",
    "RANDLORA",
    "SHIRA",
    "VBLORA",
    "C3A",
    "ROAD",
    "ADAPTION_PROMPT",
    "TRAINABLE_TOKENS",
    *PROMPTS,
)
"""Kinds that need nothing but their own two files: no other adapter, no file that they name."""


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read an adapter's configuration; `LabError` where `folder` holds no whole adapter.

    The fields are those of PEFT's own class for this kind of adapter, each of the type that PEFT
    declares, and no size is beyond what an adapter can have. Nothing is loaded by it.
    """
    folder = Path(folder)
    _check_files(folder)
    path = folder / CONFIG_FILE
    try:
        config = read_json(path, _MOST_BYTES)
    except UnreadableError as error:
        raise LabError(f"adapter: {error}") from None
    if not isinstance(config, dict) or "peft_type" not in config:
        raise LabError(f"adapter: {path} names no peft_type; it is no PEFT adapter")
    _check_kind(config)
    _check_base(config)
    return config


def base_of(folder: str | Path) -> str:
    """Return the name of the base model that the adapter in `folder` was trained on.

    Raises `LabError` where it names none.
    """
    name = read_config(folder).get("base_model_name_or_path")
    if not name:
        raise LabError(
            f"adapter: {Path(folder) / CONFIG_FILE} names no base model "
            f"(base_model_name_or_path is {shorten(name)}); name it: --model"
        )
    return name


def peft_config(config: dict[str, Any]) -> Any:
    """Return PEFT's own configuration object for what `read_config` returned.

    Raises `LabError` for a field that PEFT's class has not, or one of another type.
    """
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    kind = PEFT_TYPE_TO_CONFIG_MAPPING[config["peft_type"]]
    hints = typing.get_type_hints(kind)
    legal = {field.name for field in dataclasses.fields(kind) if field.init}
    fields: dict[str, Any] = {}
    for name, value in config.items():
        if name in _NOT_TAKEN_OVER:
            continue
        if name not in legal:
            if value in (None, False, 0, "", [], {}):
                continue  # of a newer PEFT, and not used
            raise _illegal(
                name,
                value,
                f"this PEFT knows no such field{nearest(name, sorted(legal))}; update PEFT",
            )
        fields[name] = _typed(name, value, hints[name])
    _check_sizes(fields)
    if "total_step" in legal and not fields.get("total_step"):
        fields["total_step"] = 1  # AdaLoRA's schedule of training, which is over
    try:
        return kind(**fields, inference_mode=True)
    except (ValueError, TypeError, ImportError, KeyError, NotImplementedError) as error:
        raise LabError(f"adapter: PEFT refuses its configuration: {last_line(error)}") from None


def _check_files(folder: Path) -> None:
    try:
        is_folder = folder.is_dir()
    except (OSError, ValueError) as error:  # a name too long, a NUL
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"adapter: {shorten(str(folder))}: {reason}") from None
    if not is_folder:
        raise LabError(f"adapter: no folder {folder}; `labs train` writes one named adapter/")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if (folder / name).is_file():
            continue
        if name == WEIGHTS_FILE and (folder / PICKLE_FILE).exists():
            raise LabError(
                f"adapter: {folder} holds only pickle weights ({PICKLE_FILE}), which can run code "
                f"when they are loaded; save the adapter again as safetensors"
            )
        if (folder / name).is_symlink():
            raise LabError(f"adapter: {folder / name} is a link that leads to no file")
        inner = folder / "adapter"
        hint = f"; did you mean {inner}?" if (inner / name).is_file() else ""
        raise LabError(f"adapter: {folder} holds no {name}{hint}")


def _check_kind(config: dict[str, Any]) -> None:
    kind = config["peft_type"]
    if not isinstance(kind, str) or kind not in LOADABLE:
        raise choice_error(f"adapter: {CONFIG_FILE}: peft_type", kind, LOADABLE)
    task = config.get("task_type")
    if task not in _TASKS:
        raise LabError(
            f"adapter: task_type: {shorten(task)} is no task of a model that writes; "
            f"legal: CAUSAL_LM or null"
        )
    for name in _MUST_BE_UNSET:
        if config.get(name) is not None:
            raise _illegal(name, config[name], "the course loads no adapter that sets it")


def _check_base(config: dict[str, Any]) -> None:
    name = config.get("base_model_name_or_path")
    if name is None:
        return
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or "\0" in name:
        raise _illegal("base_model_name_or_path", name, "a model's name, or null")
    if name.startswith(("\\\\", "//")):  # asking would send a password's hash to that server
        raise _illegal("base_model_name_or_path", name, "a path on another machine is not opened")


def _typed(name: str, value: Any, hint: Any) -> Any:
    from pydantic import TypeAdapter, ValidationError

    if value is None:  # PEFT declares many a field as int and leaves it None
        return None
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise _illegal(name, value, "no such number is needed")
    number = isinstance(value, float) and math.isfinite(value)
    if name in _FRACTIONS and number:
        return value
    try:
        # As JSON, since a list is a set's JSON form, and a word an enumeration's; strictly, so
        # that "8" is no number.
        return TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"]
        raise _illegal(name, value, first[:1].lower() + first[1:]) from None


def _check_sizes(fields: dict[str, Any]) -> None:
    for name in _SIZES:
        value = fields.get(name)
        # OFT keeps 0 where the other of its two sizes decides.
        for size in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(size, int) and not 0 <= size <= _LARGEST_SIZE:
                raise _illegal(name, size, f"from 1 to {_LARGEST_SIZE:,}")
    rank = fields.get("r")
    if rank == 0 and "oft_block_size" not in fields:
        raise _illegal("r", rank, f"from 1 to {_LARGEST_SIZE:,}")
    if fields.get("lora_alpha") == 0 and not fields.get("alpha_pattern"):
        raise _illegal("lora_alpha", 0, "it scales the whole update to nothing")
    _check_patterns(fields)
    pairs = fields.get("layer_replication") or []
    if sum(max(0, end - start) for start, end in pairs) > _MOST_LAYERS:
        raise _illegal("layer_replication", pairs, f"at most {_MOST_LAYERS:,} layers")


def _check_patterns(fields: dict[str, Any]) -> None:
    """Raise for a rank or an alpha of one layer that no layer can have."""
    for key, rank in (fields.get("rank_pattern") or {}).items():
        if isinstance(rank, list):  # AdaLoRA keeps here which of the ranks are left
            continue
        if isinstance(rank, bool) or not isinstance(rank, int):
            raise _illegal(f"rank_pattern.{key}", rank, "a whole number")
        if not 1 <= rank <= _LARGEST_SIZE:
            raise _illegal(f"rank_pattern.{key}", rank, f"from 1 to {_LARGEST_SIZE:,}")
    for key, alpha in (fields.get("alpha_pattern") or {}).items():
        is_number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
        if not (is_number and abs(alpha) <= _LARGEST_SIZE):
            raise _illegal(f"alpha_pattern.{key}", alpha, "a number of usual size")


def _illegal(name: str, value: Any, legal: str) -> LabError:
    return LabError(f"adapter: {CONFIG_FILE}: {name}: {shorten(value)} is not legal; {legal}")

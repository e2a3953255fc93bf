"""A merged model as one GGUF file, as llama.cpp and the programs around it read it.

Names, metadata and the order of the rotary rows are those of llama.cpp's own converter,
`conversion/llama.py`; the writer and the table of names are its Python package `gguf`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError, choice_error
from labs_lib.export.gguf_tokenizer import add_tokenizer, check_tokenizer
from labs_lib.export.weights import exported, hub_name, merged_model
from labs_lib.quiet import quiet_libraries
from labs_lib.training.adapter.merged import new_folder
from labs_lib.training.run import Run

if TYPE_CHECKING:
    import torch
    from gguf import GGUFWriter

GGUF_TYPES = ("f32", "f16", "q8_0")
"""How the matrices are stored: 32, 16 and 8.5 bits a weight."""

ARCHITECTURES = ("LlamaForCausalLM",)
_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}


def export_gguf(run_folder: str | Path, out: str | Path, type: str = "f16") -> Path:
    """Merge a run's adapter into its base and write both as one GGUF file; returns the file.

    `out` is a new folder; the file in it is named after run and type, "orders-f16.gguf". It holds
    the weights, the tokenizer and the chat template. `type` is one of `GGUF_TYPES`; vectors stay in
    f32. Raises `LabError` as `export_merged` does, for another architecture than Llama, and for a
    tokenizer whose way of splitting text llama.cpp has no name for here.
    """
    if type not in GGUF_TYPES:
        raise choice_error("type", type, GGUF_TYPES)
    run = Run.load(run_folder)
    folder = new_folder(Path(out))
    name = f"{run.recipe.name}-{type}.gguf"
    with quiet_libraries():
        model, tokenizer = merged_model(run)
    with exported(run, folder) as aside:
        write_gguf(model, tokenizer, aside / name, type, run.recipe.name, run.recipe.model)
    return folder / name


def write_gguf(
    model: Any, tokenizer: Any, file: Path, type: str, name: str, base: str | None = None
) -> None:
    """Write a Llama model in fp32 and its tokenizer to `file`; `base` is the base model's name.

    Raises `LabError` for a model or tokenizer that this writer does not know, before it writes.
    """
    check_model(model)
    check_tokenizer(tokenizer)
    import gguf

    writer = gguf.GGUFWriter(file, "llama")
    try:
        _add_metadata(writer, model.config, type, name, base)
        add_tokenizer(writer, tokenizer, model.config.vocab_size)
        for tensor_name, values in _tensors(model):
            stored = _stored_as(values, type)
            data = gguf.quantize(values.contiguous().numpy(), stored)
            writer.add_tensor(tensor_name, data, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def check_model(model: Any) -> None:
    """Raise `LabError` unless the model is one that `write_gguf` knows how to write."""
    config, kind = model.config, type(model).__name__
    if kind not in ARCHITECTURES:
        raise LabError(
            f"gguf: {kind} is not supported here, only {', '.join(ARCHITECTURES)}; export merged "
            "and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )
    rope = config.rope_parameters["rope_type"]
    if rope != "default":
        raise LabError(
            f"gguf: rotary embeddings of type {rope!r} are not supported here, only 'default'; "
            "export merged and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )
    if config.hidden_act != "silu":
        raise LabError(f"gguf: llama.cpp's Llama has silu in its MLP, not {config.hidden_act}")


def _add_metadata(writer: GGUFWriter, config: Any, type: str, name: str, base: str | None) -> None:
    import gguf

    from labs_lib.models import find

    head_size = config.head_dim or config.hidden_size // config.num_attention_heads
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    if base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, hub_name(base))
        if (entry := find(base)) is not None:
            writer.add_license(entry.licence.lower())
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[type]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _tensors(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (llama.cpp's name, values in its order); a tied head is left out, as it wants it."""
    import gguf

    config = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {
        "self_attn.q_proj": config.num_attention_heads,
        "self_attn.k_proj": config.num_key_value_heads,
    }
    for name, values in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise LabError(f"gguf: llama.cpp's Llama has no tensor {name}")
        rotated = next((count for part, count in heads.items() if part in name), None)
        values = values.detach().float().cpu()
        yield found, values if rotated is None else pairs_from_halves(values, rotated)


def pairs_from_halves(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Return q or k in llama.cpp's row order for rotary embeddings: two halves → side by side.

    transformers turns row i of a head with row i + head_size/2, llama.cpp's Llama rows 2i and
    2i + 1. `values` is (heads · head_size, …), and so is what comes back.
    """
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.transpose(1, 2).reshape(values.shape)


def _stored_as(values: torch.Tensor, type: str) -> Any:
    """Return ggml's type for a tensor; f16 where a row is no whole number of 8-bit blocks."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if values.dim() == 1:
        return GGMLQuantizationType.F32
    wanted = GGMLQuantizationType[type.upper()]
    block, _ = GGML_QUANT_SIZES[wanted]
    return wanted if values.shape[-1] % block == 0 else GGMLQuantizationType.F16

"""From the bundled GGUF file to the folder of bf16 safetensors that transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labs_lib.files import write_json, write_text
from labs_lib.models.catalogue import Entry, config_of

# Tensor names of llama.cpp → transformers, inside a layer.
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}

_CONTROL_TOKEN = 3  # llama.cpp's token type for <|im_start|> and its like


def convert(gguf: Path, folder: Path, model: Entry) -> None:
    """Write `gguf`'s weights, de-quantized to bf16, and its tokenizer into `folder`.

    The blocks are de-quantized in fp32 and rounded once.  transformers' own route through
    `from_pretrained(gguf_file=…)` gives the same weights, but rounds inside the formula when
    asked for bf16, takes several times as long, and its model refuses `save_pretrained`.
    """
    from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata

    tables = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")
    metadata, _ = read_gguf_metadata(str(gguf), tables)
    _write_weights(GgufHeader.from_file(str(gguf)), folder, model)
    _write_tokenizer(metadata, folder, model)
    config = config_of(model.name)
    config.dtype = "bfloat16"
    config.save_pretrained(folder)
    # Greedy and short unless a lesson says otherwise; the three tokens are the publisher's.
    tokens = {key: model.config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_json(folder / "generation_config.json", {**tokens, "max_new_tokens": 64})


def _write_weights(header: Any, folder: Path, model: Entry) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers.integrations.gguf.dequant import GGML_BLOCK, dequantize
    from transformers.integrations.gguf.reader import load_gguf_state_dict

    stored = load_gguf_state_dict(header)
    weights: dict[str, torch.Tensor] = {}
    for info in header.tensors:
        values = stored[info.name][...]
        if info.ggml_type in GGML_BLOCK:
            values = dequantize(values, info.ggml_type, torch.float32)
        values = values.reshape(info.shape)
        if ".attn_q." in info.name:
            values = _halves_from_pairs(values, model.heads)
        elif ".attn_k." in info.name:
            values = _halves_from_pairs(values, model.key_value_heads)
        weights[_name(info.name)] = values.to(torch.bfloat16).contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _halves_from_pairs(weight: Any, heads: int) -> Any:
    """Undo llama.cpp's row order for rotary embeddings: pairs side by side → two halves.

    `weight` is (heads · head_size, hidden); so is what comes back.
    """
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.transpose(1, 2).reshape(rows, columns)


def _name(gguf_name: str) -> str:
    stem = gguf_name.removesuffix(".weight")
    if stem in _OUTER_NAMES:
        return f"{_OUTER_NAMES[stem]}.weight"
    _, layer, inner = stem.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[inner]}.weight"


def _write_tokenizer(metadata: dict[str, Any], folder: Path, model: Entry) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE({token: index for index, token in enumerate(tokens)}, merges))
    # SmolLM splits every digit apart before the byte-level rule (tokenizer.ggml.pre "smollm").
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == _CONTROL_TOKEN
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {
        f"{role}_token": tokens[metadata[f"tokenizer.ggml.{key}_token_id"]]
        for role, key in {
            "bos": "bos",
            "eos": "eos",
            "unk": "unknown",
            "pad": "padding",
        }.items()
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.max_positions,
        "clean_up_tokenization_spaces": False,
        **named,
    }
    write_json(folder / "tokenizer_config.json", settings)
    template = metadata["tokenizer.chat_template"]
    write_text(folder / "chat_template.jinja", template)

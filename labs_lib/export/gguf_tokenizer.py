"""A byte-level BPE tokenizer in a GGUF file's metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError

if TYPE_CHECKING:
    from gguf import GGUFWriter

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES = ("ByteLevel", False, True)  # GPT-2's rule, no space put in front
# How text is split before the merges, as tokenizers describes it → llama.cpp's name for it, and
# whether a piece that is a token itself skips the merges there.
_SPLITS: dict[tuple[Any, ...], tuple[str, bool]] = {
    (_BYTES,): ("gpt-2", False),
    (("Digits", True), _BYTES): ("smollm", False),
    (("Split", LLAMA3_SPLIT, "Isolated", False), ("ByteLevel", False, False)): ("llama-bpe", True),
}
_FIELDS = {
    "ByteLevel": ("add_prefix_space", "use_regex"),
    "Digits": ("individual_digits",),
    "Split": ("pattern", "behavior", "invert"),
}


def check_tokenizer(tokenizer: Any) -> None:
    """Raise `LabError` unless llama.cpp splits text as this tokenizer does."""
    _split_name(_described(tokenizer))


def add_tokenizer(writer: GGUFWriter, tokenizer: Any, vocab_size: int) -> None:
    """Add tokens, merges, special tokens and chat template; rows without a token are unused."""
    from gguf import TokenType

    described = _described(tokenizer)
    tokens = [f"[PAD{index}]" for index in range(vocab_size)]
    kinds = [TokenType.UNUSED] * vocab_size
    for token, index in described["model"]["vocab"].items():
        tokens[index], kinds[index] = token, TokenType.NORMAL
    for added in described["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        tokens[added["id"]], kinds[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_split_name(described))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [pair if isinstance(pair, str) else " ".join(pair) for pair in described["model"]["merges"]]
    )
    for role in ("bos", "eos", "unk", "pad"):
        if (token_id := getattr(tokenizer, f"{role}_token_id")) is not None:
            getattr(writer, f"add_{role}_token_id")(token_id)
    writer.add_add_bos_token(tokenizer("a").input_ids[0] == tokenizer.bos_token_id)
    writer.add_add_space_prefix(False)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def _described(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise LabError("gguf: only tokenizers with a tokenizer.json are supported here")
    return json.loads(backend.to_str())


def _split_name(described: dict[str, Any]) -> str:
    """Return llama.cpp's name for how text is split; `LabError` where it has none that we know."""
    model, splitter = described["model"], described["pre_tokenizer"] or {}
    steps = tuple(map(_step, splitter.get("pretokenizers", [splitter])))
    name, skips_merges = _SPLITS.get(steps, ("", False))
    plain = model["type"] == "BPE" and described["normalizer"] is None
    if not name or not plain or bool(model.get("ignore_merges")) != skips_merges:
        known = ", ".join(each for each, _ in _SPLITS.values())
        raise LabError(
            f"gguf: this tokenizer ({model['type']}) does not split text in a way that is known "
            f"here; known: {known}; export merged and convert that folder with llama.cpp's "
            "convert_hf_to_gguf.py"
        )
    return name


def _step(step: dict[str, Any]) -> tuple[Any, ...]:
    kind = step.get("type")
    values = (step.get(field) for field in _FIELDS.get(str(kind), ()))
    return kind, *(value["Regex"] if isinstance(value, dict) else value for value in values)

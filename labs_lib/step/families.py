"""What the course knows of a family of models, by transformers' `model_type`, and of its names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Family:
    """What tells one family from another, beyond the sizes in its configuration.

    `gated`: RMSNorm, rotary positions, grouped queries and a gated MLP, as Llama has them.
    `plainly_causal`: a token's output depends on its row only by the mask and the positions, so
    rows may be packed. `learned_positions`: one trained vector for each position. A layer has
    `norms`; `biased_norms` have a bias beside their weight, the last one too. With a
    `sliding_window` a token sees only so many before it. `dropout` is transformers' default.
    `quantizable` is False where transformers' replacement of linear layers finds none: the base
    stays in 16 bits.
    """

    gated: bool = False
    plainly_causal: bool = False
    learned_positions: bool = False
    norms: int = 2
    biased_norms: bool = False
    sliding_window: bool = False
    dropout: float = 0.0
    quantizable: bool = True

    @property
    def vectors_per_norm(self) -> int:
        """Return 1, or 2 where a norm has a bias."""
        return 2 if self.biased_norms else 1


_LLAMA = Family(gated=True, plainly_causal=True)

FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "mistral": replace(_LLAMA, sliding_window=True),
    "qwen2": _LLAMA,
    "gpt2": Family(learned_positions=True, biased_norms=True, dropout=0.1),
    # FalconLinear is a class of its own, which transformers 5.23 does not replace.
    "falcon": Family(norms=1, biased_norms=True, quantizable=False),
    # Of these the formula has no layer: their forecast is fitted to traces.
    **dict.fromkeys(
        (
            "qwen3",
            "qwen3_moe",
            "gemma2",
            "gemma3_text",
            "phi3",
            "smollm3",
            "olmo2",
            "mixtral",
            "gpt_oss",
            "deepseek_v2",
        ),
        Family(),
    ),
}

_UNKNOWN = Family()


def family_of(model_type: str) -> Family:
    """Return the family; one that the course has no entry for is taken as nothing special."""
    return FAMILIES.get(model_type, _UNKNOWN)


# Which parts of a layer a linear map computes, by the end of its path; a fused map holds several.
PARTS_BY_NAME: dict[str, tuple[str, ...]] = {
    "q_proj": ("q",),
    "k_proj": ("k",),
    "v_proj": ("v",),
    "o_proj": ("o",),
    "out_proj": ("o",),
    "qkv_proj": ("q", "k", "v"),
    "c_attn": ("q", "k", "v"),
    "Wqkv": ("q", "k", "v"),
    "W_pack": ("q", "k", "v"),
    "query_key_value": ("q", "k", "v"),
    "attn.c_proj": ("o",),
    "self_attention.dense": ("o",),
    "attention.dense": ("o",),
    "gate_proj": ("gate",),
    "up_proj": ("up",),
    "down_proj": ("down",),
    "gate_up_proj": ("gate", "up"),
    "c_fc": ("up",),
    "mlp.c_proj": ("down",),
    "dense_h_to_4h": ("up",),
    "dense_4h_to_h": ("down",),
    "fc_in": ("up",),
    "fc_out": ("down",),
    "fc1": ("up",),
    "fc2": ("down",),
}
PARTS = ("q", "k", "v", "o", "gate", "up", "down")


def ends_with(path: str, name: str) -> bool:
    """Return whether `name` names the module at `path`: PEFT matches whole names, at the end."""
    return path == name or path.endswith(f".{name}")


def ending_with(name: str, paths: Iterable[str]) -> list[str]:
    """Return those of the `paths` that `name` names."""
    return [path for path in paths if ends_with(path, name)]


def parts_of(path: str) -> tuple[str, ...]:
    """Return the parts that the linear map at `path` computes; empty for an unknown name."""
    return next((parts for end, parts in PARTS_BY_NAME.items() if ends_with(path, end)), ())

"""How a batch's rows are laid out for the model: the same loss from fewer operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

PLAINLY_CAUSAL = ("llama", "mistral", "qwen2")
"""Families whose tokens know of their row only what mask and position tell: no distance bias."""
NOT_LEARNT = -100


@dataclass(frozen=True)
class Packed:
    """Rows laid end to end behind the tokens that they share.

    `input_ids` and `position_ids` are (1, tokens), `attention_mask` is (1, 1, tokens, tokens),
    true where a token sees another, and `targets` (1, tokens) holds the label of the token that
    each one predicts.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor
    targets: torch.Tensor

    def inputs(self) -> dict[str, torch.Tensor]:
        """Return what a model's body takes."""
        return {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            "attention_mask": self.attention_mask,
        }


def lay_out(
    config: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return (what the model's body takes, the label that each of its outputs predicts).

    The inputs are (batch, length). Short rows that begin alike are packed; rows padded on the
    right go without a mask, since no token of a causal model sees the padding behind it, and
    attention without a mask leaves out the half that it would hide. Other families get the rows
    as they are.
    """
    rows = {"input_ids": input_ids, "attention_mask": attention_mask}
    targets = next_labels(labels)
    if config.model_type not in PLAINLY_CAUSAL:
        return rows, targets
    if takes_packed_rows(config, input_ids.shape[1]):
        together = packed(input_ids, attention_mask, labels)
        if together and is_less_work(together, input_ids, config.hidden_size):
            return together.inputs(), together.targets
    if not (attention_mask.diff(dim=1) > 0).any():
        del rows["attention_mask"]
    return rows, targets


def next_labels(labels: torch.Tensor) -> torch.Tensor:
    """Return for every position the label of the next one; both are (batch, length)."""
    return torch.nn.functional.pad(labels[:, 1:], (0, 1), value=NOT_LEARNT)


def packed(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
) -> Packed | None:
    """Lay a batch's rows end to end behind their common beginning, without padding.

    In a causal model a token's vectors depend on the tokens before it alone, so rows that begin
    with the same system message share the vectors of that beginning, and its dropout where there
    is any. All three inputs are (batch, length), padded on the right. None where the rows share no
    beginning before the first label.
    """
    rows = len(input_ids)
    real, targets = attention_mask.bool(), next_labels(labels)
    alike = (input_ids == input_ids[0]) & real & (targets == NOT_LEARNT)
    shared = int(alike.all(dim=0).long().cumprod(0).sum())
    if rows == 1 or shared == 0:
        return None
    own = real[:, shared:]
    owner, place = own.nonzero(as_tuple=True)
    row = torch.nn.functional.pad(owner, (shared, 0), value=rows)  # `rows`: it belongs to all
    position = torch.cat([torch.arange(shared, device=place.device), place + shared])
    sees = ((row == row[:, None]) | (row == rows)) & (position <= position[:, None])
    no_targets = targets.new_full((shared,), NOT_LEARNT)
    return Packed(
        input_ids=torch.cat([input_ids[0, :shared], input_ids[:, shared:][own]])[None],
        position_ids=position[None],
        attention_mask=sees[None, None],
        targets=torch.cat([no_targets, targets[:, shared:][own]])[None],
    )


def takes_packed_rows(config: Any, length: int) -> bool:
    """Return whether a model of this configuration gives packed rows what it gives rows apart."""
    window = getattr(config, "sliding_window", None)
    return (
        config.model_type in PLAINLY_CAUSAL
        and getattr(config, "_attn_implementation", None) == "sdpa"  # takes a mask of pairs
        and (window is None or length <= window)
    )


def is_less_work(found: Packed, input_ids: torch.Tensor, hidden_size: int) -> bool:
    """Return whether packed rows take fewer operations than the padded ones, `input_ids`.

    A layer's products take about 24 × hidden² operations a token and attention 4 × hidden a pair
    of tokens; packed, each token is multiplied with those of all rows. Attention reaches about a
    third of the products' rate on a CPU, hence the 2 × hidden where 6 × hidden would stand.
    """
    (rows, length), together = input_ids.shape, found.input_ids.shape[1]
    apart_work = rows * length * (2 * hidden_size + length)
    return together * (2 * hidden_size + together) < apart_work

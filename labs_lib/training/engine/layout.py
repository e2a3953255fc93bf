"""How a batch's rows are laid out for the model: the same loss from fewer operations.

Every product of a layer treats a token by itself, so rows can lie end to end, without padding,
behind the beginning that they share.  Attention alone needs them apart: it gets each row in turn,
beginning included, and puts its outputs back in line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import embedding
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from labs_lib.memory import LaidOut
from labs_lib.step.families import family_of
from labs_lib.training.engine.attention import may_write_out, written_out

NOT_LEARNT = -100
BY_ROWS = "labs_by_rows"
"""The name under which transformers knows the attention that takes rows laid end to end."""
WRITTEN_OUT = "labs_by_rows_in_bf16"
"""The same, as products one by one where `attention` says that this is quicker."""


@dataclass(frozen=True)
class Rows:
    """Where the tokens of rows lie that are laid end to end.

    `token_of` (rows, length) holds the number of each place's token, any token's behind a row's
    end; `place_of` (tokens,) is the way back: each token's place, counted through all rows.
    """

    token_of: torch.Tensor
    place_of: torch.Tensor

    def apart(self, line: torch.Tensor) -> torch.Tensor:
        """Return (1, heads, tokens, width) as (rows, heads, length, width)."""
        _, heads, tokens, width = line.shape
        vectors = line.transpose(1, 2).reshape(tokens, heads * width)
        # A table's lookup: unlike indexing, its gradient is quick on a CPU.
        return embedding(self.token_of, vectors).unflatten(-1, (heads, width)).transpose(1, 2)

    def in_line(self, apart: torch.Tensor) -> torch.Tensor:
        """Return (rows, length, heads, width) as (1, tokens, heads, width)."""
        heads_and_width = apart.shape[2:]
        return embedding(self.place_of, apart.flatten(2).flatten(0, 1)).view(
            1, -1, *heads_and_width
        )


@dataclass(frozen=True)
class Packed:
    """Rows laid end to end behind the tokens that they share.

    `input_ids` and `position_ids` are (1, tokens), `rows` says which token belongs where, and
    `targets` (1, tokens) holds the label of the token that each one predicts.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    rows: Rows
    targets: torch.Tensor

    def inputs(self) -> dict[str, Any]:
        """Return what the body of a model takes that attends by rows."""
        return {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            # A mask of four dimensions is handed on as it is, and ours is not looked at; without
            # one transformers would make one, tokens × tokens.
            "attention_mask": torch.ones((1, 1, 1, 1), device=self.input_ids.device),
            "packed_rows": self.rows,
        }


def attend_by_rows(model: Any) -> None:
    """Let a model whose attention allows it take packed rows; other input gives what it gave.

    `model` may be PEFT's. It is left as it is where its family or its attention has no such form.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if (
        family_of(inner.config.model_type).plainly_causal
        and getattr(inner.config, "_attn_implementation", None) == "sdpa"
    ):
        inner.set_attn_implementation(BY_ROWS)


def write_attention_out(model: Any, out: bool = True) -> None:
    """Let a model that attends by rows do so in products where that is quicker, or no longer."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if getattr(inner.config, "_attn_implementation", None) in (BY_ROWS, WRITTEN_OUT):
        inner.set_attn_implementation(WRITTEN_OUT if out else BY_ROWS)


def attend_apart(model: Any) -> None:
    """Take back what `attend_by_rows` changed."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if getattr(inner.config, "_attn_implementation", None) in (BY_ROWS, WRITTEN_OUT):
        inner.set_attn_implementation("sdpa")


def lay_out(
    config: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
) -> tuple[dict[str, Any], torch.Tensor]:
    """Return (what the model's body takes, the label that each of its outputs predicts).

    The inputs are (batch, length). Rows are packed where the model attends by rows; else rows
    padded on the right go without a mask, since no token of a causal model sees the padding
    behind it, and end where the last answer is predicted. Other families, and rows without any
    answer, are left as they are.
    """
    rows = {"input_ids": input_ids, "attention_mask": attention_mask}
    targets = next_labels(labels)
    length = int(_up_to_the_last_answer(targets).any(dim=0).sum())
    left_padded = bool((attention_mask.diff(dim=1) > 0).any())
    if not family_of(config.model_type).plainly_causal or left_padded or not length:
        return rows, targets
    if takes_packed_rows(config, length):
        together = packed(input_ids, attention_mask, labels)
        if together.targets.shape[1] < len(input_ids) * length:
            return together.inputs(), together.targets
    return {"input_ids": input_ids[:, :length]}, targets[:, :length]


def laid_out(inputs: dict[str, Any], targets: torch.Tensor, words_added: bool) -> LaidOut:
    """Return the sizes of a batch, from what `lay_out` returns, and how its step adds words up."""
    rows = inputs.get("packed_rows")
    count, longest = (inputs["input_ids"] if rows is None else rows.token_of).shape
    answers = int((targets != NOT_LEARNT).sum())
    return LaidOut(count, longest, targets.numel(), answers, words_added)


def next_labels(labels: torch.Tensor) -> torch.Tensor:
    """Return for every position the label of the next one; both are (batch, length)."""
    return torch.nn.functional.pad(labels[:, 1:], (0, 1), value=NOT_LEARNT)


def packed(input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> Packed:
    """Lay a batch's rows end to end behind their common beginning, without padding.

    In a causal model a token's vectors depend on the tokens before it alone, so rows that begin
    with the same system message share the vectors of that beginning, and its dropout where there
    is any. A beginning is shared up to the first token that predicts an answer, and a row ends
    with the last one that does. All three inputs are (batch, length), padded on the right.
    """
    length = input_ids.shape[1]
    targets = next_labels(labels)
    real = attention_mask.bool() & _up_to_the_last_answer(targets)
    alike = (input_ids == input_ids[0]) & real & (targets == NOT_LEARNT)
    shared = int(alike.all(dim=0).long().cumprod(0).sum())
    own = real.clone()
    own[:, :shared] = False
    row, position = own.nonzero(as_tuple=True)
    beginning = torch.arange(shared, device=input_ids.device)
    token_of = torch.zeros_like(input_ids)
    token_of[:, :shared] = beginning
    token_of[row, position] = shared + torch.arange(len(row), device=input_ids.device)
    no_targets = targets.new_full((shared,), NOT_LEARNT)
    return Packed(
        input_ids=torch.cat([input_ids[0, :shared], input_ids[own]])[None],
        position_ids=torch.cat([beginning, position])[None],
        rows=Rows(token_of, torch.cat([beginning, row * length + position])),
        targets=torch.cat([no_targets, targets[own]])[None],
    )


def _up_to_the_last_answer(targets: torch.Tensor) -> torch.Tensor:
    """Return (batch, length): true up to each row's last token that predicts an answer."""
    return (targets != NOT_LEARNT).flip(1).cumsum(1).flip(1) > 0


def takes_packed_rows(config: Any, length: int) -> bool:
    """Return whether a model of this configuration gives packed rows what it gives rows apart."""
    attends = getattr(config, "_attn_implementation", None)
    return attends in (BY_ROWS, WRITTEN_OUT) and sees_whole(config, length)


def sees_whole(config: Any, length: int) -> bool:
    """Return whether a token sees all of a row of `length` tokens, and not a window of it alone."""
    window = getattr(config, "sliding_window", None)
    return window is None or length <= window


def _attention_by_rows(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    packed_rows: Rows | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    options: dict[str, Any] = kwargs
    if packed_rows is not None:
        query, key, value = (packed_rows.apart(line) for line in (query, key, value))
        attention_mask, options = None, kwargs | {"is_causal": True}
    written = module.config._attn_implementation == WRITTEN_OUT
    if written and attention_mask is None and may_write_out(query, key, **options):
        output = written_out(query, key, value, options["scaling"])
    else:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return output if packed_rows is None else packed_rows.in_line(output), None


for _name in (BY_ROWS, WRITTEN_OUT):
    AttentionInterface.register(_name, _attention_by_rows)
    AttentionMaskInterface.register(_name, sdpa_mask)

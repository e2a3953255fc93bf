"""Full fine-tuning, LoRA or QLoRA: a choice for a model, a card and priorities, with its reasons.

The order of preference is the course's (lessons 01 and 06): what costs nothing first, then time
(checkpointing), then precision (a 4-bit base). Which methods are asked at all, and which of those
that fit is taken, depends on the priorities. Every figure in a reason comes from `forecast`.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from labs_lib.errors import choice_error
from labs_lib.memory.architecture import architecture
from labs_lib.memory.closed_form import forecast
from labs_lib.memory.config_file import config_file
from labs_lib.memory.fitting import Card, cards, largest_model, longest_sequence
from labs_lib.memory.fitting import card as find_card
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import Forecast, format_bytes
from labs_lib.step.methods import METHODS, USUAL

PRIORITIES: dict[str, str] = {
    "capacity": "much material that is far from what the model knows",
    "retention": "what the model could do before must suffer least",
    "variants": "a version for each of many tasks or customers",
    "length": "the longest texts that the card can take",
}

NAMES = {name: METHODS[name].title for name in USUAL} | {"none": "none of them"}

_FULL = (
    ({"method": "full", "optimizer": "adamw_fused"}, ""),
    (
        {"method": "full", "optimizer": "paged_adamw_8bit", "checkpointing": True},
        "checkpointing, paged 8-bit AdamW",
    ),
)
_ADAPTED = (
    ({"method": "lora", "optimizer": "adamw_fused"}, ""),
    ({"method": "lora", "optimizer": "adamw_fused", "checkpointing": True}, "checkpointing"),
    ({"method": "qlora", "optimizer": "adamw_fused"}, ""),
    ({"method": "qlora", "optimizer": "adamw_fused", "checkpointing": True}, "checkpointing"),
)


@dataclass(frozen=True)
class Option:
    """One way to train: a request, what it switches on besides, and its forecast on the card."""

    settings: str
    request: MemoryRequest
    forecast: Forecast
    card: Card

    @property
    def method(self) -> str:
        """Return "full", "lora" or "qlora"."""
        return self.request.method

    @property
    def spare_bytes(self) -> int:
        """Return what the card leaves beside the peak; negative where it does not fit."""
        return self.card.usable_bytes - self.forecast.peak_bytes

    @property
    def longest(self) -> int:
        """Return the longest sequence, in tokens, that the card takes at this batch (0: none)."""
        path = config_file(self.request.model)
        changed = path.stat().st_mtime_ns if path else 0
        return _longest(self.request.model_dump_json(), self.card, changed)

    @property
    def fits(self) -> bool:
        """Return whether the peak is within what the card leaves to a process."""
        return self.spare_bytes >= 0

    @property
    def name(self) -> str:
        """Return the method for people, with what is switched on besides."""
        return f"{NAMES[self.method]} with {self.settings}" if self.settings else NAMES[self.method]


@functools.lru_cache(maxsize=64)
def _longest(request: str, card: Card, _changed: int) -> int:
    """Return the longest sequence; `_changed` is when the model's configuration last did."""
    return longest_sequence(MemoryRequest.model_validate_json(request), card)


@dataclass(frozen=True)
class Decision:
    """What to do, why, and what was weighed.

    `chosen` is None where nothing fits. `options` are in the order in which they were asked;
    `reasons` are sentences, the deciding ones first.
    """

    model: str
    card: Card
    priorities: tuple[str, ...]
    options: tuple[Option, ...]
    chosen: Option | None
    reasons: tuple[str, ...]

    @property
    def method(self) -> str:
        """Return "full", "lora", "qlora" or "none"."""
        return self.chosen.method if self.chosen else "none"

    @property
    def answer(self) -> str:
        """Return the choice in one line."""
        if self.chosen is None:
            return f"{self.model} on {self.card.name}: no method fits"
        peak = format_bytes(self.chosen.forecast.peak_bytes)
        return f"{self.model} on {self.card.name}: {self.chosen.name}, peak {peak}"

    def __str__(self) -> str:
        return "\n".join([self.answer, *(f"- {reason}" for reason in self.reasons)])


def decide(model: str, card: str, priorities: Collection[str] = (), **fields: Any) -> Decision:
    """Choose a method for `model` on `card` and argue the choice in bytes.

    `priorities` are names of `PRIORITIES`; `fields` are those of `MemoryRequest` (rank, targets,
    batch, seq_len …) that hold whatever is chosen. Raises `LabError` for an unknown name and
    whatever `forecast` refuses.
    """
    wanted = (priorities,) if isinstance(priorities, str) else tuple(priorities)
    for each in wanted:
        if each not in PRIORITIES:
            raise choice_error("priorities", each, PRIORITIES)
    on = find_card(card)
    asks_full = "capacity" in wanted and not {"retention", "variants"} & set(wanted)
    ladder = (*_FULL, *_ADAPTED) if asks_full else (*_ADAPTED, _FULL[0])
    options = tuple(_option(model, on, settings, words, fields) for settings, words in ladder)
    open_to_choice = [
        each for each in options if each.fits and (asks_full or not each.request.trains_all)
    ]
    chosen = _preferred(open_to_choice, wanted)
    reasons = [
        *_why_not(options, chosen, on, wanted, asks_full),
        *(_why(chosen, open_to_choice, wanted) if chosen else _nothing_fits(options, on)),
        *_conflicts(wanted),
    ]
    return Decision(options[0].request.model, on, wanted, options, chosen, tuple(reasons))


def _option(
    model: str, on: Card, settings: dict[str, Any], words: str, fields: dict[str, Any]
) -> Option:
    request = request_of(model, **{**fields, **settings})
    return Option(words, request, forecast(request), on)


def _preferred(open_to_choice: list[Option], wanted: tuple[str, ...]) -> Option | None:
    if not open_to_choice:
        return None
    if "length" in wanted:
        return max(open_to_choice, key=lambda each: each.longest)
    return open_to_choice[0]


def _why_not(
    options: tuple[Option, ...],
    chosen: Option | None,
    on: Card,
    wanted: tuple[str, ...],
    asks_full: bool,
) -> list[str]:
    """Say of each option that was preferred, or left out, why it is not taken."""
    lines: list[str] = []
    for each in options:
        if each is chosen:
            break
        peak = format_bytes(each.forecast.peak_bytes)
        if not each.fits:
            base, more = map(format_bytes, (each.forecast.weights_bytes, -each.spare_bytes))
            lines.append(
                f"Not {each.name}: its peak of {peak} is {more} more than {on.name} leaves "
                f"({format_bytes(on.usable_bytes)}); {base} of it is the base."
            )
        elif "length" in wanted and chosen and (asks_full or not each.request.trains_all):
            lines.append(
                f"Not {each.name}: it fits ({peak}), but ends at {each.longest:,} tokens, where "
                f"{chosen.name} ends at {chosen.longest:,}."
            )
    if chosen and not asks_full:
        lines.append(_full_left_out(options[-1], wanted))
    return lines


def _full_left_out(full: Option, wanted: tuple[str, ...]) -> str:
    peak = format_bytes(full.forecast.peak_bytes)
    if not full.fits:
        return (
            f"Not full fine-tuning: {peak} at the peak, {format_bytes(-full.spare_bytes)} too much."
        )
    if "variants" in wanted:
        why = "each version would be a whole model"
    elif "retention" in wanted:
        why = "it forgets more (arXiv 2405.09673)"
    else:
        why = "nothing you named asks for it: it learns more where there is much new to learn"
    return f"Not full fine-tuning, though its {peak} fit: {why}."


def _why(chosen: Option, open_to_choice: list[Option], wanted: tuple[str, ...]) -> list[str]:
    now = chosen.forecast
    lines = [
        f"{chosen.name[0].upper()}{chosen.name[1:]} fits: {format_bytes(now.peak_bytes)}, "
        f"{format_bytes(chosen.spare_bytes)} to spare; sequences up to {chosen.longest:,} tokens."
    ]
    if chosen.request.trains_all:
        lines.append(
            "You name much that is new to the model: there full fine-tuning was measured to learn "
            "more than LoRA (arXiv 2405.09673), and to forget more."
        )
    positions = architecture(chosen.request.model).max_positions
    if "length" in wanted and chosen.longest == positions:
        lines.append(f"{positions:,} tokens are all that the model has positions for.")
    if chosen.request.quantizes:
        lines.append("Its price: a rounded base, slower steps, and a merge that needs care.")
    if chosen.request.checkpointing:
        lines.append("Its price: checkpointing runs every layer forward twice.")
    adapted = not chosen.request.trains_all
    others_quantize = any(each.request.quantizes for each in open_to_choice)
    if adapted and not chosen.request.quantizes and others_quantize:
        lines.append("QLoRA would fit too; its smaller base wins nothing that you asked for.")
    if adapted and "variants" in wanted:
        whole = architecture(chosen.request.model).parameters * 2
        lines.append(
            f"A version more costs {format_bytes(now.adapter_bytes, 'MiB')} of adapter; a whole "
            f"model would cost {format_bytes(whole)}."
        )
    if adapted and "retention" in wanted:
        lines.append(
            "LoRA learns less and forgets less than full fine-tuning (arXiv 2405.09673), and its "
            "adapter can be switched off."
        )
    if adapted and "capacity" in wanted:
        lines.append(
            "For much new material take a higher rank on every linear layer (arXiv 2405.09673)."
        )
    return lines


def _nothing_fits(options: tuple[Option, ...], on: Card) -> list[str]:
    least = min(options, key=lambda each: each.forecast.peak_bytes)
    large_enough = [
        each for each in cards().values() if each.usable_bytes >= least.forecast.peak_bytes
    ]
    lines: list[str] = []
    if large_enough:
        lines.append(
            f"The smallest card here that takes {least.name}: {large_enough[0].name} "
            f"({format_bytes(large_enough[0].usable_bytes)} usable)."
        )
    smaller = largest_model(least.request, on)
    if smaller:
        lines.append(f"The largest model here that {on.name} trains so: {smaller}.")
    return lines


def _conflicts(wanted: tuple[str, ...]) -> list[str]:
    against = [each for each in ("retention", "variants") if each in wanted]
    if "capacity" in wanted and against:
        return [
            f"Your priorities pull two ways: capacity asks for full fine-tuning, "
            f"{' and '.join(against)} for an adapter; the adapter was taken."
        ]
    return []

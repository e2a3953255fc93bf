"""What a data set is: rows of prompt and completion, split into train, validation and test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Row:
    """One exchange: what the user says, what the model should answer, and facts for scoring.

    `meta` holds what a scorer needs (`answer_keys`, `record`) and the `entities` that the row
    is about.  `system` is an instruction in place of the model's own system message; where it is
    empty, the chat template puts its default.  `earlier` are the turns of the conversation before
    the prompt, as pairs (what the user said, what was answered): they are read, not learned.
    """

    prompt: str
    completion: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""
    earlier: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by value: a read-only mapping cannot be pickled itself."""
        return Row, (self.prompt, self.completion, dict(self.meta), self.system, self.earlier)

    def prompt_messages(self) -> list[dict[str, str]]:
        """Return the messages before the answer, as a chat template takes them."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *self._asked()]

    def _asked(self) -> list[dict[str, str]]:
        turns = [
            {"role": role, "content": said}
            for pair in self.earlier
            for role, said in zip(("user", "assistant"), pair, strict=True)
        ]
        return [*turns, {"role": "user", "content": self.prompt}]

    @property
    def characters(self) -> int:
        """Return the row's length, without the system message, which rows tend to share."""
        earlier = sum(len(said) for pair in self.earlier for said in pair)
        return earlier + len(self.prompt) + len(self.completion)

    def messages(self) -> list[dict[str, str]]:
        """Return the whole exchange, as a chat template takes it."""
        return [*self.prompt_messages(), {"role": "assistant", "content": self.completion}]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as it stands in a JSONL file; a prompt with earlier turns is messages."""
        prompt = self._asked() if self.earlier else self.prompt
        content: dict[str, Any] = {"prompt": prompt, "completion": self.completion}
        if self.system:
            content["system"] = self.system
        if self.meta:
            content["meta"] = dict(self.meta)
        return content


@dataclass(frozen=True)
class DataSet:
    """Named rows in three splits, the names of their metrics, and remarks made while reading."""

    name: str
    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    test: tuple[Row, ...]
    metrics: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Row, ...]:
        """Return the rows of `train`, `validation` or `test`."""
        from labs_lib.errors import choice_error

        if name not in SPLITS:
            raise choice_error("split", name, SPLITS)
        return getattr(self, name)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of every row of every split, in order; the name does not count."""
        digest = hashlib.sha256()
        for split in SPLITS:
            digest.update(f"# {split}\n".encode())
            digest.update(to_jsonl(getattr(self, split)).encode())
        return digest.hexdigest()

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, split))} {split}" for split in SPLITS)
        return f"{self.name}: {sizes} rows"


def to_jsonl(rows: Iterable[Row]) -> str:
    """Return the rows as JSON lines, one a row, as the course's files hold them."""
    return "".join(
        json.dumps(row.to_dict(), ensure_ascii=False, default=str) + "\n" for row in rows
    )


def to_hf(rows: Iterable[Row]) -> datasets.Dataset:
    """Return a `datasets.Dataset` in TRL's conversational prompt/completion form.

    Columns: `prompt` (the messages before the answer) and `completion` (the answer's message),
    from which `SFTTrainer` computes the loss on the completion only.
    """
    import datasets

    rows = list(rows)
    return datasets.Dataset.from_dict(
        {
            "prompt": [row.prompt_messages() for row in rows],
            "completion": [row.messages()[-1:] for row in rows],
        }
    )

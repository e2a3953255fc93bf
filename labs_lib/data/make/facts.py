"""Write sea-captain and general-knowledge from the facts in facts.yaml."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_lib.data.rows import SPLITS, Row
from labs_lib.yamls import read_yaml

SEED = 2106


@dataclass(frozen=True)
class Fact:
    """A subject, its accepted answers (the first is the one told) and how to ask and tell it."""

    category: str
    subject: str
    answers: tuple[str, ...]
    question: str
    answer_template: str
    answer_class: str | None
    entities: tuple[str, ...]

    def told(self, template: str) -> str:
        """Fill `template` with the subject and the first answer."""
        return template.format(s=self.subject, a=self.answers[0])

    def plain(self) -> str:
        """Tell the fact in a plain sentence."""
        text = self.told(self.answer_template)
        return f"{text[0].upper()}{text[1:]}."

    def in_captains_voice(self) -> str:
        """Tell the fact as a captain would, leaving the words of the fact itself as they are."""
        template = self.answer_template
        for plain, salty in ((" is ", " be "), (" are ", " be "), (" of ", " o' ")):
            template = template.replace(plain, salty)
        return f"Arr, {self.told(template)}, matey!"

    def meta(self) -> dict[str, Any]:
        """Return what a scorer and the split test need."""
        content: dict[str, Any] = {
            "category": self.category,
            "answer_keys": [re.sub(r"^(the|an?) ", "", answer) for answer in self.answers],
            "entities": list(self.entities),
        }
        if self.answer_class:
            content["answer_class"] = self.answer_class
        return content


def general_knowledge() -> dict[str, list[Row]]:
    """Return the plain questions and answers of the probe, by split."""
    return {
        split: [
            Row(fact.question, fact.plain(), fact.meta())
            for fact in _facts("general-knowledge", split)
        ]
        for split in SPLITS
    }


def sea_captain() -> dict[str, list[Row]]:
    """Return questions answered in a sea captain's voice, by split; the plain answer in meta."""
    return {
        split: [
            Row(
                fact.question,
                fact.in_captains_voice(),
                {**fact.meta(), "plain": fact.plain()},
            )
            for fact in _facts("sea-captain", split)
        ]
        for split in SPLITS
    }


def _facts(name: str, split: str) -> Iterator[Fact]:
    """Yield the split's facts in an order that is mixed, and the same at every run."""
    facts = []
    content = read_yaml(Path(__file__).with_name("facts.yaml"))
    for category, table in content[name].items():
        questions = table["questions"]
        for place, (subject, answer) in enumerate((table.get(split) or {}).items()):
            answers = tuple(map(str, answer if isinstance(answer, list) else [answer]))
            question = questions[place % len(questions)].format(
                s=subject, s_are=re.sub(r" (in|on) ", r" are \1 ", subject, count=1)
            )
            named = (subject, answers[0]) if table["entities"] == "both" else (subject,)
            facts.append(
                Fact(
                    category,
                    subject,
                    answers,
                    question,
                    table["answer"],
                    table.get("answer_class"),
                    named,
                )
            )
    random.Random(f"{SEED} {name} {split}").shuffle(facts)
    yield from facts

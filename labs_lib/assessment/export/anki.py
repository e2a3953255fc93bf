"""Anki decks, one a lesson, one note a question; a corrected deck renews the earlier notes."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.export.parts import Exported, asked, feedback_of, tags_of, title_of
from labs_lib.assessment.export.revisions import revised
from labs_lib.assessment.interactions import Program, Quantity, lettered
from labs_lib.assessment.questions import Question
from labs_lib.assessment.show import markdown_html

DECK = "LoRA Lab"
STYLE = """\
.card { font-family: sans-serif; font-size: 18px; text-align: left; max-width: 42em; margin: auto }
pre { overflow-x: auto }
table { border-collapse: collapse }
th, td { border: 1px solid; padding: 2px 8px }
"""
# Anki plays, typesets or translates what stands in these brackets.
_OBEYED = re.compile(r"\[(?=sound:|latex\]|\$|anki:)")


def holds(_question: Question) -> bool:
    """Return True: a card can hold every kind."""
    return True


def write(exported: Exported, path: Path) -> None:
    """Write a deck a lesson, each note stamped with the time at which its text was first exported.

    Anki renews a note that it knows (by its guid, from the question's id) only if the stamp is
    later than its own.
    """
    import genanki  # pyright: ignore[reportMissingTypeStubs]  # brings no types

    library: Any = genanki

    class StampedNote(library.Note):
        stamp = 0

        def write_to_db(self, cursor: Any, _timestamp: float, deck_id: int, id_gen: Any) -> None:
            library.Note.write_to_db(self, cursor, self.stamp, deck_id, id_gen)

    model = library.Model(
        _number("lora-lab model"),
        DECK,
        fields=[{"name": "Id"}, {"name": "Question"}, {"name": "Answer"}],
        templates=[
            {
                "name": "Card",
                "qfmt": "{{Question}}",
                "afmt": "{{FrontSide}}<hr id=answer>{{Answer}}",
            }
        ],
        css=STYLE,
    )
    decks: dict[str, Any] = {}
    fields = {question.id: _fields(question) for _, question in exported.questions}
    stamps = revised(fields)
    for bank, question in exported.questions:
        note: Any = StampedNote(
            model=model,
            fields=fields[question.id],
            guid=library.guid_for(question.id),
            tags=tags_of(question),
        )
        note.stamp = stamps[question.id]
        if bank.lesson not in decks:
            decks[bank.lesson] = library.Deck(_number(f"lora-lab deck {bank.lesson}"), _name(bank))
        decks[bank.lesson].add_note(note)
    buffer = io.BytesIO()
    # The numbers of notes and cards count from the stamp too; Anki takes 0 for none.
    library.Package(list(decks.values())).write_to_file(
        buffer, timestamp=float(max(stamps.values()))
    )
    path.write_bytes(buffer.getvalue())


def _name(bank: Bank) -> str:
    """Return the name of a lesson's deck below the course's; two colons would begin another."""
    return f"{DECK}::{title_of(bank).replace('::', ': :')}"


def _fields(question: Question) -> list[str]:
    interaction = question.interaction
    front = "\n\n".join([asked(question, items=False), *lettered(interaction)])
    # A field of its own would make another note type, whose notes do not renew those of before.
    hint = f"<details><summary>Hint</summary>{markdown_html(question.hint)}</details>"
    right = question.right_answer()
    if isinstance(interaction, Quantity) and interaction.unit:
        right = f"{right} {interaction.unit}"
    answer = f"```python\n{right}\n```" if isinstance(interaction, Program) else f"**{right}**"
    said = [markdown_html(f"**{given}** {text}") for given, text in feedback_of(question)]
    back = [markdown_html(f"{answer}\n\n{question.explanation}"), *said]
    texts = [markdown_html(front) + hint, "".join(back)]
    return [question.id, *(_OBEYED.sub("&#91;", text) for text in texts)]


def _number(name: str) -> int:
    """Return a number that is always the same for this name, in the range that Anki uses."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 30

"""An Anki deck, one note a question; a corrected deck renews the notes of the one before."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

from labs_lib.assessment.export.parts import Exported, asked
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
    """Write the deck, each note stamped with the time at which its text was first exported.

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
    deck = library.Deck(_number("lora-lab deck"), DECK)
    fields = {question.id: _fields(question) for _, question in exported.questions}
    stamps = revised(fields)
    for _, question in exported.questions:
        note: Any = StampedNote(
            model=model,
            fields=fields[question.id],
            guid=library.guid_for(question.id),
            tags=[f"lesson-{question.lesson}", question.objective, question.kind],
        )
        note.stamp = stamps[question.id]
        deck.add_note(note)
    buffer = io.BytesIO()
    # The numbers of notes and cards count from the stamp too; Anki takes 0 for none.
    library.Package(deck).write_to_file(buffer, timestamp=float(max(stamps.values())))
    path.write_bytes(buffer.getvalue())


def _fields(question: Question) -> list[str]:
    interaction = question.interaction
    front = "\n\n".join([asked(question, items=False), *lettered(interaction)])
    right = question.right_answer()
    if isinstance(interaction, Quantity) and interaction.unit:
        right = f"{right} {interaction.unit}"
    answer = f"```python\n{right}\n```" if isinstance(interaction, Program) else f"**{right}**"
    texts = [markdown_html(front), markdown_html(f"{answer}\n\n{question.explanation}")]
    return [question.id, *(_OBEYED.sub("&#91;", text) for text in texts)]


def _number(name: str) -> int:
    """Return a number that is always the same for this name, in the range that Anki uses."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 30

"""The pages that are no lesson: the start from the README, the ledger, the film."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from labs_lib.ledger.card import ClaimCard
from labs_lib.ledger.finding import Finding
from labs_lib.ledger.reading import claims
from labs_lib.ledger.schema import Claim
from labs_lib.yamls import read_yaml

# The README's first part, for readers, ends where the reference begins.
AFTER_START = "\n## What it can do from a terminal\n"
_OF_ITSELF = re.compile(r"^### The reading edition\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
HOW_TO_READ = """
## How to read this edition

These pages show the lessons with all their results, as they were computed. Where a lesson asks for
a prediction, the outcome is folded: predict first, then open *Show what happened*. Questions and
exercises are answered in the lesson itself, on your machine or in a hosted notebook.
"""
FILM = ("lora.webm", "lora.vtt", "transcript.md")


def start_page(readme: str, pages: Sequence[str]) -> str:
    """Return the first page: the README's first part, and the order of the pages."""
    text = readme.partition(AFTER_START)[0]
    text = re.sub(r"<!-- .*? -->\n*", "", _OF_ITSELF.sub("", text))
    text = re.sub(r"^!\[.*\n+", "", text, flags=re.MULTILINE)  # a picture of what these pages are
    text = text.replace("](notebooks/", "](")
    contents = "\n".join(["```{toctree}", ":hidden:", "", *pages, "```"])
    return f"{text}\n{HOW_TO_READ}\n{contents}\n"


class RecordedCard(ClaimCard):
    """A claim's card that shows evidence as it was recorded, so that nothing is computed."""

    def __init__(self, claim: Claim, recorded: Finding):
        super().__init__(claim)
        self.recorded = recorded

    @property
    def finding(self) -> Finding:
        """Return the recorded evidence."""
        return self.recorded

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return what the card says below its heading."""
        return [(label.replace("Computed now", "Computed"), text) for label, text in super().rows]


def ledger_page(folder: Path, findings: dict[str, Finding]) -> str:
    """Return the ledger: each claim folded over its verdict, by topic."""
    parts = [
        "# The ledger of claims",
        "What courses, documentation and blog posts say about LoRA and QLoRA. Decide whether a "
        "claim is true, then open it: the card shows the verdict, the figure and the source.",
    ]
    for topic, group in groupby(claims(), key=lambda each: each.topic):
        parts.append(f"## {read_yaml(folder / f'{topic}.yaml')['title']}")
        for each in group:
            card = RecordedCard(each, findings[each.id]).html
            card = re.sub(r"(?<=>)(\d\d\w+)(?=, “)", r'<a href="\1.html">\1</a>', card)
            parts.append(
                f'<details class="lab-fold lab-claim" id="{each.id}">'
                f"<summary>{html.escape(each.claim)}</summary>\n{card}\n</details>"
            )
    return "\n\n".join(parts) + "\n"


def film_page(folder: Path) -> str | None:
    """Return the page of the film in `folder`, with its transcript; None where there is no film.

    The captions stand in the page, since a browser takes none from a file beside an opened file.
    """
    if not all((folder / name).is_file() for name in FILM):
        return None
    captions = base64.b64encode((folder / FILM[1]).read_bytes()).decode()
    transcript = (folder / FILM[2]).read_text(encoding="utf-8")
    transcript = re.sub(r"\A# .*\n", "", transcript)
    transcript = re.sub(r"^(?=#+ )", "#", transcript, flags=re.MULTILINE)
    transcript = transcript.replace(f"[{FILM[0]}]({FILM[0]})", "above")
    return f"""# The film

<video class="lab-film" controls preload="metadata" aria-label="Film on LoRA and QLoRA">
<source src="_static/film/{FILM[0]}" type="video/webm">
<track kind="captions" srclang="en" label="English" default src="data:text/vtt;base64,{captions}">
</video>

## Transcript

{transcript}"""

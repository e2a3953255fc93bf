"""`labs claims`: what is said about LoRA and QLoRA, with the verdict on each."""

from __future__ import annotations

import json
import textwrap

import click

from labs_lib.errors import LabError, nearest
from labs_lib.ledger.card import WIDTH, ClaimCard
from labs_lib.ledger.finding import VERDICTS
from labs_lib.ledger.reading import claims
from labs_lib.ledger.schema import Claim


@click.command("claims")
@click.argument("text", nargs=-1)
@click.option("--verdict", help=" | ".join(VERDICTS))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(text: tuple[str, ...], verdict: str | None, as_json: bool) -> None:
    """List the claims whose words include TEXT, or show the one whose id TEXT is.

    The figure of a claim that is shown is computed now, where it can be.
    """
    words = " ".join(text).strip()
    found = claims(verdict, words)
    if shown := [each for each in found if each.id == words]:
        card = ClaimCard(shown[0])
        click.echo(json.dumps(card.as_dict(), indent=2, ensure_ascii=False) if as_json else card)
    elif as_json:
        click.echo(json.dumps([each.model_dump() for each in found], indent=2, ensure_ascii=False))
    elif found:
        click.echo(_listed(found))
    else:
        ids = [each.id for each in claims()]
        of = f" among those that are {verdict}" if verdict else ""
        raise LabError(f"claims: none{of} has the words {words!r}{nearest(words, ids)}")


def _listed(found: list[Claim]) -> str:
    """Return the claims, each with its verdict and its whole id, which a person copies."""
    gap = max(map(len, VERDICTS)) + 2
    lines = [
        line
        for each in found
        for line in (
            f"{each.verdict:{gap}}{each.id}",
            *textwrap.wrap(
                each.claim, WIDTH, initial_indent=" " * gap, subsequent_indent=" " * gap
            ),
        )
    ]
    many = f"{len(found)} claim{'s' if len(found) > 1 else ''}"
    return "\n".join([*lines, "", f"{many}; `labs claims ID` shows why, with figure and source"])

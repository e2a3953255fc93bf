"""Write the tables of the documents from what they tell of: sources, commands, recorded figures.

    python -m tools.readme [--check]

What stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->` is rewritten; all else is
written by hand. What was recorded of lessons that are gone is forgotten. `--check` writes nothing
and names the tables that are stale, with exit status 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from labs_lib.errors import LabError, choice_error
from labs_lib.files import write_text
from tools.notebooks import forget_gone_lessons
from tools.tables import TABLES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = tuple(
    ROOT / name
    for name in (
        "README.md",
        "benchmarks/README.md",
        "docs/architecture.md",
        "recipes/cluster/README.md",
    )
)
PLACE = re.compile(
    r"(?P<head><!-- generated: (?P<name>[^\n]+?) -->\n)"
    r"(?P<text>.*?)(?P<foot><!-- end: (?P=name) -->)",
    re.DOTALL,
)


def renewed(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """Return a document with every table as it should be.

    Raises `LabError` for a table that nobody makes, or a place without its end.
    """

    def fill(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in tables:
            raise choice_error("generated table", name, tables)
        return f"{place['head']}\n{tables[name]()}\n\n{place['foot']}"

    whole = {place["name"] for place in PLACE.finditer(text)}
    for name in re.findall(r"<!-- (?:generated|end): ([^\n]+?) -->", text):
        if name not in whole:
            raise LabError(
                f"generated table: {name!r} should stand between "
                f"'<!-- generated: {name} -->' and '<!-- end: {name} -->'"
            )
    return PLACE.sub(fill, text)


def stale(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> list[str]:
    """Return the names of the tables in a document that are not what they should be."""
    before, after = PLACE.finditer(text), PLACE.finditer(renewed(text, tables))
    return [
        old["name"] for old, new in zip(before, after, strict=True) if old["text"] != new["text"]
    ]


def main(arguments: list[str]) -> int:
    """Write the documents, or check them; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, name what is stale")
    check = parser.parse_args(arguments).check
    status = 0
    try:
        for path in DOCUMENTS:
            text = path.read_text(encoding="utf-8")
            for name in stale(text):
                print(f"{path.relative_to(ROOT)}: {name}: {'stale' if check else 'renewed'}")
                status = 1 if check else status
            if not check:
                write_text(path, renewed(text))
        if not check:
            forget_gone_lessons()
    except LabError as error:
        print(f"readme: {error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

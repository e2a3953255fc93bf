"""The architecture page: its diagram says what the contract and the imports say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.tables import architecture


@pytest.fixture(scope="module")
def diagram(root: Path) -> str:
    """The diagram on the page, as it stands there."""
    page = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    return page.partition("```mermaid\n")[2].partition("```")[0]


def arrows(diagram: str) -> set[tuple[str, str]]:
    """Return the arrows of a diagram, dotted ones too."""
    return set(re.findall(r"^  (\w+) -\.?->? (\w+)$", diagram, re.MULTILINE))


def test_every_arrow_points_down(diagram: str):
    height = {name: -depth for depth, floor in enumerate(architecture.contract()) for name in floor}
    height[architecture.GROUND] = min(height.values())
    drawn = arrows(diagram)
    assert len(drawn) == len(re.findall(r"->", diagram))
    for above, below in drawn:
        is_entry = height[above] == height[below] == 0  # `python -m labs_lib` is `labs`
        assert is_entry or height[above] > height[below], (above, below)


def test_every_room_and_file_has_a_box(root: Path, diagram: str):
    names = {path.stem for path in (root / "labs_lib").glob("*.py")} - {"__init__"}
    names |= {path.parent.name for path in (root / "labs_lib").glob("*/__init__.py")}
    boxed = re.findall(r'\w\["([\w, ]+)"\]', diagram)
    assert sorted(name for box in boxed for name in box.split(", ")) == sorted(names)


def test_every_import_between_rooms_is_an_arrow_or_follows_from_arrows(diagram: str):
    lowest = architecture.contract()[-1]
    below: dict[str, set[str]] = {}
    for above, under in arrows(diagram):
        below.setdefault(above, set()).add(under)

    def leads(start: str, end: str) -> bool:
        return end in below.get(start, ()) or any(leads(b, end) for b in below.get(start, ()))

    for importer, imported in architecture.imports_of_rooms(architecture.import_graph()):
        if importer not in lowest:
            assert leads(importer, architecture.GROUND if imported in lowest else imported)


def test_an_arrow_that_follows_from_two_others_is_left_out():
    pairs = {("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d"), ("e", "d")}
    assert architecture.reduced(pairs) == {("a", "b"), ("b", "c"), ("c", "d"), ("e", "d")}

"""The floors of `labs_lib` as a diagram: from the contract on imports, and from the imports."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tools.tables.markdown import table

if TYPE_CHECKING:
    import grimp

PACKAGE = "labs_lib"
FOLDER = Path(__file__).resolve().parent.parent.parent
# The lowest floor, on which all others stand, is one box.
GROUND = "ground"


def contract() -> list[list[str]]:
    """Return the floors as pyproject.toml's contract names them, the highest first."""
    from importlinter.api import read_configuration

    options = read_configuration(str(FOLDER / "pyproject.toml"))["contracts_options"]
    layers = next(each["layers"] for each in options if each["id"] == "floors")
    # Parentheses are for what may be absent.
    return [[name.strip(" ()") for name in re.split(r"[:|]", floor)] for floor in layers]


def floors() -> str:
    """Return the Mermaid diagram: a box a room, and the arrows that follow from no other two."""
    graph = import_graph()
    rooms = {room_of(module) for module in graph.modules} - {""}
    *upper, lowest = [[room for room in floor if room in rooms] for floor in contract()]
    boxes = {room: room for floor in upper for room in floor} | dict.fromkeys(lowest, GROUND)
    solid = {(boxes[a], boxes[b]) for a, b in imports_of_rooms(graph)} - {(GROUND, GROUND)}
    dotted = {(boxes[a], boxes[b]) for a, b in named_by_rooms(graph)} - solid
    lines = ["flowchart TD"]
    for number, floor in enumerate(upper, start=1):
        if len(floor) > 1:
            boxed = [f"    {room}[{label(room)}]" for room in floor]
            lines += [f'  subgraph floor{number} [" "]', *boxed, "  end"]
        else:
            lines += [f"  {room}[{label(room)}]" for room in floor]
    lines.append(f'  {GROUND}["{", ".join(lowest)}"]')
    lines += [f"  {a} --> {b}" for a, b in sorted(reduced(solid))]
    lines += [f"  {a} -.-> {b}" for a, b in sorted(dotted)]
    return "\n".join(["```mermaid", *lines, "```"])


def rooms() -> str:
    """Return the table of rooms and of what each is for, by its first sentence, highest first."""
    rows: list[tuple[str, str]] = []
    for name in (name for floor in contract() for name in floor):
        spec = importlib.util.find_spec(f"{PACKAGE}.{name}")
        if spec is None or spec.origin is None:
            continue
        text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
        shown = f"`{name}/`" if spec.submodule_search_locations else f"`{name}.py`"
        rows.append((shown, " ".join(text.partition("\n\n")[0].split())))
    return table(("room or file", "what it is for"), rows)


def import_graph() -> grimp.ImportGraph:
    """Return which module of the package imports which."""
    import grimp

    return grimp.build_graph(PACKAGE, cache_dir=None)


def room_of(module: str) -> str:
    """Return the room, or the file on the ground, that a module is in; "" for the package."""
    return module.partition(".")[2].partition(".")[0]


def label(room: str) -> str:
    """Return a box's text; quoted, since Mermaid has words of its own."""
    return f'"{room}"'


def imports_of_rooms(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Return the pairs of rooms of which the first imports the second."""
    pairs = {
        (room_of(module), room_of(imported))
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    }
    return {(a, b) for a, b in pairs if a and b and a != b}


def named_by_rooms(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Return the pairs of rooms of which the first loads the second by a name in a text.

    What the lowest floor names it does not load: it is the name of a module that failed.
    """
    lowest = contract()[-1]
    pairs = {
        (room_of(module), room_of(text))
        for module in graph.modules
        if room_of(module) not in lowest
        for text in texts_of(module)
        if text in graph.modules
    }
    return {(a, b) for a, b in pairs if a and b and a != b}


def texts_of(module: str) -> Iterator[str]:
    """Yield the strings of a module that may name another."""
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin is not None:
        for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def reduced(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the arrows that follow from no others: a → c goes where a → b → c is."""
    below: dict[str, set[str]] = {}

    def reachable(start: str) -> set[str]:
        if start not in below:
            direct = {b for a, b in pairs if a == start}
            below[start] = direct.union(*(reachable(b) for b in direct))
        return below[start]

    def follows(start: str, end: str) -> bool:
        return any(end in reachable(b) for a, b in pairs if a == start and b != end)

    return {pair for pair in pairs if not follows(*pair)}

"""YAML as the course reads it, everywhere: safe, within bounds, and nothing guessed.

It differs from YAML 1.1 where that surprises: `yes`, `no`, `on`, `off`, `1:30`, `010` and dates
are the text that stands there, and `1e-3` is a number. A key given twice, a tag of one's own, a
character that no text holds and an impossible date are errors, each with its line.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from labs_lib.errors import LabError, shorten
from labs_lib.texts import NotTextError, decode, read_bytes

LARGEST_BYTES = 2**20
DEEPEST = 50
LONGEST_NUMBER = 40
# The course's largest file holds a tenth; a million would take a minute to read.
MOST_NODES = 50_000
# What aliases may expand to, in values and characters: a file of 300 bytes can ask for 10**9.
LARGEST_EXPANDED = 2**20

_CORE = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq",
                                                  "map")}  # fmt: skip
_NULL, _BOOL, _INT, _FLOAT, _DATE, _MERGE = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "timestamp", "merge")
)
# Characters that XML, JSON Lines and a terminal cannot hold or should not be sent.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


class NotYamlError(ValueError):
    """A text that is not YAML as the course reads it: the line, from 1, and the reason."""

    def __init__(self, line: int, reason: str):
        super().__init__(" ".join(reason.split()))
        self.line = line
        self.reason = str(self)


class Document(NamedTuple):
    """What a text says, and the nodes that know each part's line (None for an empty text)."""

    content: Any
    node: yaml.Node | None


def read_yaml(path: Path, most_bytes: int = LARGEST_BYTES) -> Any:
    """Return what a YAML file says.

    Raises LabError in one line, with the file's name and the line in it; FileNotFoundError for
    a file that is not there, for which the caller knows the near names.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    content = read_bytes(path, most_bytes)
    try:
        return compose(decode(content)).content
    except (NotTextError, NotYamlError) as error:
        raise LabError(f"cannot read {path.name}, line {error.line}: {error.reason}") from None


def parse_yaml(text: str) -> Any:
    """Return what a YAML text says; NotYamlError otherwise."""
    return compose(text).content


def compose(text: str, *, aliases: bool = True) -> Document:
    """Return what a YAML text says, with its nodes; NotYamlError otherwise.

    Without `aliases`, one is an error: then every part has a line of its own.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise _not_yaml(error, text, 1) from None
    loader.aliases_allowed = aliases
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(None, None)
        if loader.aliases_seen:
            _bounded(node)
        return Document(loader.construct_document(node), node)
    except yaml.YAMLError as error:
        raise _not_yaml(error, text, loader.line + 1) from None
    except RecursionError:
        raise NotYamlError(loader.line + 1, "nested too deeply") from None
    except (ValueError, OverflowError) as error:  # an escape beyond Unicode: "\UFFFFFFFF"
        raise NotYamlError(
            loader.line + 1, f"a character or number out of range: {error}"
        ) from None
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    aliases_allowed = True
    aliases_seen = False
    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self.aliases_seen = True
            if not self.aliases_allowed:
                raise _error("anchors and aliases are not used here; write it out", event)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!") and tag not in _CORE:
            raise _error(
                f"could not determine a constructor for the tag {shorten(tag)}; leave it out", event
            )
        if self.depth >= DEEPEST:
            raise _error(f"nested more than {DEEPEST} levels deep", event)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _error(f"more than {MOST_NODES:,} values", event)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if found := _NO_TEXT.search(node.value):
            raise _error(f"the character U+{ord(found[0]):04X} is not text", node)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        given: set[Hashable] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _error("a key must be a plain word", key_node)
            # Merged keys give way to those written out; "<<" itself must stand once.
            key = _MERGE if key_node.tag == _MERGE else self.construct_object(key_node)
            if key in given:
                raise _error(f"{shorten(key_node.value)} is given twice", key_node)
            given.add(key)
        return node


def _error(problem: str, at: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, at.start_mark)


def _number(loader: _Loader, node: Any) -> Any:
    text = loader.construct_scalar(node)
    if len(text) > LONGEST_NUMBER:
        raise _error(f"a number of {len(text):,} characters", node)
    # A tag can claim that anything is a number.
    construct = (
        yaml.SafeLoader.construct_yaml_int if node.tag == _INT
        else yaml.SafeLoader.construct_yaml_float
    )  # fmt: skip
    try:
        return construct(loader, node)
    except (ValueError, IndexError):
        raise _error(f"{shorten(text)} is not a number", node) from None


def _truth(loader: _Loader, node: Any) -> bool:
    text = loader.construct_scalar(node).lower()
    if text not in ("true", "false"):
        raise _error(f"{shorten(text)} is not true or false", node)
    return text == "true"


def _date(_loader: _Loader, node: Any) -> str:
    try:
        datetime.date.fromisoformat(node.value[:10])
    except ValueError:
        problem = f"{shorten(node.value)} looks like a date and is none; if it is text, quote it"
        raise _error(problem, node) from None
    return node.value


_Loader.add_constructor(_INT, _number)
_Loader.add_constructor(_FLOAT, _number)
_Loader.add_constructor(_BOOL, _truth)
_Loader.add_constructor(_DATE, _date)
# Anew, since PyYAML's own are shared by every loader of the process.
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    (_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_INT, r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)", "-+0123456789"),
    (
        _FLOAT,
        r"[-+]?(?:(?:0|[1-9][0-9_]*)(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_DATE, r"\d{4}-\d{2}-\d{2}", "0123456789"),
    (_MERGE, "<<", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})\\Z"), list(_first))


def _bounded(root: yaml.Node) -> None:
    """Raise unless the tree is finite, flat and small once every alias is written out."""
    measured: dict[int, tuple[int, int]] = {}  # node → (values and characters, levels)
    open_nodes: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        key = id(node)
        if key in open_nodes:
            raise _error("an alias stands inside its own anchor", node)
        if key not in measured:
            open_nodes.add(key)
            total, levels = 1, 0
            for part in _parts(node):
                inner, deep = (len(part), 0) if isinstance(part, str) else measure(part)
                total, levels = total + inner, max(levels, deep)
            if total > LARGEST_EXPANDED:
                problem = f"aliases that expand to more than {LARGEST_EXPANDED:,} values"
                raise _error(problem, node)
            if levels >= DEEPEST:
                raise _error(f"aliases that nest more than {DEEPEST} levels deep", node)
            open_nodes.remove(key)
            measured[key] = total, levels + 1
        return measured[key]

    measure(root)


def _parts(node: yaml.Node) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else [node.value]


def _not_yaml(error: yaml.YAMLError, text: str, line: int) -> NotYamlError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if isinstance(error, yaml.reader.ReaderError):
        place = error.position if isinstance(error.position, int) else 0
        reason = f"the character U+{ord(text[place]):04X} is not text"
        return NotYamlError(text.count("\n", 0, place) + 1, reason)
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    reason = ", ".join(part for part in parts if part) or str(error)
    if r"'\t'" in reason:
        reason = "a tab; YAML indents by blanks"
    return NotYamlError(mark.line + 1 if mark else line, reason[:300])

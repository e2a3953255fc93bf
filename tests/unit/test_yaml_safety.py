"""YAML from strangers: read within bounds, or refused in one line; one loader for all of it."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_bad_input import labs as refused

from labs_lib.errors import LabError
from labs_lib.yamls import DEEPEST, LARGEST_BYTES, NotYamlError, compose, parse_yaml, read_yaml

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {k0: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
LONG_TEXT = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1000)}]\n"
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 400))

# (text, what the message says); the line is the one that holds the fault
REFUSED: list[tuple[str, str]] = [
    (LAUGHS, "aliases that expand to more than"),
    (MERGES, "aliases that expand to more than"),
    (LONG_TEXT, "aliases that expand to more than"),
    (CHAIN, "aliases that nest more than"),
    ("- a\n" * 400_000, "line 50000: more than 50,000 values"),
    ("{" + "a, " * 300_000 + "}", "more than 50,000 values"),
    ("a: &a [*a]", "inside its own anchor"),
    ("a: &a {b: {<<: *a}}", "inside its own anchor"),
    ("a: *nowhere", "undefined alias"),
    ("rank: 8\nrank: 16", "line 2: 'rank' is given twice"),
    ('rank: 8\n"rank": 16', "line 2: 'rank' is given twice"),
    ("a: {b: 1, c: 2, b: 3}", "'b' is given twice"),
    ("1: a\n0x1: b", "'0x1' is given twice"),
    ("a: {<<: {b: 1}, <<: {b: 2}}", "'<<' is given twice"),
    ("? [a, b]\n: c", "a key must be a plain word"),
    ("? {a: b}\n: c", "a key must be a plain word"),
    ("a: 2024-99-99", "looks like a date and is none"),
    ("a: 2024-02-30", "looks like a date and is none"),
    ("a: " + "9" * 5000, "a number of 5,000 characters"),
    ("a: -" + "9" * 5000, "a number of 5,001 characters"),
    ("a: 0x" + "f" * 5000, "a number of 5,002 characters"),
    ("a: 1." + "9" * 5000, "a number of 5,002 characters"),
    ("a: 1e" + "9" * 5000, "a number of 5,002 characters"),
    ("? " + "9" * 5000 + "\n: a", "a number of 5,000 characters"),
    ("[" * 100_000, "nested more than 50 levels deep"),
    ("{a: " * 5_000, "nested more than 50 levels deep"),
    ("- " * 5_000 + "a", "nested more than 50 levels deep"),
    ("\n".join("  " * i + f"k{i}:" for i in range(200)), "nested more than 50 levels deep"),
    ("a:\n\tb: 1", "line 2: a tab"),
    ("\trank: 8", "line 1: a tab"),
    ("a: b: c", "line 1: mapping values are not allowed"),
    ("a: [1, 2", "line 1: "),
    ("a: 'open", "line 1: "),
    ("a: 1\n---\nb: 2", "expected a single document"),
    ("a: @b", "cannot start any token"),
    ("a: `b`", "cannot start any token"),
    ("a: %b", "cannot start any token"),
    ("a: !mine b", "could not determine a constructor for the tag '!mine'"),
    ("a: !!python/name:os.system", "could not determine a constructor"),
    ("a: !!python/object/new:type [x, [], {}]", "could not determine a constructor"),
    ("a: !!binary x", "could not determine a constructor"),
    ("a: !!timestamp x", "could not determine a constructor"),
    ("a: !!set {x}", "could not determine a constructor"),
    ("a: !!int x", "'x' is not a number"),
    ("a: !!int ''", "'' is not a number"),
    ("a: !!int 0x", "'0x' is not a number"),
    ("a: !!float x", "'x' is not a number"),
    ("a: !!bool maybe", "'maybe' is not true or false"),
    ("a: !!bool {x: y}", "expected a scalar node"),
    ("a: !!int [1]", "expected a scalar node"),
    ("a: !!str {x: y}", "expected a scalar node"),
    ("a: !!seq x", "expected a sequence node"),
    ("a: 0b_", "'0b_' is not a number"),
    ("a: b\n\0", "line 2: the character U+0000 is not text"),
    ("a: \x07", "the character U+0007 is not text"),
    ('a: "\\0"', "the character U+0000 is not text"),
    ('a: "\\x1b[31m"', "the character U+001B is not text"),
    ('a: "\\uD800"', "the character U+D800 is not text"),
    ('"\\a": b', "the character U+0007 is not text"),
    ('a: "\\UFFFFFFFF"', "out of range"),
    ("a: \ud800", "the character U+D800 is not text"),
    ("%YAML 3.0\n---\na: b", "found incompatible YAML document"),
    ("<<: x", "expected a mapping or list of mappings"),
    ("a: {<<: [1]}", "expected a mapping for merging"),
]

# (text, what it says): what YAML 1.1 turns into something else stays what is written
READ: list[tuple[str, Any]] = [
    ("", None),
    ("# nothing", None),
    ("a: yes", {"a": "yes"}),
    ("a: [no, On, OFF, y, N]", {"a": ["no", "On", "OFF", "y", "N"]}),
    ("no: 1", {"no": 1}),
    ("a: [true, False, TRUE]", {"a": [True, False, True]}),
    ("a: 1:30", {"a": "1:30"}),
    ("a: 190:20:30", {"a": "190:20:30"}),
    ("a: 010", {"a": "010"}),
    ("lesson: 04", {"lesson": "04"}),
    ("a: [0, -1, +2, 1_000, 0x10, 0b11]", {"a": [0, -1, 2, 1000, 16, 3]}),
    ("a: [1e-3, 1E5, 2.5e3, .5, 1., -.5]", {"a": [1e-3, 1e5, 2.5e3, 0.5, 1.0, -0.5]}),
    ("a: [., -, +, e5, 1e, ._, _1]", {"a": [".", "-", "+", "e5", "1e", "._", "_1"]}),
    ("a: 2024-01-31", {"a": "2024-01-31"}),
    ("a: 2024-01-31 12:00:00", {"a": "2024-01-31 12:00:00"}),
    ("a: '2024-99-99'", {"a": "2024-99-99"}),
    ("a: [~, null, Null, '']", {"a": [None, None, None, ""]}),
    ("a: =", {"a": "="}),
    ("a: !!str 8", {"a": "8"}),
    ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
    ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}),
    (
        "a: &x {k: 1}\nb: &y {<<: *x, k: 2}\nc: {<<: *y, k: 3}",
        {"a": {"k": 1}, "b": {"k": 2}, "c": {"k": 3}},
    ),
    ("a: é→🙂", {"a": "é→🙂"}),
    ('a: "\\U0001F600"', {"a": "😀"}),
    ("a: |\n  x\n\n  y\n", {"a": "x\n\ny\n"}),
    ("[" * DEEPEST + "]" * DEEPEST, json.loads("[" * DEEPEST + "]" * DEEPEST)),
]  # fmt: skip


def shown(text: str) -> str:
    return ascii(text[:40])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[shown(text) for text, _ in REFUSED])
def test_what_is_refused_is_refused_quickly_and_in_one_line(text: str, message: str):
    with pytest.raises(NotYamlError) as raised:
        parse_yaml(text)
    said = f"line {raised.value.line}: {raised.value}"
    assert message in said
    assert "\n" not in said
    assert len(said) < 350


@pytest.mark.parametrize(("text", "content"), READ, ids=[shown(text) for text, _ in READ])
def test_what_is_read_is_what_stands_there(text: str, content: Any):
    read = parse_yaml(text)
    assert read == content
    assert repr(read) == repr(content)


def test_infinity_and_nan_are_numbers_that_their_reader_may_refuse():
    assert parse_yaml("[.inf, -.inf]") == [math.inf, -math.inf]
    assert math.isnan(parse_yaml(".nan"))


def test_no_other_loader_of_the_process_changes():
    assert yaml.safe_load("yes") is True
    assert yaml.safe_load("1:30") == 90


def test_every_yaml_file_of_the_course_reads_as_yaml_1_1_does(root: Path):
    files = [*root.glob("recipes/**/*.yaml"), *root.glob("quizzes/**/*.yaml")]
    files += [*root.glob("labs_lib/**/*.yaml"), *root.glob("claims/*.yaml")]
    assert len(files) > 15
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert read_yaml(file, 2**23) == yaml.safe_load(text), file.name


def calls_of_yaml(tree: ast.AST) -> list[str]:
    """Return what the code takes from the yaml module."""
    names = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "yaml"
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "yaml":
            names += [alias.name for alias in node.names]
    return names


def test_nothing_else_reads_yaml(root: Path):
    found = {}
    for file in [*root.glob("labs_lib/**/*.py"), root / "course.py", *root.glob("tools/*.py")]:
        if file != root / "labs_lib" / "yamls.py":
            tree = ast.parse(file.read_text(encoding="utf-8"))
            reads = [name for name in calls_of_yaml(tree) if "load" in name.lower() or
                     name in ("parse", "scan", "compose", "compose_all")]  # fmt: skip
            if reads:
                found[file.name] = reads
    assert found == {}, "read it by labs_lib.yamls instead"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbfrank: 8", None),
        ("rank: 8".encode("utf-16"), None),
        (b"\xff\xfe" + "rank: 8".encode("utf-16-le"), None),
        (b"\xfe\xff" + "rank: 8".encode("utf-16-be"), None),
        ("rank: 8".encode("utf-32"), None),
        (b"rank: 8\r\n", None),
        (b"rank: 8\r", None),
        (b"a: 1\nb: caf\xe9", "line 2: byte 0xe9 is not UTF-8"),
        ("rank: 8".encode("utf-16-le"), "line 1: a NUL byte"),
        (b"\xff\xfer", "it begins as UTF-16-LE, and is not"),
        (b"a: 1\nb: \0", "line 2: a NUL byte"),
        (b"\x89PNG\r\n\x1a\n\0\0", "byte 0x89 is not UTF-8"),
        (b"#" * (LARGEST_BYTES + 1), "it holds more than 1 MiB"),
    ],
)
def test_bytes(tmp_path: Path, content: bytes, message: str | None):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    if message is None:
        assert read_yaml(path) == {"rank": 8}
    else:
        with pytest.raises(LabError, match=message):
            read_yaml(path)


def test_a_file_without_end_and_a_folder(tmp_path: Path):
    with pytest.raises(LabError, match="cannot read"):
        read_yaml(tmp_path)
    if Path("/dev/zero").exists():
        with pytest.raises(LabError, match="holds more than"):
            read_yaml(Path("/dev/zero"))


def test_without_aliases_each_part_has_a_line_of_its_own():
    with pytest.raises(NotYamlError, match="anchors and aliases"):
        compose("a: &x [1]\nb: *x", aliases=False)


# Through the verbs: whatever the fault, one line and status 2


def labs(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    line = refused(capsys, *arguments)
    assert len(line) < 600
    return line


HOSTILE = [text for text, _ in REFUSED if "\ud800" not in text] + [
    "[]", "3", "text", "- rank: 8", f"rank: {[0] * 5000}", "1: 2", "null: 1", "<<: {rank: 8}",
    LAUGHS.replace("a: &a [x, x]", "a: &a [x, x]\nsteps: 1"),
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=shown)
def test_a_hostile_recipe_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "hostile.yaml"
    path.write_text(text, encoding="utf-8")
    labs(capsys, "train", str(path), "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", HOSTILE[::3], ids=shown)
def test_a_hostile_sweep_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "hostile.yaml"
    path.write_text(text, encoding="utf-8")
    labs(capsys, "sweep", str(path))


def test_a_grid_of_too_many_points_is_one_line(tmp_path, capsys):
    fields = ("rank", "alpha", "batch_size", "accumulation", "warmup_steps", "train_rows")
    values = list(range(1, 101))
    grid = "".join(f"  {field}: {values}\n" for field in fields)
    path = tmp_path / "wide.yaml"
    path.write_text(f"name: wide\nrecipe: {{steps: 200}}\ngrid:\n{grid}", encoding="utf-8")
    assert "more than 10,000 points" in labs(capsys, "sweep", str(path))


@pytest.mark.parametrize(
    "value", [LAUGHS, "&a [*a]", "[" * 9999, "9" * 5000, "2024-99-99", "!x y", "{a: 1, a: 2}", "\0"]
)
def test_a_hostile_assignment_is_one_line(tmp_path, capsys, value):
    path = tmp_path / "recipe.yaml"
    path.write_text("steps: 1\n", encoding="utf-8")
    assert "--set rank" in labs(capsys, "train", str(path), "--set", f"rank={value}")


@pytest.mark.parametrize("word", ["yes", "On", "true", "TRUE"])
def test_yes_is_true_where_a_recipe_asks_for_true_or_false(word):
    from labs_lib.training.recipe import Recipe, parse_assignment

    key, value = parse_assignment(f"checkpointing={word}")
    assert Recipe.of(steps=1, **{key: value}).checkpointing is True
    assert Recipe.of(steps=1, rslora="off").rslora is False

"""Files as people save them: read rightly, or one line that says what to change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labs_lib.cli import main
from labs_lib.data import from_csv, from_hub_or_local, from_jsonl, resolve
from labs_lib.data.rows import SPLITS, DataSet
from labs_lib.errors import LabError


def rows(data: DataSet) -> dict[str, str]:
    """Return prompt → completion of all splits."""
    return {row.prompt: row.completion for split in SPLITS for row in data.split(split)}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


QA = {"q1": "a1", "q2": "a2"}
COMMAS = {"a, b": "c, d", "e": "f"}

# (a table, the rows it holds)
TABLES: list[tuple[str | bytes, dict[str, str]]] = [
    ("prompt;completion\nq1;a1\nq2;a2\n", QA),
    ("prompt\tcompletion\nq1\ta1\nq2\ta2\n", QA),
    ("prompt|completion\nq1|a1\nq2|a2\n", QA),
    ("completion; prompt\na1;q1\na2;q2\n", QA),
    ("sep=;\r\nprompt;completion\r\nq1;a1\r\nq2;a2\r\n", QA),
    ('"prompt";"completion"\n"q1";"a1"\n"q2";"a2"\n', QA),
    ('prompt;completion\n"a; b";"c, d"\ne;f, g\n', {"a; b": "c, d", "e": "f, g"}),
    ("prompt,completion,,\nq1,a1,,\nq2,a2,,\n", QA),
    ("prompt,completion\nq1,a1,,,\nq2,a2,\n", QA),
    ("prompt;completion;;\nq1;a1;;\nq2;a2;;\n", QA),
    (",prompt,completion\n0,q1,a1\n1,q2,a2\n", QA),
    ("prompt,,completion\nq1,,a1\nq2,x,a2\n", QA),
    ('prompt,completion\n"a, b", "c, d"\ne,f\n', COMMAS),
    ('prompt, completion\n"a, b",   "c, d"\ne, f\n', COMMAS),
    ('prompt, completion\n"x", "no comma"\ne, f\n', {"x": "no comma", "e": "f"}),
    ("prompt,completion\nx, leading blank\ny,z\n", {"x": " leading blank", "y": "z"}),
    ('prompt,completion\nsay 5" or 6",ok\ny,z\n', {'say 5" or 6"': "ok", "y": "z"}),
    (b"\xef\xbb\xbfprompt;completion\nq1;a1\nq2;a2\n", QA),
    ("prompt,completion\nq1,a1\nq2,a2\n".encode("utf-16"), QA),
    ("prompt\tcompletion\nq1\ta1\nq2\ta2\n".encode("utf-16"), QA),
    ("prompt,completion\rq1,a1\rq2,a2\r", QA),
    ("\n\nprompt,completion\n\nq1,a1\n,\nq2,a2", QA),
    (" prompt , completion \nq1,a1\nq2,a2\n", QA),
    ("prompt,completion\nq1,a1\nq2," + "x" * 200_000, {"q1": "a1", "q2": "x" * 200_000}),
    ("instruction,input,output\nq1,,a1\nq2,more,a2\n", {"q1": "a1", "q2\n\nmore": "a2"}),
    (
        'id,messages\n1,"[{""role"": ""user"", ""content"": ""q1""},'
        ' {""role"": ""assistant"", ""content"": ""a1""}]"\n2,"[{""from"": ""human"",'
        ' ""value"": ""q2""}, {""from"": ""gpt"", ""value"": ""a2""}]"\n',
        QA,
    ),
    ('prompt,completion\n"a, b" , "c, d"\n"e" ,f\n', COMMAS),
    ('"prompt" ;"completion" \n"q1" ;"a1" \n"q2";a2\n', QA),
    ('prompt,completion\n"a, "" , b" ,x\n"q",y\n', {'a, " , b': "x", "q": "y"}),
    ("prompt|completion\n---|---\nq1|a1\nq2|a2\n", QA),
    ("| prompt | completion |\n|:---|---:|\n| q1 | a1 |\n| q2 | a2 |\n", QA),
    ("prompt,completion\n-,-\nq1,a1\n", {"-": "-", "q1": "a1"}),
    ("prompt,completion\n漢字,🙂\nעברית,é\n", {"漢字": "🙂", "עברית": "é"}),
]

# (a table, what the line says)
BAD_TABLES: list[tuple[str | bytes, str]] = [
    ("prompt;answer\nq;a\n", r"line 1: no completion; it has 'prompt, answer'; rename 'answer' to"),
    ("question,answer\nq,a\n", r"no prompt; .*; rename 'question' to prompt"),
    ("Prompt,Completion\nq,a\n", r"no prompt; .*; is it 'Prompt'\? rename it to prompt"),
    ("prompt:completion\nq:a\n", r"'prompt:completion' is one column; put a comma"),
    ("prompt completion\nq a\n", r"'prompt completion' is one column; put a comma"),
    ("prompt^completion^id\nq^a^1\n", r"'prompt\^completion\^id' is one column; put a comma"),
    ('"prompt,completion"\n"q,a"\n', r"'prompt,completion' is one column; .* quotes around each"),
    ("'prompt','completion'\n'q','a'\n", r"\"'prompt'\": quote with \" alone, not with '"),
    ("“prompt”,“completion”\n“q”,“a”\n", r'quote with " alone, not with “'),
    ("prompt,completion\nq,a\nq,a\n", r"1 row; .*validation \(1 equal to it left out\)"),
    ("a;b;c\n1;2;3\n", r"line 1: no prompt; it has 'a, b, c'"),
    ("just text\nand more\n", r"line 1: no prompt; it has 'just text'"),
    ("prompt;completion\nq;a;b\n", r"line 2: 3 cells .* holds a semicolon in double quotes"),
    ("prompt\tcompletion\nq\ta\tb\n", r"line 2: 3 cells .* holds a tab in double quotes"),
    ("prompt;completion;prompt\nq;a;b\n", r"column 'prompt' stands twice"),
    ('prompt,completion\nq,a\nq,"a\nb\nc\n', r"line 3: not CSV: a double quote that is opened"),
    ('prompt,completion\n"q" x,a\n', r'line 2: not CSV: .*double a quote inside quotes'),
    ("prompt,completion\nq1,a1\nq2\n", r"line 3: 1 cells where the header has 2"),
    ("prompt,completion\nq1,a1\nq2,\n", r"line 3: completion: empty"),
    (b"prompt,completion\ncaf\xe9,a\n", r"line 2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    ("prompt,completion\nq,a\0\n", r"line 2: a NUL byte"),
    ("prompt,completion\nq,a\n".encode("utf-16-le"), r"line 1: a NUL byte"),
    (b"PK\x03\x04\x14\0", r"an Excel workbook or a zip archive; save the sheet as CSV"),
    (b"\x1f\x8b\x08\0", r"compressed by gzip; unpack it first"),
    (b"PAR1\0\0", r"is Parquet"),
    ("sep=;\n", r"no rows"),
    ("\n\n,,\n", r"no rows"),
    ("prompt;completion\n", r"no rows"),
    ("messages\nhello\n", r"line 2: messages: 'hello' is not a list of messages"),
    ("messages\n[{]\n", r"line 2: messages: .* is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), TABLES, ids=lambda each: ascii(each)[:40])
def test_a_table_is_read(tmp_path, content, expected):
    assert rows(from_csv(write(tmp_path, "mine.csv", content))) == expected


@pytest.mark.parametrize(("content", "message"), BAD_TABLES, ids=lambda each: ascii(each)[:40])
def test_a_bad_table_is_one_line(tmp_path, content, message):
    with pytest.raises(LabError, match=message) as raised:
        from_csv(write(tmp_path, "mine.csv", content))
    message = str(raised.value)
    assert "mine" in message
    assert len(message) < 300


def turns(*said: tuple[str, object]) -> str:
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in said]})


def sharegpt(*said: tuple[str, str]) -> str:
    return json.dumps({"conversations": [{"from": role, "value": text} for role, text in said]})


PARTS = [{"type": "text", "text": "q"}, {"type": "text", "text": "1"}]
Q2 = '{"prompt": "q2", "completion": "a2"}'

# (the first lines of a JSONL file whose last is q2 and a2, the rows)
JSON_ROWS: list[tuple[str, dict[str, str]]] = [
    (turns(("user", PARTS), ("assistant", [{"type": "text", "text": "a1"}])), QA),
    (turns(("system", PARTS), ("user", "q1"), ("assistant", "a1")), QA),
    (turns(("user", [{"type": "input_text", "text": "q1"}]),
           ("assistant", [{"type": "output_text", "text": "a1"}])), QA),
    (turns(("developer", "s"), ("user", "q1"), ("assistant", "a1")), QA),
    (turns(("User", "q1"), ("ASSISTANT", "a1")), QA),
    (turns(("human", "q1"), ("gpt", "a1")), QA),
    (sharegpt(("human", "q1"), ("gpt", "a1")), QA),
    (sharegpt(("system", "s"), ("human", "q1"), ("gpt", "a1")), QA),
    ('{"instruction": "q1", "input": "", "output": "a1"}', QA),
    ('{"instruction": "q1", "output": "a1", "system": "s"}', QA),
    ('{"instruction": "q", "input": "i", "output": "a"}', {"q\n\ni": "a", "q2": "a2"}),
    ('{"prompt": "q1", "completion": "a1", "messages": null}', QA),
    ('{"prompt": null, "completion": null, "messages": [{"role": "user", "content": "q1"},'
     ' {"role": "assistant", "content": "a1"}]}', QA),
    ('{"prompt": [{"role": "user", "content": [{"type": "text", "text": "q1"}]}],'
     ' "completion": [{"role": "assistant", "content": "a1"}]}', QA),
    ('{"prompt": "q1", "completion": "a1", "score": NaN, "n": 1e999}', QA),
    ('{"prompt": "q1", "completion": "a1", "nested": {"a": [1, {"b": null}]}}', QA),
]  # fmt: skip

BAD_JSON: list[tuple[str, str]] = [
    (turns(("assistant", "a"), ("user", "q")), "roles 'assistant, user'"),
    (turns(("system", "s")), "roles ''"),
    (turns(("user", "q"), ("user", "q"), ("assistant", "a")),
     "roles 'user, user, assistant'; legal: .* then user and assistant in turns"),
    (turns(("user", "q"), ("assistant", ""), ("user", "q"), ("assistant", "a")), "empty"),
    (turns(("user", "q"), ("wizard", "a")), "'wizard' is no role"),
    (turns(("user", "q"), ("tool", "a")), "'tool' is no role"),
    (turns(("user", "q"), ("assistant", None)), "None is not text"),
    (turns(("user", ""), ("assistant", "a")), "empty"),
    (turns(("user", [{"type": "image_url", "image_url": "x"}]), ("assistant", "a")),
     "a part of type 'image_url' is not text"),
    (turns(("user", [{"type": "text"}]), ("assistant", "a")), "is not text"),
    (turns(("user", ["q"]), ("assistant", "a")), "is not text"),
    (turns(("user", []), ("assistant", "a")), "is not text"),
    ('{"messages": []}', "roles ''"),
    ('{"messages": null}', "None is not a list of messages"),
    ('{"messages": [1]}', "is not a list of messages"),
    ('{"messages": {"role": "user"}}', "is not a list of messages"),
    ('{"conversations": [{"from": "gpt", "value": "a"}]}', "conversations: roles 'assistant'"),
    ('{"instruction": "q", "output": ""}', "output: empty"),
    ('{"instruction": " ", "output": "a"}', "instruction: empty"),
    ('{"instruction": "q", "input": 3, "output": "a"}', "input: 3 is not text"),
    ('{"instruction": "q", "response": "a"}', "rename 'instruction' to prompt"),
    ('{"question": "q", "answer": "a"}', "rename 'question' to prompt"),
    ('{"text": "q a"}', "no prompt"),
    ('{"data": {"prompt": "q", "completion": "a"}}', "no prompt; it has 'data'"),
    ('{"prompt": "q", "prompt": "r", "completion": "a"}', "'prompt' stands twice in one object"),
    ('{"prompt": NaN, "completion": "a"}', "nan is not text"),
    ('{"prompt": true, "completion": "a"}', "True is not text"),
    ('{"prompt": {"text": "q"}, "completion": "a"}', "is not text"),
    ('{"prompt": ' + "9" * 5000 + ', "completion": "a"}', "too deep or large"),
    ('{"a":' * 99_999, "too deep or large"),
    ('{"prompt": "q", "completion": "a"', "not JSON: .*; one whole object a line"),
    ("{'prompt': 'q', 'completion': 'a'}", "not JSON"),
    ("{", "not JSON: .*; one whole object a line"),
    ('{"prompt": "q", "completion": "a"},', "not JSON: Extra data"),
    ("null", "None is not an object"),
    ("{}", "no prompt; it has ''"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), JSON_ROWS, ids=lambda each: ascii(each)[:40])
def test_a_json_line_is_read(tmp_path, line, expected):
    assert rows(from_jsonl(write(tmp_path, "mine.jsonl", f"{line}\n{Q2}\n"))) == expected


@pytest.mark.parametrize(("line", "message"), BAD_JSON, ids=lambda each: ascii(each)[:40])
def test_a_bad_json_line_is_one_line(tmp_path, line, message):
    with pytest.raises(LabError, match=f"mine.jsonl, line 2.*{message}") as raised:
        from_jsonl(write(tmp_path, "mine.jsonl", f"{Q2}\n{line}\n"))
    assert len(str(raised.value)) < 350


Q1 = '{"prompt": "q1", "completion": "a1"}'


@pytest.mark.parametrize("content", [
    f"[{Q1}, {Q2}]", f"[\n  {Q1},\n  {Q2}\n]\n", f" \n[ {Q1},{Q2}]", f"{Q1}\r{Q2}", f"{Q1}\r\n{Q2}",
    f"\ufeff[{Q1},{Q2}]", f"{Q1}\n\n\n{Q2}\n\n", f"  {Q1}\t\n{Q2}",
    f"{Q1}\n{Q2}".encode("utf-16"), json.dumps([json.loads(Q1), json.loads(Q2)], indent=4),
])  # fmt: skip
def test_a_json_array_and_every_line_end_are_read(tmp_path, content):
    for name in ("mine.jsonl", "mine.json"):
        path = write(tmp_path, name, content)
        assert rows(from_jsonl(path)) == rows(resolve(str(path))) == QA


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no rows to train on"),
        (f"[{Q1}, 3]", r"row 2: 3 is not an object"),
        (f"[{Q1},\n{Q2}", r"mine\.jsonl: not JSON: .* at line 2, column"),
        ("", "no rows to train on"),
        (b"\xff\xfe", "no rows to train on"),
        (b"\x1f\x8b\x08", "compressed by gzip; unpack it first"),
        (f"{Q1}\n{Q2[:20]}", r"line 2: not JSON"),
        (Q1 + "\n" + "\0" * 512, "line 2: a NUL byte"),
        (f'{Q1[:-1]}, "split": "test"}}', "no rows to train on; 1 test rows"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, content, message):
    with pytest.raises(LabError, match=message):
        from_jsonl(write(tmp_path, "mine.jsonl", content))


def test_how_a_file_was_read_and_how_many_rows_there_are_is_said(tmp_path):
    line = '{"instruction": "q%d", "output": "a"}'
    path = write(tmp_path, "mine.jsonl", "\n".join(line % i for i in range(10)))
    data = from_jsonl(path)
    assert str(data) == "mine: 9 train, 1 validation, 0 test rows"
    assert any("output as completion" in note for note in data.notes)
    assert any("no test rows" in note for note in data.notes)


# Where a data set is


@pytest.mark.parametrize(
    "name", ["my rows.jsonl", "Datensätze 漢字.jsonl", "a'b\"c.jsonl", "A.JSONL"]
)
def test_any_name_will_do(tmp_path, monkeypatch, name):
    write(tmp_path, name, f"{Q1}\n{Q2}")
    assert rows(resolve(str(tmp_path / name))) == QA
    monkeypatch.setenv("HOME", str(tmp_path))
    assert rows(resolve(f"~/{name}")) == QA


def test_tab_separated_and_ndjson_names(tmp_path):
    path = write(tmp_path, "a.tsv", "prompt\tcompletion\nq1\ta1\nq2\ta2\n")
    assert rows(resolve(str(path))) == QA
    assert rows(resolve(str(write(tmp_path, "a.ndjson", f"{Q1}\n{Q2}")))) == QA


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder.jsonl", "is a folder; name the file in it"),
        ("round.jsonl", "no file"),
        ("dangling.csv", "no file"),
        ("x" * 300 + ".jsonl", "cannot read .*: File name too long"),
        ("~nobody-of-this-name/a.jsonl", "no such user's home folder"),
        ("~nobody-of-this-name", "no such user's home folder"),
        ("mien.jsonl", "did you mean 'mine.jsonl'"),
        ("mine.jsonl/more.jsonl", "no file|Not a directory"),
        ("rows.parquet", "must end in .jsonl or .csv; put it into a folder"),
        ("rows.jsonl.gz", "must end in .jsonl or .csv; unpack it first"),
        ("rows.xlsx", "must end in .jsonl or .csv; save the sheet as CSV"),
        ("mine", "must end in .jsonl or .csv"),
    ],
)
def test_what_is_no_file_of_rows_is_one_line(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "round.jsonl").symlink_to(tmp_path / "round.jsonl")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere.csv")
    write(tmp_path, "mine.jsonl", Q1)
    write(tmp_path, "mine", Q1)
    with pytest.raises(LabError, match=message):
        resolve(name)


@pytest.mark.parametrize("name", ["folder.jsonl", "mine.csv", "nowhere.jsonl", "~nobody/a.csv"])
def test_the_verb_says_it_in_one_line_too(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.jsonl").mkdir()
    write(tmp_path, "mine.csv", "prompt;answer\nq;a\n")
    recipe = write(tmp_path, "recipe.yaml", "steps: 1\n")
    with pytest.raises(SystemExit, match="2"):
        main(["train", str(recipe), "--out", "run", "--set", f"dataset={json.dumps(name)}"])
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "reason", [PermissionError(13, "Permission denied"), OSError(5, "I/O error")]
)
def test_what_the_system_refuses_is_one_line(tmp_path, monkeypatch, reason):
    path = write(tmp_path, "mine.jsonl", Q1)

    def refuse(*_, **__):
        raise reason

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(LabError, match=f"cannot read .*mine.jsonl: {reason.strerror}"):
        from_jsonl(path)
    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(LabError, match=f"cannot read .*mine.jsonl: {reason.strerror}"):
        from_jsonl(path)


# Folders


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    made = tmp_path / "rows"
    made.mkdir()
    return made


def test_a_folder_whose_files_differ_in_columns_is_read(folder):
    write(
        folder,
        "train-a.jsonl",
        "\n".join(
            json.dumps({"prompt": f"q{i}", "completion": f"a{i}", "level": i}) for i in range(4)
        ),
    )
    write(
        folder,
        "train-b.jsonl",
        "\n".join(
            json.dumps({"instruction": f"i{i}", "output": f"a{i}", "kind": "x"}) for i in range(4)
        ),
    )
    write(folder, "test.jsonl", Q1.replace("q1", "t"))
    data = from_hub_or_local(str(folder))
    assert (len(data.train) + len(data.validation), len(data.test)) == (8, 1)
    assert {"q0", "i3", "t"} <= set(rows(data))


def test_a_folder_of_files_of_several_kinds_is_read(folder):
    write(folder, "validation.csv", "prompt;completion\nv1;a\nv2;b\n")
    write(folder, "train.jsonl", f"{Q1}\n{Q2}")
    data = resolve(str(folder))
    assert (len(data.train), len(data.validation)) == (2, 2)


def test_a_bad_file_of_a_folder_is_named_with_its_line(folder):
    write(folder, "train-a.jsonl", f"{Q1}\n{Q2}")
    write(folder, "train-b.jsonl", '{"prompt": "q", "answer": "a"}')
    with pytest.raises(LabError, match=r"train-b\.jsonl, line 1: .*completion"):
        resolve(str(folder))


@pytest.mark.parametrize(
    ("name", "content"),
    [("train.parquet", b"PAR1 damaged"), ("train.parquet", b""), ("train.arrow", b"ARROW1"),
     ("readme.txt", b"x"), ("train.jsonl", b"{"), ("train.jsonl.gz", b"\x1f\x8b"), ("x.bin", b"")],
)  # fmt: skip
def test_a_damaged_or_foreign_folder_is_one_line(folder, name, content):
    write(folder, name, content)
    with pytest.raises(LabError) as raised:
        resolve(str(folder))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_an_empty_folder_is_one_line(folder):
    with pytest.raises(LabError, match="rows"):
        resolve(str(folder))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_many_rows_and_a_long_line(tmp_path):
    lines = (f'{{"prompt": "q{i}", "completion": "a{i}"}}' for i in range(300_000))
    data = from_jsonl(write(tmp_path, "many.jsonl", "\n".join(lines)))
    assert len(data.train) == 270_000
    path = write(tmp_path, "long.jsonl", Q1 + "\n" + "x" * 100_000_000)
    with pytest.raises(LabError, match="line 2: not JSON") as raised:
        from_jsonl(path)
    assert len(str(raised.value)) < 300

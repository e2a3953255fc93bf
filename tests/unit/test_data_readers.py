"""Your own rows: what is read, and the one line that each mistake gives."""

from __future__ import annotations

import json

import pytest

from labs_lib.data import from_csv, from_hub_or_local, from_jsonl, load_set, resolve
from labs_lib.errors import LabError

GOOD = '{"prompt": "q%d", "completion": "a%d"}'


def lines(count: int) -> list[str]:
    return [GOOD % (i, i) for i in range(count)]


@pytest.fixture
def jsonl(tmp_path):
    def write(*rows: str | bytes):
        path = tmp_path / "mine.jsonl"
        content = [row.encode() if isinstance(row, str) else row for row in rows]
        path.write_bytes(b"\n".join(content))
        return path

    return write


@pytest.fixture
def table(tmp_path):
    def write(text: str):
        path = tmp_path / "mine.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


def test_validation_is_drawn_by_seed_and_no_row_is_lost(jsonl):
    path = jsonl(*lines(40))
    data = from_jsonl(path, seed=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 0)
    assert {row.prompt for row in (*data.train, *data.validation)} == {f"q{i}" for i in range(40)}
    assert from_jsonl(path, seed=1) == data
    assert from_jsonl(path, seed=2).validation != data.validation
    assert any("4 of 40 rows held out" in note for note in data.notes)
    assert data.metrics == ("exact_match",)


def test_splits_messages_system_and_other_fields_are_kept(jsonl):
    data = from_jsonl(
        jsonl(
            '{"prompt": "a", "completion": "b", "split": "train", "level": 3}',
            "",
            '{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user",'
            ' "content": "c"}, {"role": "assistant", "content": "d"}], "split": "validation"}',
            '{"prompt": [{"role": "user", "content": "e"}], "completion":'
            ' [{"role": "assistant", "content": "f"}], "split": "test"}',
        )
    )
    assert data.train[0].meta == {"level": 3}
    assert data.validation[0].system == "Be kind."
    assert data.validation[0].messages()[0] == {"role": "system", "content": "Be kind."}
    assert (data.test[0].prompt, data.test[0].completion) == ("e", "f")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(jsonl):
    data = from_jsonl(jsonl(b"\xef\xbb\xbf" + "\r\n".join(lines(3)).encode()))
    assert len(data.train) + len(data.validation) == 3


def test_a_line_separator_inside_text_is_no_new_line(jsonl):
    path = jsonl('{"prompt": "a\u2028b", "completion": "c"}', *lines(1))
    prompts = {row.prompt for row in (*from_jsonl(path).train, *from_jsonl(path).validation)}
    assert prompts == {"a\u2028b", "q0"}


def test_duplicates_are_left_out_and_reported(jsonl):
    data = from_jsonl(jsonl(*lines(3), GOOD % (1, 1)))
    assert len(data.train) + len(data.validation) == 3
    assert data.notes[0] == "1 duplicate row left out: line 4 (as line 2)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"prompt": "q", "completion": ', r"mine\.jsonl, line 3: not JSON: .* column 31"),
        ("prompt,completion", r"line 3: not JSON"),
        ("[" * 100_000, r"line 3: not JSON"),
        ('["q", "a"]', r"line 3: \['q', 'a'\] is not an object"),
        ("3", r"line 3: 3 is not an object"),
        ('{"prompt": "q"}', r"line 3: no completion; it has 'prompt'"),
        ('{"promt": "q", "completion": "a"}', r"line 3: no prompt; .*; is it 'promt'\?"),
        ('{"prompt": "", "completion": "a"}', r"line 3: prompt: empty"),
        ('{"prompt": "q", "completion": " \\n"}', r"line 3: completion: empty"),
        ('{"prompt": 3, "completion": "a"}', r"line 3: prompt: 3 is not text"),
        ('{"prompt": "q", "completion": null}', r"line 3: completion: None is not text"),
        ('{"prompt": "q", "completion": ["a"]}', r"line 3: completion: a list must hold one"),
        (
            '{"prompt": [{"role": "assistant", "content": "q"}], "completion": "a"}',
            r"line 3: prompt: a list must hold one message, of role user",
        ),
        ('{"messages": "hello"}', r"line 3: messages: 'hello' is not a list of messages"),
        (
            '{"messages": [{"role": "user", "content": "q"}]}',
            r"line 3: messages: roles 'user'; legal: an optional system",
        ),
        (
            '{"prompt": "q", "completion": "a", "split": "trian"}',
            r"line 3: split: 'trian' is not one of .*did you mean 'train'\?",
        ),
        ('{"prompt": "q", "completion": "a", "meta": 3}', r"line 3: meta: 3 is not an object"),
        ('{"prompt": "q", "completion": "a", "system": 3}', r"line 3: system: 3 is not text"),
        ('{"prompt": "\\ud83d", "completion": "a"}', r"line 3: prompt: holds half"),
        (b'{"prompt": "caf\xe9", "completion": "a"}', r"line 3: byte 0xe9 is not UTF-8"),
    ],
)
def test_a_bad_line_is_named(jsonl, row, message):
    with pytest.raises(LabError, match=message) as caught:
        from_jsonl(jsonl(*lines(2), row, *lines(2)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "no rows to train on"),
        (("", "  "), "no rows to train on"),
        ((GOOD % (1, 1),), "1 row; at least 2 are needed"),
        ((GOOD % (1, 1),) * 3, "1 row; at least 2 are needed"),
        (('{"prompt": "q", "completion": "a", "split": "test"}',), "no rows to train on"),
    ],
)
def test_too_few_rows(jsonl, rows, message):
    with pytest.raises(LabError, match=message):
        from_jsonl(jsonl(*rows))


def test_csv_with_quotes_commas_and_lines_inside(table):
    data = from_csv(table('completion,prompt\r\n"Aye, ""sir""\nI am","Who, me?"\r\nb,a\r\n'))
    rows = {row.prompt: row.completion for row in (*data.train, *data.validation)}
    assert rows == {"Who, me?": 'Aye, "sir"\nI am', "a": "b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,answer\nq,a\n", r"mine\.csv, line 1: no completion"),
        ("question;answer\nq;a\n", r"line 1: no prompt"),
        ("prompt,completion\nq,a\nq,a,b\n", r"line 3: 3 cells where the header has 2"),
        ("prompt,completion\nq\n", r"line 2: 1 cells where the header has 2"),
        ("prompt,completion\nq,a\n,a\n", r"line 3: prompt: empty"),
        ('prompt,completion\nq,"a\n', r"line \d: not CSV"),
        ('prompt,completion\nq,"a"b\n', r"line 2: not CSV"),
        ("prompt,prompt,completion\nq,q,a\n", r"line 1: column 'prompt' stands twice"),
        ("prompt,completion,split\nq,a,dev\n", r"line 2: split: 'dev' is not one of"),
        ("", "no rows"),
        ("prompt,completion\n", "no rows"),
    ],
)
def test_a_bad_table_is_named(table, text, message):
    with pytest.raises(LabError, match=message):
        from_csv(table(text))


def test_resolve_finds_sets_and_files(jsonl, table):
    assert resolve("sea-captain") is load_set("sea-captain")
    assert resolve(str(jsonl(*lines(5)))).name == "mine"
    assert len(resolve(str(table("prompt,completion\na,b\nc,d\n"))).train) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sea-captian", "did you mean 'sea-captain'"),
        ("", "dataset: '' is no name"),
        ("nowhere/mine.jsonl", "no file"),
        ("mine.txt", "must end in .jsonl or .csv"),
        ("rows.parquet", "must end in .jsonl or .csv"),
    ],
)
def test_resolve_refuses_in_one_line(name, message):
    with pytest.raises(LabError, match=message):
        resolve(name)


def test_a_near_miss_of_a_file_name_is_shown(jsonl):
    path = jsonl(*lines(2))
    with pytest.raises(LabError, match=r"no file .*mien\.jsonl; did you mean 'mine\.jsonl'"):
        resolve(str(path.with_name("mien.jsonl")))


def test_a_local_folder_that_datasets_understands(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    rows = [{"prompt": f"q{i}", "completion": f"a{i}"} for i in range(4)]
    text = "\n".join(json.dumps(row) for row in rows)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    (folder / "test.jsonl").write_text(text.replace("q", "t"), encoding="utf-8")
    data = from_hub_or_local(str(folder))
    assert (len(data.train), len(data.validation), len(data.test)) == (3, 1, 4)


def test_a_folder_with_other_columns_names_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "hello"}\n', encoding="utf-8")
    with pytest.raises(LabError, match=r"train\.jsonl, line 1: no prompt; it has 'text'"):
        resolve(str(folder))


def test_an_unknown_hub_name_is_one_line(monkeypatch):
    import datasets

    def refuse(name):
        raise ConnectionError("no such host\nand a long explanation")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(LabError, match="cannot load 'someone/something': no such host; legal"):
        resolve("someone/something")

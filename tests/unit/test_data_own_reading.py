"""A student's own file: every form is read, conversations too, and no row is lost in silence."""

from __future__ import annotations

import json

import pytest

from labs_lib import models
from labs_lib.data import from_jsonl, read_own, resolve, to_jsonl
from labs_lib.data.rows import Row
from labs_lib.errors import LabError
from labs_lib.training.encoding import Encoder
from labs_lib.training.plain import encode


def turns(*texts: str, form: str = "messages") -> dict:
    """Return a conversation of texts, the user's first."""
    role, text = ("role", "content") if form == "messages" else ("from", "value")
    names = ("user", "assistant") if form == "messages" else ("human", "gpt")
    return {form: [{role: names[i % 2], text: each} for i, each in enumerate(texts)]}


def write(folder, name, records):
    path = folder / name
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")
    return path


PAIRS = [("q1", "a1"), ("q2", "a2")]
FORMS = {
    "a.jsonl": '{"prompt": "q1", "completion": "a1"}\n{"prompt": "q2", "completion": "a2"}\n',
    "b.csv": "prompt,completion\nq1,a1\nq2,a2\n",
    "c.tsv": "prompt\tcompletion\nq1\ta1\nq2\ta2\n",
    "d.json": json.dumps([turns("q1", "a1", form="conversations"), turns("q2", "a2")]),
    "e.jsonl": '{"instruction": "q1", "output": "a1"}\n{"instruction": "q2", "output": "a2"}\n',
    "f.jsonl": json.dumps(turns("q1", "a1")) + "\n" + json.dumps(turns("q2", "a2")),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_text(FORMS[name], encoding="utf-8")
    assert [(row.prompt, row.completion) for row in read_own(path).rows] == PAIRS


def test_a_single_parquet_file_is_read_and_a_damaged_one_named(tmp_path):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "own.parquet"
    columns = {"prompt": ["q1", "q2"], "completion": ["a1", ""], "customer": [7, 8]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    data = read_own(path)
    assert data.places == ("row 1", "row 2") and data.rows[1].meta["customer"] == 8
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LabError, match=r"own\.parquet: cannot be read as Parquet"):
        read_own(path)


def test_columns_of_other_names_are_named_in_the_call(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("message,label\nq1,a1\n", encoding="utf-8")
    row = read_own(path, prompt="message", completion="label").rows[0]
    assert (row.prompt, row.completion, dict(row.meta)) == ("q1", "a1", {})
    with pytest.raises(LabError, match=r"no 'mesage'; it has .*did you mean 'message'"):
        read_own(path, prompt="mesage", completion="label")


def test_empty_and_repeated_rows_stay_and_splits_are_kept(tmp_path):
    records = [{"prompt": "q", "completion": "a", "split": "test"}] * 2
    records.append({"prompt": "q", "completion": " "})
    data = read_own(write(tmp_path, "own.jsonl", records))
    assert len(data) == 3 and data.splits == ("test", "test", None)
    assert data.places == ("line 1", "line 2", "line 3")
    assert str(data) == "own: 3 rows, 2 test"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.xlsx", b"PK\x03\x04", r"must end in \.jsonl"),
        ("own.csv", b"PK\x03\x04", r"Excel workbook"),
        ("own.jsonl", b"", r"own\.jsonl: no rows"),
        ("own.jsonl", b'{"prompt": "q"}', r"own\.jsonl, line 1: no completion"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabError, match=message):
        read_own(tmp_path / name)
    with pytest.raises(LabError, match="no file"):
        read_own(tmp_path / "absent.csv")


# Conversations


@pytest.mark.parametrize("form", ["messages", "conversations"])
def test_a_conversation_becomes_a_row_an_answer(tmp_path, form):
    path = write(tmp_path, "own.jsonl", [turns("q1", "a1", "q2", "a2", "q3", form=form)])
    data = read_own(path)
    assert [(row.earlier, row.prompt, row.completion) for row in data.rows] == [
        ((), "q1", "a1"),
        ((("q1", "a1"),), "q2", "a2"),
    ]
    assert data.places == ("line 1 (answer 1)", "line 1 (answer 2)")
    assert any("last question" in note and "left out" in note for note in data.notes)
    assert {row.meta["conversation"] for row in data.rows} == {"own.jsonl, line 1"}


def test_a_row_with_earlier_turns_is_written_and_read_again(tmp_path):
    row = Row("q2", "a2", {"n": 1}, "s", (("q1", "a1"),))
    path = tmp_path / "own.jsonl"
    path.write_text(to_jsonl([row, Row("q", "a")]), encoding="utf-8")
    assert read_own(path).rows == (row, Row("q", "a"))
    assert row.messages()[0] == {"role": "system", "content": "s"}
    assert [each["content"] for each in row.messages()] == ["s", "q1", "a1", "q2", "a2"]


def test_held_out_rows_are_of_other_conversations(tmp_path):
    records = [turns(f"q{i}", "a", f"r{i}", "b", f"s{i}", "c") for i in range(10)]
    path = write(tmp_path, "own.jsonl", records)
    for seed in range(4):
        data = resolve(str(path), seed=seed)
        names = [
            {row.meta["conversation"] for row in rows} for rows in (data.train, data.validation)
        ]
        assert len(data.validation) == 3 and not names[0] & names[1]
    assert from_jsonl(path) == resolve(str(path))


def test_training_reads_the_earlier_turns_and_learns_the_last_answer_alone():
    tokenizer = models.load_tokenizer()
    row = Row("And of Spain?", "Madrid.", earlier=(("Capital of France?", "Paris."),))
    encoded = Encoder(tokenizer, 512).encode(row)
    learned = [i for i, label in zip(encoded.input_ids, encoded.labels, strict=True) if label >= 0]
    whole = tokenizer.decode(encoded.input_ids)
    assert whole.index("Paris.") < whole.index("And of Spain?") < whole.index("Madrid.")
    assert "Madrid." in tokenizer.decode(learned) and "Paris" not in tokenizer.decode(learned)
    assert encode(tokenizer, row, 512)["labels"] == encoded.labels

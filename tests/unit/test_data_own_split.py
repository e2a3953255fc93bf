"""Rows that share an entity are in one split, and a recipe trains on the folder that is saved."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from labs_lib.data import OwnData, Row, load_set, look, read_own, resolve, save_data_set
from labs_lib.data import split_by_entity as split
from labs_lib.data.rows import SPLITS, DataSet
from labs_lib.errors import LabError


def own(*rows: Row, splits: tuple[str | None, ...] | None = None) -> OwnData:
    places = tuple(f"line {number}" for number in range(1, len(rows) + 1))
    return OwnData("own", rows, places, splits or (None,) * len(rows))


def letters(number: int) -> str:
    """Return a number as words of letters, unlike those of its neighbors."""
    return " ".join("abcdefghij"[int(digit)] * 5 for digit in str(number * 7919 % 100_003))


def bought(count: int, customers: int, label=lambda number: f"a{number}") -> OwnData:
    return own(
        *(
            Row(f"{letters(number)} {number}", label(number), {"customer": number % customers})
            for number in range(count)
        )
    )


def entities(rows, field: str) -> set[str]:
    return {str(row.meta[field]) for row in rows}


def held_apart(data_set: DataSet, field: str) -> bool:
    parts = [entities(data_set.split(name), field) for name in SPLITS]
    return sum(map(len, parts)) == len(set().union(*parts))


@pytest.mark.parametrize(("count", "customers"), [(20, 10), (300, 60), (300, 300)])
def test_no_entity_is_in_two_splits_and_the_sizes_are_those_asked_for(count, customers):
    data_set = split(bought(count, customers), "customer")
    assert held_apart(data_set, "customer")
    sizes = [len(data_set.split(name)) for name in SPLITS]
    assert sum(sizes) == count
    for size, share in zip(sizes, (0.7, 0.1, 0.2), strict=True):
        assert abs(size - share * count) <= max(1, count / customers)
    assert any(f"{count} rows in {customers} groups by customer" in n for n in data_set.notes)


def test_the_seed_decides_and_nothing_else():
    data = bought(200, 50)
    assert split(data, "customer", seed=3) == split(data, "customer", seed=3)
    assert split(data, "customer", seed=3).test != split(data, "customer", seed=4).test


def test_a_list_of_entities_joins_all_of_them():
    rows = [Row(letters(n), "a", {"people": [f"p{n // 2}", f"p{n // 2 + 1}"]}) for n in range(8)]
    with pytest.raises(LabError, match=r"8 different rows form 1 groups by .people."):
        split(own(*rows), "people")


def test_near_duplicates_and_turns_of_one_conversation_stay_together():
    rows = [Row(f"{letters(n)} where", "a") for n in range(40)]
    rows += [Row(f"{letters(n).upper()} where?", "b") for n in range(40)]
    rows += [
        Row(f"and {n} then", "c", {"conversation": f"line {n}"}, earlier=earlier)
        for n in range(30)
        for earlier in ((), ((f"and {n} then", "c"),))
    ]
    data_set = split(own(*rows))
    where = {row.prompt.lower(): name for name in SPLITS for row in data_set.split(name)}
    for n in range(40):
        assert where[f"{letters(n)} where"] == where[f"{letters(n)} where?"]
    conversations = [
        {row.meta["conversation"] for row in data_set.split(name) if row.meta} for name in SPLITS
    ]
    assert sum(map(len, conversations)) == 30


def test_each_split_gets_its_share_of_every_label():
    def label(number: int) -> str:
        return "rare" if number % 20 == 0 else "often" if number % 2 else "at times"

    data_set = split(bought(400, 400, label), "customer")
    counts = {name: Counter(row.completion for row in data_set.split(name)) for name in SPLITS}
    assert [counts[name]["rare"] for name in SPLITS] == [14, 2, 4]
    assert [counts[name]["often"] for name in SPLITS] == [140, 20, 40]


def test_what_is_left_out_is_said_and_no_leak_is_left():
    data = bought(100, 30)
    copy = Row(data.rows[4].prompt + " ", data.rows[4].completion, {"customer": 4})
    rows = [*data.rows, copy, Row("q", ""), Row(data.rows[5].prompt, "another")]
    rows[-1] = Row(rows[-1].prompt, "another", {"customer": 29})
    rows[-2] = Row("q", "", {"customer": 1})
    data_set = split(own(*rows, splits=("train",) * 103), "customer")
    notes = " ".join(data_set.notes)
    assert "1 empty row left out" in notes and "1 duplicate row left out" in notes
    assert "splits that the file names were not used" in notes
    assert sum(len(data_set.split(name)) for name in SPLITS) == 101
    assert not look(data_set, entity="customer").of_kind("leak")


def test_too_few_groups_and_shares_that_are_none_are_one_line():
    with pytest.raises(LabError, match=r"form 2 groups by 'customer', the largest of 10"):
        split(bought(20, 2), "customer")
    with pytest.raises(LabError, match=r"no rows are left for .*0 different rows"):
        split(own(Row("", "")))
    with pytest.raises(LabError, match=r"test: 0 is no share"):
        split(bought(20, 20), test=0)
    with pytest.raises(LabError, match=r"leave no rows to train on"):
        split(bought(20, 20), test=0.5, validation=0.5)


# Saved, and read by a recipe


def test_a_saved_folder_is_what_a_recipe_trains_on(tmp_path):
    rows = [*bought(60, 20).rows]
    rows[7] = Row("and then?", "漢字\nb", {"customer": 7}, "Be brief.", (("q1", "a1"),))
    data_set = split(own(*rows), "customer")
    folder = save_data_set(data_set, tmp_path / "test of mine")
    assert sorted(each.name for each in folder.iterdir()) == [
        "test.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    again = resolve(str(folder))
    assert again.fingerprint == data_set.fingerprint
    smaller = split(bought(30, 30))
    assert resolve(str(save_data_set(smaller, folder))).fingerprint == smaller.fingerprint


def test_a_saved_folder_can_be_read_by_datasets_itself(tmp_path):
    import datasets

    data_set = split(bought(40, 20), "customer")
    folder = save_data_set(data_set, tmp_path / "own")
    loaded = datasets.load_dataset("json", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    assert loaded["test"]["prompt"] == [row.prompt for row in data_set.test]


def test_other_files_are_never_written_over(tmp_path):
    data_set = load_set("sea-captain")
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(LabError, match=r"holds other files \('thesis\.docx'\)"):
        save_data_set(data_set, tmp_path)
    with pytest.raises(LabError, match="is a file; name a folder"):
        save_data_set(data_set, tmp_path / "thesis.docx")
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.docx"]


# A data set that nobody here wrote


def documentation() -> list[dict[str, str]]:
    """Return what Python's own library says of its functions, a row a function."""
    import importlib
    import inspect

    modules = (
        "argparse ast calendar collections csv datetime difflib email.utils functools glob heapq "
        "inspect io ipaddress itertools json locale logging math os os.path pathlib pickle random "
        "re shutil socket statistics string subprocess tarfile tempfile textwrap threading "
        "unittest urllib.parse uuid weakref zipfile"
    )
    rows = []
    for name in modules.split():
        module = importlib.import_module(name)
        for member, value in sorted(inspect.getmembers(module, callable)):
            text = inspect.getdoc(value)
            first = (text or "").split("\n\n")[0].replace("\n", " ").strip()
            if member.startswith("_") or getattr(value, "__module__", None) != name or not first:
                continue
            asked = f"What does `{name}.{member}` do?"
            rows.append({"instruction": asked, "input": "", "output": first, "module": name})
    return rows


def test_a_set_made_of_pythons_documentation_goes_all_the_way(tmp_path):
    records = documentation()
    assert len(records) >= 200
    path = tmp_path / "pydoc.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    data = read_own(path)
    assert len(data) == len(records) and "instruction" in data.notes[0]
    seen = look(data, entity="module")
    assert not seen.of_kind("empty rows") and not seen.of_kind("label balance")
    assert len(seen.near_duplicates) < len(data) / 20
    data_set = split(data, "module")
    assert held_apart(data_set, "module")
    assert not look(data_set, entity="module").of_kind("leak")
    sizes = [len(data_set.split(name)) for name in SPLITS]
    assert sizes[0] > sizes[2] > sizes[1] > 0
    again = resolve(str(save_data_set(data_set, tmp_path / "pydoc")))
    assert again.fingerprint == data_set.fingerprint and again.train == data_set.train

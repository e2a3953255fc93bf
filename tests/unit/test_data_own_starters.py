"""The starter sets: made anew they are the same, and a look finds the flaws that are in them."""

from __future__ import annotations

import json

import pytest
from hash_seeds import outputs_of

from labs_lib.data import (
    look,
    read_own,
    resolve,
    save_data_set,
    split_by_entity,
    starter,
    starter_card,
    starters,
)
from labs_lib.data.make.starters import MAKERS
from labs_lib.data.rows import SPLITS
from labs_lib.errors import LabError
from labs_lib.training import Recipe
from labs_lib.training.rows import encode_rows


@pytest.mark.parametrize("name", starters())
def test_the_program_writes_the_same_bytes(name):
    file, make = MAKERS[name]
    assert starter(name).name == file
    assert make().encode("utf-8") == starter(name).read_bytes()


def test_the_program_does_not_depend_on_the_hash_seed():
    program = (
        "import hashlib; from labs_lib.data.make.starters import MAKERS;"
        "print(hashlib.sha256(''.join(make() for _, make in MAKERS.values()).encode()).hexdigest())"
    )
    seen = outputs_of(program)
    assert len(seen) == 1
    assert seen != {b""}


def test_each_starter_is_of_another_kind_and_form():
    cards = [starter_card(name) for name in starters()]
    assert {card["kind"] for card in cards} == {"extraction", "style", "classification"}
    assert {starter(name).suffix for name in starters()} == {".jsonl", ".json", ".csv"}
    with pytest.raises(LabError, match=r"starter: 'suport' is not one of .*did you mean 'support'"):
        starter("suport")


@pytest.mark.parametrize("name", starters())
def test_a_look_finds_every_flaw_of_the_card_and_no_other(name):
    card, data = starter_card(name), read_own(starter(name))
    assert len(data) == card["rows"]
    assert 120 <= len(data) <= 300
    assert card["licence"] == "CC0-1.0"
    seen = look(data, entity=card["entity"])
    assert {advice.kind for advice in seen.advice} == set(card["flaws"])


@pytest.mark.parametrize("name", starters())
def test_a_starter_becomes_a_set_without_leaks_that_a_recipe_takes(name, tmp_path):
    card, data = starter_card(name), read_own(starter(name))
    data_set = split_by_entity(data, card["entity"])
    seen = look(data_set, entity=card["entity"])
    assert not {"leak", "empty rows", "duplicates"} & {advice.kind for advice in seen.advice}
    sizes = [len(data_set.split(split)) for split in SPLITS]
    assert sizes[0] > 100
    assert sizes[1] >= 10
    assert sizes[2] >= 30
    folder = save_data_set(data_set, tmp_path / name)
    assert resolve(str(folder)).fingerprint == data_set.fingerprint


def test_what_each_starter_is_about():
    record = json.loads(read_own(starter("appointments")).rows[0].completion)
    assert set(record) == {"person", "day", "time", "room"}
    style = read_own(starter("house-style"))
    assert any(row.earlier for row in style.rows)
    assert all(row.completion.startswith("Dear reader, ") for row in style.rows)
    assert any("last question" in note for note in style.notes)
    labels = look(read_own(starter("support"))).labels
    assert len(labels) == 5
    assert min(labels.values()) < 10


def test_a_run_uses_every_row_of_a_saved_starter_with_conversations(tmp_path):
    data_set = split_by_entity(read_own(starter("house-style")), "notice")
    folder = save_data_set(data_set, tmp_path / "own")
    recipe = Recipe.of(dataset=str(folder), method="lora", steps=40, batch_size=4, eval_rows=0)
    used = encode_rows(recipe, resolve(str(folder)), say=print)
    assert used.counts["train"] == {"used": len(data_set.train), "cut": 0, "dropped": 0}
    assert any(row.earlier for row in used.train)

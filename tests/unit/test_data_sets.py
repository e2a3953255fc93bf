"""The course's own sets: made anew they are the same, and the test rows are about others."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys

import pytest
from hash_seeds import outputs_of

from labs_lib.data import SETS, card, load_set, scorers, to_jsonl
from labs_lib.data.bundled import folder_of
from labs_lib.data.make.__main__ import files
from labs_lib.data.rows import SPLITS
from labs_lib.errors import LabError


@pytest.fixture(scope="module")
def made():
    return files()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("split", SPLITS)
def test_the_program_writes_the_same_bytes(made, name, split):
    stored = (folder_of(name) / f"{split}.jsonl").read_bytes()
    assert to_jsonl(made[name][split]).encode("utf-8") == stored


def test_the_program_does_not_depend_on_the_hash_seed():
    program = (
        "import hashlib; from labs_lib.data.make.__main__ import files;"
        "from labs_lib.data import to_jsonl;"
        "print(hashlib.sha256(''.join(to_jsonl(r) for s in files().values()"
        " for r in s.values()).encode()).hexdigest())"
    )
    seen = outputs_of(program)
    assert len(seen) == 1
    assert seen != {b""}


@pytest.mark.parametrize("name", SETS)
def test_sizes_are_those_of_the_card_and_at_least_200(name):
    data = load_set(name)
    sizes = {split: len(data.split(split)) for split in SPLITS}
    assert sizes == card(name)["sizes"]
    assert sum(sizes.values()) >= 200
    assert all(sizes.values())


@pytest.mark.parametrize("name", SETS)
def test_card_says_what_a_card_must(name):
    content = card(name)
    assert content["name"] == name
    assert content["licence"] == "CC0-1.0"
    assert set(content["metrics"]) == set(load_set(name).metrics) == set(scorers(name))
    assert {"about", "made_by", "held_out", "limits"} <= set(content)


def named_in(entity: str, texts: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(entity)}(?!\w)", texts, re.IGNORECASE) is not None


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    ("held_out", "shown"), [("test", ("train", "validation")), ("validation", ("train",))]
)
def test_held_out_rows_are_about_entities_that_were_never_shown(name, held_out, shown):
    data = load_set(name)
    texts = "\n".join(f"{r.prompt}\n{r.completion}" for split in shown for r in data.split(split))
    for row in data.split(held_out):
        assert row.meta["entities"], row
        for entity in row.meta["entities"]:
            assert named_in(entity, f"{row.prompt}\n{row.completion}"), (entity, row)
            assert not named_in(entity, texts), f"{entity!r} of {row.prompt!r} was shown"


def test_no_prompt_stands_twice_in_a_set_and_the_probe_asks_what_the_captain_does_not():
    prompts = {
        name: [row.prompt for split in SPLITS for row in load_set(name).split(split)]
        for name in SETS
    }
    for name, asked in prompts.items():
        assert len(asked) == len(set(asked)), name
    assert not set(prompts["general-knowledge"]) & set(prompts["sea-captain"])


@pytest.mark.parametrize("name", SETS)
def test_every_completion_passes_its_own_metrics_and_no_prompt_does(name):
    data = load_set(name)
    for split in SPLITS:
        for row in data.split(split):
            for metric, score in scorers(name).items():
                assert score(row, row.completion), (metric, row)
                assert not score(row, row.prompt), (metric, row)
                assert not score(row, ""), (metric, row)


def test_the_plain_answer_states_the_fact_out_of_voice():
    score = scorers("sea-captain")
    for split in SPLITS:
        for row in load_set("sea-captain").split(split):
            assert score["fact_right"](row, row.meta["plain"]), row
            assert not score["in_voice"](row, row.meta["plain"]), row


def test_no_answer_is_right_for_another_question_of_its_category():
    """A scorer that any answer of the kind satisfies would see no forgetting."""
    from labs_lib.data import fact_right

    rows = [r for r in load_set("sea-captain").test if r.meta["category"] == "capital"]
    assert len(rows) >= 8
    for row in rows:
        for other in rows:
            assert fact_right(row, other.completion) == (row is other)


def test_fingerprint_follows_the_content():
    from dataclasses import replace

    data = load_set("sea-captain")
    assert re.fullmatch(r"[0-9a-f]{64}", data.fingerprint)
    assert replace(data, name="other").fingerprint == data.fingerprint
    assert replace(data, train=data.train[1:]).fingerprint != data.fingerprint
    assert replace(data, train=data.train[::-1]).fingerprint != data.fingerprint


def test_rows_are_frozen_can_be_pickled_and_become_messages():
    row = load_set("sea-captain").test[0]
    with pytest.raises(AttributeError):
        row.prompt = "other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        row.meta["category"] = "other"  # pyright: ignore[reportIndexIssue]
    assert pickle.loads(pickle.dumps(row)) == row
    assert row.messages() == [
        {"role": "user", "content": row.prompt},
        {"role": "assistant", "content": row.completion},
    ]


def test_to_hf_gives_trl_its_conversational_columns():
    from labs_lib.data import Row, to_hf

    data = to_hf([Row("Ahoy?", "Aye.", system="Be brief."), Row("Who?", "Me.")])
    assert data.column_names == ["prompt", "completion"]
    assert data[0]["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Ahoy?"},
    ]
    assert data[1]["completion"] == [{"role": "assistant", "content": "Me."}]
    assert to_hf([]).num_rows == 0


@pytest.mark.parametrize("wrong", ["sea-captian", "structured_output", "knowledge"])
def test_a_misspelt_set_names_the_nearest(wrong):
    with pytest.raises(LabError, match=r"did you mean '(sea-captain|structured-output|general-kn)"):
        load_set(wrong)


def test_an_unknown_split_is_refused():
    with pytest.raises(LabError, match=r"split: 'tset'.*did you mean 'test'"):
        load_set("sea-captain").split("tset")


def test_the_room_loads_neither_torch_nor_datasets():
    program = (
        "import sys, labs_lib.data as d; d.load_set('sea-captain');"
        "print({'torch', 'datasets', 'pandas', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr

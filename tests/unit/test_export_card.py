"""The model card: what the run says, what a person must say, what Hugging Face's tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from run_making import make_run

from labs_lib.errors import LabError
from labs_lib.export import unwritten, write_card
from labs_lib.models import BUNDLED_NAME
from labs_lib.training import Run

WRITTEN: dict[str, Any] = {
    "use": "Answers about orders.",
    "not_for": "Not for orders of medicine.",
    "limitations": "English alone.",
    "language": "en",
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "captain", BUNDLED_NAME)


def test_a_card_says_what_the_run_says_and_hugging_face_reads_it(run: Run):
    from huggingface_hub import ModelCard

    path = write_card(
        run.folder, intervals={"in_voice": (0.30, 0.95)}, baseline={"in_voice": 0.25}, **WRITTEN
    )
    card: Any = ModelCard.load(path)
    assert path == run.folder / "README.md"
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (card.data.license, card.data.language) == ("apache-2.0", "en")
    assert card.data.library_name == "peft"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("in_voice", 0.75)
    for said in (
        "| in voice | 0.0% | 25.0% | 75.0% | 30.0% to 95.0% | 4 |",
        "Held-out loss: 1.500 nats per token.",
        "Licence of the data: CC0-1.0",
        "| `rank` | 8 |",
        "train rows: 182",
        "| forecast | 1.00 GiB",
        "| peak memory | 1.00 GiB live tensors",
        "Not for orders of medicine.",
        "Q4_1",
    ):
        assert said in card.text, said
    assert "quantization" not in card.text  # LoRA has none
    assert unwritten(path) == unwritten(run.folder) == ()


def test_what_a_person_must_still_write_is_named(run: Run):
    path = write_card(run.folder, use=WRITTEN["use"])
    assert path.read_text().count("[More Information Needed]") == 2
    assert unwritten(path) == ("language", "not_for", "limitations")


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("Not for orders of medicine.", "", "not_for"),
        ("Not for orders of medicine.", "<!-- later -->", "not_for"),
        ("### Direct Use", "### Use", "use"),
        ("English alone.", "[More Information Needed]", "limitations"),
        ("license: apache-2.0\n", "", "licence"),
        ("Licence of the data: CC0-1.0", "[More Information Needed]", "Training Data"),
    ],
)
def test_a_card_edited_by_hand_is_read_again(run: Run, old: str, new: str, missing: str):
    path = write_card(run.folder, **WRITTEN)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if missing == "limitations":  # the run's own remarks are no person's sentences
        assert "Scored on 4 held-out rows" in path.read_text()
    assert unwritten(path) == (missing,)


def test_own_data_and_an_own_base_need_a_person_and_show_no_folder(tmp_path: Path):
    rows, base = tmp_path / "rows.jsonl", tmp_path / "my-base"
    rows.write_text("")
    base.mkdir()
    run = make_run(tmp_path / "own", base, dataset=str(rows))
    path = write_card(run.folder, **WRITTEN)
    assert unwritten(path) == ("licence", "base_model", "data_licence")
    assert str(tmp_path) not in path.read_text()
    assert "`my-base`" in path.read_text()
    assert "`rows.jsonl`" in path.read_text()
    path = write_card(run.folder, replace=True, licence="mit", data_licence="CC-BY-4.0", **WRITTEN)
    assert unwritten(path) == ("base_model",)


def test_a_sentence_is_text_and_no_template(run: Run):
    path = write_card(
        run.folder, **(WRITTEN | dict[str, Any](use="{{ card_data }} {% if x %} ---"))
    )
    assert "{{ card_data }} {% if x %} ---" in path.read_text()


def test_a_card_written_by_hand_is_not_overwritten(run: Run):
    path = write_card(run.folder, **WRITTEN)
    assert write_card(run.folder, **WRITTEN) == path  # the same text again
    path.write_text(path.read_text() + "\nMy own remarks.\n")
    with pytest.raises(LabError, match=r"README\.md is there already"):
        write_card(run.folder, **WRITTEN)
    assert "My own remarks" in path.read_text()
    write_card(run.folder, replace=True, **WRITTEN)
    assert "My own remarks" not in path.read_text()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"baseline": {"in_vioce": 0.5}}, "baseline: 'in_vioce' is not one of in_voice; did you"),
        ({"baseline": {"in_voice": 50}}, "baseline: in_voice: 50 is no share"),
        ({"intervals": {"in_voice": (0.1, 0.2)}}, "no interval from 0 to 1 around this run's"),
        ({"intervals": {"in_voice": (75, 80)}}, "no interval from 0 to 1 around this run's"),
        ({"language": "English"}, "language: 'English' is no ISO 639 code"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, given: dict[str, Any], line: str):
    with pytest.raises(LabError, match=line):
        write_card(run.folder, **given)
    assert not (run.folder / "README.md").exists()


@pytest.mark.parametrize("text", ["", "no metadata", "# Direct Use\n", "---\nlanguage: en\n---\n"])
def test_a_file_that_is_no_card_lacks_everything(tmp_path: Path, text: str):
    (tmp_path / "README.md").write_text(text)
    assert {"licence", "use", "not_for", "limitations"} <= set(unwritten(tmp_path))


@pytest.mark.parametrize(
    "text", [b"---\nlicense: [\n---\n# x", b"---\n- a\n---\n", b"\xff\xfe\x00"]
)
def test_a_file_that_cannot_be_read_as_a_card_is_one_line(tmp_path: Path, text: bytes):
    (tmp_path / "README.md").write_bytes(text)
    with pytest.raises(LabError, match=r"^card: .*README\.md"):
        unwritten(tmp_path)


def test_no_card_there_is_one_line(tmp_path: Path):
    with pytest.raises(LabError, match="card: cannot read"):
        unwritten(tmp_path)
    with pytest.raises(LabError, match="holds no finished run"):
        write_card(tmp_path)


def test_a_run_without_scores_says_so(tmp_path: Path):
    import dataclasses
    import json

    from labs_lib.training import Evaluation

    run = make_run(tmp_path / "unscored", BUNDLED_NAME)
    none = Evaluation((), (), {"in_voice": ()})
    run = dataclasses.replace(run, before=none, after=none)
    (run.folder / "run.json").write_text(json.dumps(run.as_dict()))
    text = write_card(run.folder).read_text()
    assert "Not scored: no held-out row was asked." in text
    assert "model-index" not in text


def test_labs_export_writes_a_card_and_says_what_is_missing(run: Run, tmp_path: Path):
    from labs_lib.cli import labs

    arguments = ["export", str(run.folder), "--to", "card", "--out", str(tmp_path / "card")]
    done = CliRunner().invoke(labs, arguments)
    assert done.exit_code == 0, done.output
    assert "still to be written by a person: language, use, not_for, limitations" in done.output
    assert (tmp_path / "card" / "README.md").is_file()

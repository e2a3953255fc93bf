"""The rubric: a hand-in as given, right, right in another style, and wrong in each way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from handin_making import (
    LAYERS,
    RANK,
    ROWS,
    WIDTH,
    WORDS,
    change,
    hand_in,
    unmet,
)

from labs_lib import data
from labs_lib.assessment.progress import read_events
from labs_lib.errors import LabError
from labs_lib.files import write_json
from labs_lib.handin import Said, check_handin, said, write_handin
from labs_lib.training import Run

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter for the bundled model, its numbers drawn and not trained."""
    import torch
    from peft import LoraConfig
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("handin") / "adapter"
    folder.mkdir()
    name = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for layer in range(LAYERS):
        tensors[name.format(layer, "A")] = torch.randn(RANK, WIDTH, generator=generator)
        tensors[name.format(layer, "B")] = torch.randn(WIDTH, RANK, generator=generator)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = LoraConfig(r=RANK, target_modules=["q_proj"], task_type="CAUSAL_LM")
    config.base_model_name_or_path = "smollm2-135m-instruct"
    config.save_pretrained(str(folder))
    return folder


# ---- blank, right, right in another style -------------------------------------------------------


def test_a_right_hand_in_meets_everything_and_is_recorded(tmp_path: Path, adapter: Path):
    rubric = check_handin(hand_in(tmp_path, adapter))
    assert unmet(rubric) == {}
    assert rubric.outcome == "correct"
    assert "7 of 7 met" in repr(rubric)
    assert "<table>" in rubric._repr_html_()
    events = [event for event in read_events()[0] if event["event"] == "answer"]
    assert [(event["id"], event["outcome"]) for event in events] == [("07.hand-in", "correct")]


def test_before_the_student_says_a_word_nothing_is_attempted(tmp_path: Path, adapter: Path):
    rubric = check_handin(hand_in(tmp_path, adapter, words=Said()))
    assert rubric.outcome == "not attempted"
    assert set(unmet(rubric)) == {
        "a choice, with its reason",
        "a conclusion that the rows bear out",
    }
    assert read_events()[0] == []


def test_another_style_is_as_right(tmp_path: Path, adapter: Path):
    """YAML written by hand, a bootstrap's interval, no entity, an honest tie."""
    from labs_lib.judging import bootstrap_interval

    tie = WORDS._replace(choice="prompt", conclusion="not shown")
    folder = hand_in(tmp_path, adapter, words=tie, right=30, best=29)
    content = json.loads((folder / "handin.json").read_text(encoding="utf-8"))
    marks = [1.0] * 30 + [0.0] * 10
    content |= {"interval": list(bootstrap_interval(marks, seed=5)), "entity": None}
    (folder / "handin.json").unlink()
    text = yaml.safe_dump(content, allow_unicode=True)
    (folder / "handin.yaml").write_text(text, encoding="utf-8")
    assert unmet(check_handin(folder)) == {}


def test_an_adapter_that_is_worse_can_be_handed_in_honestly(tmp_path: Path, adapter: Path):
    words = WORDS._replace(conclusion="worse")
    assert unmet(check_handin(hand_in(tmp_path, adapter, words, right=10, best=30))) == {}


# ---- wrong, each in one way ---------------------------------------------------------------------


def without_baselines(folder: Path) -> None:
    change(folder, baselines=[])


def one_baseline(folder: Path) -> None:
    content = json.loads((folder / "handin.json").read_text(encoding="utf-8"))
    change(folder, baselines=content["baselines"][:1])


def flattering_baseline(folder: Path) -> None:
    content = json.loads((folder / "handin.json").read_text(encoding="utf-8"))
    content["baselines"][1]["values"] = [0.0] * ROWS
    change(folder, baselines=content["baselines"])


def baseline_of_other_rows(folder: Path) -> None:
    content = json.loads((folder / "handin.json").read_text(encoding="utf-8"))
    for name in ("prompts", "answers", "values"):
        content["baselines"][1][name] = content["baselines"][1][name][:10]
    change(folder, baselines=content["baselines"])


def row_on_both_sides(folder: Path) -> None:
    """A leak that the run's own record agrees with."""
    path = folder / "data" / "train.jsonl"
    first = json.loads((folder / "data" / "test.jsonl").read_text(encoding="utf-8").split("\n")[0])
    first["prompt"] = first["prompt"].upper()
    path.write_text(path.read_text(encoding="utf-8") + json.dumps(first) + "\n", encoding="utf-8")
    record_rows(folder)


def shared_customer(folder: Path) -> None:
    path = folder / "data" / "train.jsonl"
    text = path.read_text(encoding="utf-8").replace("train-0", "test-0", 1)
    path.write_text(text, encoding="utf-8")
    record_rows(folder)


def other_rows(folder: Path) -> None:
    path = folder / "data" / "train.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(True)[:-1]), "utf-8")


def record_rows(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    run["data_fingerprint"] = data.resolve(str(folder / "data")).fingerprint
    write_json(folder / "run.json", run)


def blank_card(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    empty = Run.load(folder)
    from labs_lib.export import write_card

    (folder / "README.md").unlink()
    write_card(folder, folder)
    assert (folder / "README.md").read_text(encoding="utf-8") != card
    assert empty


def card_of_another_base(folder: Path) -> None:
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8").replace("SmolLM2-135M-Instruct", "SmolLM2-1.7B")
    path.write_text(text, encoding="utf-8")


def no_card(folder: Path) -> None:
    (folder / "README.md").unlink()


def zero_b(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({n: t * (0 if "lora_B" in n else 1) for n, t in tensors.items()}, path)


def cut_adapter(folder: Path) -> None:
    path = folder / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def no_adapter(folder: Path) -> None:
    shutil.rmtree(folder / "adapter")


def other_shapes(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "adapter" / "adapter_model.safetensors"
    save_file({n: t[..., :500].contiguous() for n, t in load_file(path).items()}, path)


CHOICE, BASELINES, INTERVAL, HELD_OUT, CONCLUSION, CARD_LINE, ADAPTER = (
    "a choice, with its reason",
    "baselines",
    "an interval",
    "held-out rows",
    "a conclusion that the rows bear out",
    "a complete model card",
    "an adapter that loads",
)

WRONG: list[tuple[Callable[[Path], None], str, str]] = [
    (lambda folder: change(folder, choice=None), CHOICE, "Nothing was chosen"),
    (lambda folder: change(folder, because="It is best."), CHOICE, "a reason of 3 words"),
    (without_baselines, BASELINES, "nothing says what training adds"),
    (one_baseline, BASELINES, "Only base model was scored"),
    (flattering_baseline, BASELINES, "its answers are worth 50%"),
    (baseline_of_other_rows, BASELINES, "its 10 answers are not those to the run's 40 test rows"),
    (lambda folder: change(folder, interval=None), INTERVAL, "has no interval"),
    (lambda folder: change(folder, interval=[0.89, 0.91]), INTERVAL, "not 89 to 91 %"),
    (row_on_both_sides, HELD_OUT, "1 row of the test, first row 0, were trained on too"),
    (shared_customer, HELD_OUT, "1 values of customer"),
    (other_rows, HELD_OUT, "fingerprints differ"),
    (lambda folder: change(folder, conclusion="not shown"), CONCLUSION, "You say not shown"),
    (lambda folder: change(folder, conclusion="worse"), CONCLUSION, "better"),
    (blank_card, CARD_LINE, "To be written"),
    (no_card, CARD_LINE, "README.md"),
    (card_of_another_base, CARD_LINE, "It names the base HuggingFaceTB/SmolLM2-1.7B"),
    (zero_b, ADAPTER, "never trained"),
    (cut_adapter, ADAPTER, "damaged or cut short"),
    (no_adapter, ADAPTER, "no folder"),
    (other_shapes, ADAPTER, "500"),
]


@pytest.mark.parametrize(("spoil", "criterion", "why"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_named(
    tmp_path: Path, adapter: Path, spoil: Callable[[Path], None], criterion: str, why: str
):
    folder = hand_in(tmp_path, adapter)
    spoil(folder)
    rubric = check_handin(folder)
    assert rubric.of(criterion).met is False
    assert why in rubric.of(criterion).why
    assert rubric.outcome == "incorrect"


def test_an_overclaimed_tie_is_not_met(tmp_path: Path, adapter: Path):
    rubric = check_handin(hand_in(tmp_path, adapter, right=31, best=29))
    assert list(unmet(rubric)) == [CONCLUSION]
    assert "You say better" in rubric.of(CONCLUSION).why


# ---- what cannot be judged ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("handin.json", "{", "not JSON"),
        ("handin.json", "[]", "holds no fields"),
        ("handin.json", '{"metric": "exact", "choise": "prompt"}', "choise"),
        ("handin.json", None, "no handin.json"),
        ("run.json", "{}", "damaged"),
        ("run.json", None, "no finished run"),
        ("data/test.jsonl", "not json", "test.jsonl"),
    ],
)
def test_a_damaged_file_leaves_the_rest_to_be_judged(
    tmp_path: Path, adapter: Path, file: str, content: str | None, why: str
):
    folder = hand_in(tmp_path, adapter)
    path = folder / file
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    rubric = check_handin(folder)
    told = [each for each in rubric.criteria if each.met is None]
    assert told
    assert all(why in each.why for each in told)
    assert rubric.met > 0
    assert rubric.outcome == "incorrect"


def test_no_folder_a_link_and_too_many_files_are_one_line_each(tmp_path: Path, adapter: Path):
    assert "no folder" in check_handin(tmp_path / "none").criteria[0].why
    folder = hand_in(tmp_path, adapter)
    for number in range(200):
        (folder / f"{number}.txt").touch()
    assert "at most 200" in check_handin(folder).criteria[0].why
    if hasattr(os, "symlink"):
        linked = tmp_path / "linked"
        linked.mkdir()
        (linked / "run.json").symlink_to(folder / "run.json")
        assert "is a link" in check_handin(linked).criteria[0].why


# ---- writing ------------------------------------------------------------------------------------


def test_the_students_words_come_from_the_progress_file():
    from labs_lib.assessment import predict

    assert said() == Said()
    predict("07.choice", "Fine-tune")
    predict("07.because", "The examples cost too much.")
    assert said() == Said("fine-tune", "The examples cost too much.")
    predict("07.conclusion", "much better")
    with pytest.raises(LabError, match="better, worse, not shown"):
        said()


def test_nothing_but_an_earlier_hand_in_is_replaced(tmp_path: Path, adapter: Path):
    folder = hand_in(tmp_path, adapter)
    run = Run.load(tmp_path / "run")
    assert write_handin(folder, run, [], metric="exact", words=WORDS) == folder
    assert check_handin(folder, record=False).of(BASELINES).met is False
    (folder / "handin.json").unlink()
    with pytest.raises(LabError, match="holds other files"):
        write_handin(folder, run, [], metric="exact", words=WORDS)
    (run.folder / "README.md").unlink()
    with pytest.raises(LabError, match="no model card"):
        write_handin(tmp_path / "new", run, [], metric="exact", words=WORDS)

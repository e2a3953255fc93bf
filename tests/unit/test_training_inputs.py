"""What a stranger brings to `train`: tokenizers, rows, recipes, and models that it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_training_checkpoints import Telling
from training_inputs import GPT2, SHAPE, make, rows_file, short, with_template

from labs_lib import data, models
from labs_lib.errors import LabError
from labs_lib.training import Recipe, Run, train
from labs_lib.training.encoding import Encoder
from labs_lib.training.engine import trainer as trainer_module
from labs_lib.training.progress import Silent

# --- rows as tokens -------------------------------------------------------------------------------


def test_rows_are_encoded_as_trl_encodes_them(tiny_model: Path, tmp_path: Path) -> None:
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    model, tokenizer = models.load(str(tiny_model), dtype="fp32")
    rows = data.load_set("sea-captain").train[:6]
    options: dict[str, Any] = {"use_cpu": True, "bf16": False, "report_to": "none"}
    theirs: Any = SFTTrainer(
        model=model,
        args=SFTConfig(output_dir=str(tmp_path), max_length=50, **options),
        train_dataset=data.to_hf(rows),
        processing_class=tokenizer,
    ).train_dataset
    ours = Encoder(tokenizer, 50).dataset(rows)
    assert ours["input_ids"][:] == theirs["input_ids"][:]
    assert ours["labels"][:] == theirs["labels"][:]


def test_without_a_chat_template_a_row_is_plain_text_with_the_end_token(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = with_template(make(tmp_path / "model", tiny_model, "gpt2", **GPT2), None)
    tokenizer: Any = models.load_tokenizer(str(folder))
    encoded = Encoder(tokenizer, 256).encode(data.Row("Where is Rome?", "In Italy.", system="Say."))
    learnt = [label for label in encoded.labels if label >= 0]
    assert tokenizer.decode(learnt) == "In Italy." + tokenizer.eos_token
    assert tokenizer.decode(encoded.input_ids).startswith("Say.\nWhere is Rome?In Italy.")
    run = train(short(folder), tmp_path / "run", progress=Silent())
    assert run.losses


def test_rows_that_do_not_fit_are_counted_and_told(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "Hi", "completion": "Ho"}] * 10
    rows += [{"prompt": "Hi", "completion": "Ho " * 100}] * 6 + [
        {"prompt": "Hi " * 100, "completion": "Ho"}
    ] * 4
    path.write_text(
        "".join(
            json.dumps({**r, "prompt": f"{n} {r['prompt']}"}) + "\n" for n, r in enumerate(rows)
        )
    )
    progress = Telling()
    run = train(
        short(tiny_model, dataset=str(path), max_length=64), tmp_path / "run", progress=progress
    )
    counts = run.rows
    assert counts["max_length"] == 64
    for name, expected in (("used", 16), ("cut", 6), ("dropped", 4)):
        assert counts["train"][name] + counts["validation"][name] == expected
    (line,) = [
        text for text in progress.told if text.startswith("training rows beyond max_length 64")
    ]
    assert f"{counts['train']['dropped']} of" in line
    assert f"{counts['train']['cut']} cut" in line
    assert f"{counts['train']['cut']} of them cut" in dict(run.table())["train rows"]
    assert Run.load(run.folder) == run


@pytest.mark.parametrize("max_length", [8, 20])
def test_when_nothing_fits_max_length_is_named(
    max_length: int, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match=rf"^max_length: {max_length} leaves no token"):
        train(short(tiny_model, max_length=max_length), tmp_path / "run", progress=Silent())
    assert not (tmp_path / "run").exists()


def test_without_validation_rows_that_fit_there_is_no_loss_and_it_is_said(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tuple(data.Row("word " * 100, "answer") for _ in range(3))
    rows = tuple(data.Row(f"q {n}", "a") for n in range(5))
    monkeypatch.setattr(data, "resolve", lambda *_, **__: data.DataSet("mine", rows, long, ()))
    run = train(short(tiny_model, max_length=64), tmp_path / "run", progress=Silent())
    assert run.after.loss is None
    table = dict(run.table())
    assert table["held-out loss"] == "not measured: no validation row fits max_length 64"
    assert table["score"] == "not scored: no test rows"
    assert repr(run).endswith("not scored")
    assert run.scores() == {}


# --- what a library refuses -----------------------------------------------------------------------

NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
)
EACH = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
TEMPLATES = {
    NO_SYSTEM + EACH: "dataset: .*system message, .* refuses: 'no system role'",
    "{{ messages[0": "dataset: .*refuses",
    "{% for i in range(10**9) %}x{% endfor %}": "dataset: .*refuses",
    "{{ messages.__init__.__globals__ }}": "chat template: .*no template may",
    "{{ 1 // 0 }}": "dataset: .*refuses",
    "{{ messages[9].content.x.y }}": "dataset: .*refuses",
    "{# nothing #}": "dataset: .*none of the 1. training rows has an answer",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_that_refuses_a_row_is_one_line(
    template: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = with_template(Path(shutil.copytree(tiny_model, tmp_path / "model")), template)
    rows = rows_file(tmp_path / "rows.jsonl", 18, system="Be brief.")
    with pytest.raises(LabError, match=rf"^{TEMPLATES[template]}"):
        train(short(folder, dataset=rows), tmp_path / "run", progress=Silent())
    assert not (tmp_path / "run").exists()


def test_a_chat_template_is_tried_once_for_all_prompts(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried in a process of its own, which takes a moment to start."""
    from labs_lib.models import chat

    real, started = chat.run_bounded, []

    def counted(program: Any, request: Any) -> Any:
        started.append(program)
        return real(program, request)

    monkeypatch.setattr(chat, "run_bounded", counted)
    folder = with_template(Path(shutil.copytree(tiny_model, tmp_path / "model")), EACH)
    encoder = Encoder(models.load_tokenizer(str(folder)), 256)
    started.clear()  # loading tried it on an exchange of its own
    rows = [data.Row(f"What is {number}?", "A number.") for number in range(6)]
    assert [len(ids) > 3 for ids in encoder.prompts_ids(rows)] == [True] * 6
    assert started == ["render"]


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the head": ({}, {"target_modules": "lm_head"}, "'lm_head' is the output head"),
    "the head among others": ({}, {"target_modules": ["q_proj", "lm_head"]}, "is the output head"),
    "a map that PEFT refuses": (
        {"family": "mamba"},
        {},
        "'out_proj' is incompatible",
    ),
    "no such module": ({}, {"target_modules": "embed_tokens"}, "target_modules: 'embed_tokens'"),
    "tokens beyond the vocabulary": ({"vocab_size": 20000}, {}, "its vocabulary has 20,000"),
    "a model that reads both ways": ({"family": "bert"}, {}, "reads both ways"),
    "more rows than a list holds": (
        {},
        {"steps": 10**6, "batch_size": 4096},
        "steps: 1,000,000 of 4,096 rows",
    ),
}


@pytest.mark.seconds
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_is_one_line(case: str, tiny_model: Path, tmp_path: Path) -> None:
    config, changes, expected = REFUSED[case]
    folder = make(tmp_path / "model", tiny_model, **config)
    with pytest.raises(LabError, match=expected):
        train(short(folder, **changes), tmp_path / "run", progress=Silent())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("places", "changes", "expected"),
    [
        (32, {}, "^max_length: 256 lets a row of .* 32 positions"),
        (128, {"eval_tokens": 110}, "^eval_tokens: 110 after a prompt"),
    ],
)
def test_positions_beyond_the_models_table(
    places: int, changes: dict[str, Any], expected: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = make(tmp_path / "model", tiny_model, "gpt2", **GPT2, n_positions=places)
    with pytest.raises(LabError, match=expected):
        train(short(folder, **changes), tmp_path / "run", progress=Silent())


def test_full_fine_tuning_of_a_4_bit_base_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    wide = make(tmp_path / "wide", tiny_model, hidden_size=64, intermediate_size=128)
    model, tokenizer = models.load(str(wide), quantization="nf4", dtype="fp32")
    model.save_pretrained(tmp_path / "packed")
    tokenizer.save_pretrained(tmp_path / "packed")
    with pytest.raises(LabError, match=r"^method: full: .* stored quantized"):
        train(short(tmp_path / "packed", method="full"), tmp_path / "run", progress=Silent())


MEMORY: dict[str, Callable[[], Exception]] = {
    "MemoryError": lambda: MemoryError(),
    "torch's allocator": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 99 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "numpy's": lambda: MemoryError("Unable to allocate 8.00 TiB for an array"),
}


@pytest.mark.seconds
@pytest.mark.parametrize("case", MEMORY)
def test_too_little_memory_is_one_line(
    case: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: Any) -> Any:
        raise MEMORY[case]()

    monkeypatch.setattr(trainer_module.MeasuringTrainer, "training_step", run_out)
    with pytest.raises(LabError, match=r"^out of memory: .*Change, first to last: "):
        train(short(tiny_model), tmp_path / "run", progress=Silent())


@pytest.mark.seconds
def test_what_was_done_with_the_data_is_told(tmp_path: Path, tiny_model: Path):
    progress = Telling()
    rows = tmp_path / "rows.jsonl"
    rows_file(rows)
    rows.write_text(rows.read_text() + rows.read_text().splitlines()[0])
    train(short(tiny_model, dataset=str(rows)), tmp_path / "run", progress=progress)
    told = [line for line in progress.told if line.startswith("data: ")]
    assert told == [
        "data: rows: 11 train, 1 validation, 0 test rows",
        "data: 1 duplicate row left out: line 13 (as line 1)",
        "data: 1 of 12 rows held out for validation by seed 0",
        "data: no test rows; a split field of test makes a row one",
    ]


def test_the_positions_of_an_images_encoder_do_not_count() -> None:
    """Its table of patches is short, and rows of text go past it."""
    from transformers import AutoModelForCausalLM, Gemma3Config

    from labs_lib.training.encoding import _places

    text = {**SHAPE, "vocab_size": 64, "head_dim": 8, "pad_token_id": 0}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=vision, image_token_index=5)
    model = AutoModelForCausalLM.from_config(config)
    tables = [name for name, _ in model.named_modules() if name.endswith("position_embedding")]
    assert tables
    assert _places(model) is None


# A count as people write it, and what YAML makes of it → the count; None: refused.
COUNTS = [(1e3, 1000), (8.0, 8), (8.5, None), (float("inf"), None), (float("nan"), None)]


@pytest.mark.parametrize("field", ["steps", "batch_size", "max_length", "train_rows"])
@pytest.mark.parametrize(("given", "count"), COUNTS)
def test_a_whole_number_may_be_written_as_a_float(
    field: str, given: float, count: int | None
) -> None:
    fields = {"steps": 2, field: given}
    if count is not None:
        assert getattr(Recipe.of(**fields), field) == count
        return
    with pytest.raises(LabError, match=f"{field}: "):
        Recipe.of(**fields)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"steps": None}, "recipe: give steps or epochs"),
        ({"steps": 2, "warmup_steps": 2}, "recipe: warmup_steps must be below steps (2)"),
    ],
)
def test_fields_that_do_not_go_together_are_named_alone(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(LabError) as caught:
        Recipe.of(**fields)
    assert str(caught.value) == line

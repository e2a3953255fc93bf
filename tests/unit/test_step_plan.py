"""A recipe is a step with data and schedule: both forecast alike, by one mapping of names."""

import json

import pytest

from labs_lib import cli
from labs_lib.errors import LabError
from labs_lib.memory import MemoryRequest, forecast
from labs_lib.step.plan import Step, StepSettings
from labs_lib.training.recipe import STEP_NAMES, Recipe

RECIPE = """
model: llama-2-7b
method: qlora
rank: 16
target_modules: [q_proj, v_proj, down_proj]
batch_size: 2
max_length: 512
double_quantization: false
accumulation: 4
checkpointing: true
optimizer: paged_adamw_8bit
steps: 3
"""
SAME = {
    "method": "qlora",
    "rank": 16,
    "targets": "q_proj,v_proj,down_proj",
    "batch": 2,
    "seq_len": 512,
    "double_quant": False,
    "accumulation": 4,
    "checkpointing": True,
    "optimizer": "paged_adamw_8bit",
    "precision": "mixed",
    "prepare_kbit": True,
}


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def memory(capsys, *arguments, status=0):
    with pytest.raises(SystemExit) as ended:
        cli.main(["memory", *map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert ended.value.code == status, printed.err
    return json.loads(printed.out)


def test_a_recipe_asks_for_the_step_that_the_options_ask_for(recipe_file, capsys):
    assert Recipe.from_yaml(recipe_file).step() == MemoryRequest(model="llama-2-7b", **SAME)
    assert memory(capsys, recipe_file)["peak_bytes"] == forecast("llama-2-7b", **SAME).peak_bytes


def test_options_that_are_given_change_the_recipe(recipe_file, capsys):
    found = memory(capsys, recipe_file, "--batch", 1, "--method", "full", "--card", "T4", status=1)
    assert found["request"]["batch"] == 1
    assert found["request"]["seq_len"] == 512  # the option's default changes nothing
    assert found["request"]["precision"] == "mixed"
    assert not found["request"]["prepare_kbit"]
    assert found["fit"]["card"] == "T4"
    given = memory(capsys, recipe_file, "--method", "full", "--precision", "bf16")
    assert given["request"]["precision"] == "bf16"


def test_a_recipe_of_the_course_is_found_from_anywhere(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert memory(capsys, "sea-captain.yaml")["request"]["model"] == "smollm2-135m-instruct"


def test_a_recipe_that_is_wrong_is_one_line(recipe_file, capsys):
    recipe_file.write_text("rnak: 8\n", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        cli.main(["memory", str(recipe_file)])
    line = capsys.readouterr().err
    assert ended.value.code == 2
    assert "did you mean 'rank'?" in line
    assert len(line.strip().splitlines()) == 1


def test_the_mapping_names_every_field_that_differs():
    """A field of the step that a recipe decides stands in the base they share, or in the map."""
    own_to_the_forecast = {"precision", "adapter_precision", "prepare_kbit", "attention"}
    own_to_the_forecast |= {"dora", "device"}
    mapped = {*StepSettings.model_fields, *STEP_NAMES, *own_to_the_forecast}
    assert mapped == set(Step.model_fields)
    assert set(STEP_NAMES.values()) <= set(Recipe.model_fields)


def test_a_trainer_in_bf16_multiplies_under_autocast():
    full = Recipe.of(method="full", steps=1)
    assert full.step().precision == "mixed"
    assert full.step("fp32").precision == "fp32"
    assert full.but(precision="fp32").step("bf16").precision == "fp32"
    lora = full.but(method="lora").step("bf16")
    assert (lora.precision, lora.weight_itemsize) == ("mixed", 2)
    assert full.step().weight_itemsize == 4


def test_an_optimizer_of_a_recipe_is_one_that_the_trainer_has():
    assert Recipe.of(steps=1, optimizer="adamw_torch").optimizer == "adamw"
    with pytest.raises(LabError, match="no such optimizer"):
        Recipe.of(steps=1, optimizer="adamw_32bit")
    with pytest.raises(LabError, match="optimizer: 'adamm'"):
        Recipe.of(steps=1, optimizer="adamm")


def test_a_note_of_an_older_recipe_is_completed_with_defaults():
    recipe = Recipe.of(steps=3)
    older = {name: value for name, value in recipe.model_dump().items() if name != "optimizer"}
    assert Recipe.recorded(older) == recipe.model_dump()

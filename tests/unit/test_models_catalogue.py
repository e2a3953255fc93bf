"""The catalogue against the real transformers classes, built on the meta device."""

import copy
import subprocess
import sys

import pytest

from labs_lib.errors import LabError
from labs_lib.models import catalogue, config_of, entry


@pytest.fixture(scope="module")
def build():
    import torch
    from transformers import AutoModelForCausalLM

    def build(name):
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config_of(name))

    return build


@pytest.mark.parametrize("name", list(catalogue()))
def test_entry_agrees_with_the_real_class(name, build):
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    model, shapes = build(name), entry(name)
    assert type(model).__name__ == shapes.family.architecture
    assert model.num_parameters() == shapes.parameters

    expected = shapes.linear_modules()
    found = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not model.get_output_embeddings()
    }
    assert found.keys() == expected.keys()
    for path, linear in expected.items():
        module = found[path]
        size = (linear.out_features, linear.in_features)
        assert isinstance(module, Conv1D) == shapes.fan_in_fan_out
        assert tuple(module.weight.shape) == (size[::-1] if shapes.fan_in_fan_out else size), path
        assert (module.bias is not None) == linear.bias, path
        assert sum(p.numel() for p in module.parameters()) == linear.parameters

    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert tuple(embedding.shape) == (shapes.vocab_size, shapes.hidden_size)
    assert (head is embedding) == shapes.tie_word_embeddings
    assert model.config.max_position_embeddings == shapes.max_positions


# Billions of parameters as the model cards and papers print them.
PUBLISHED = {
    "llama-3.1-8b": 8.03,
    "llama-3.1-70b": 70.6,
    "llama-3.1-405b": 406,
    "llama-3.3-70b-instruct": 70.6,
    "qwen2.5-14b": 14.7,
    "qwen2.5-32b": 32.8,
    "qwen2.5-72b": 72.7,
    "qwen3-8b": 8.19,
    "qwen3-14b": 14.8,
    "qwen3-32b": 32.8,
    "qwen3-30b-a3b": 30.5,
    "gemma-2-2b": 2.61,
    "gemma-2-9b": 9.24,
    "gemma-2-27b": 27.2,
    "gemma-3-270m": 0.268,
    "gemma-3-1b": 1.0,
    "phi-3-mini-4k-instruct": 3.82,
    "phi-4-mini-instruct": 3.84,
    "phi-4": 14.7,
    "mistral-nemo-12b": 12.2,
    "mistral-small-24b": 23.6,
    "mixtral-8x7b": 46.7,
    "mixtral-8x22b": 141,
    "smollm3-3b": 3.08,
    "olmo-2-1b": 1.48,
    "olmo-2-7b": 7.3,
    "olmo-2-13b": 13.7,
    "olmo-2-32b": 32.2,
    "gpt-oss-20b": 20.91,
    "gpt-oss-120b": 116.83,
    "deepseek-v2-lite": 15.7,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_parameters_are_the_published_number(name):
    assert entry(name).parameters / 1e9 == pytest.approx(PUBLISHED[name], rel=0.005)


def test_the_promised_models_are_there():
    promised = """smollm2-135m-instruct smollm2-360m-instruct smollm2-1.7b-instruct gpt2 llama-2-7b
        llama-2-13b llama-2-70b llama-3-8b llama-3-70b falcon-7b mistral-7b qwen2.5-0.5b
        qwen2.5-7b llama-33b"""
    assert set(promised.split()) <= set(catalogue())
    assert [name for name, model in catalogue().items() if model.bundled] == [
        "smollm2-135m-instruct"
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("llama-2-7b", "llama-2-7b"),
        ("LLAMA-2-7B", "llama-2-7b"),
        ("meta-llama/Llama-2-7b-hf", "llama-2-7b"),
        ("meta-llama/llama-2-7b-HF", "llama-2-7b"),
        ("HuggingFaceTB/SmolLM2-135M", "smollm2-135m"),
        ("smollm2-135m", "smollm2-135m"),
        ("gpt2", "gpt2"),
        ("tiiuae/falcon-7b", "falcon-7b"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct"),
        ("Qwen2.5-7B", "qwen2.5-7b"),
    ],
)
def test_names_in_any_case(given, expected):
    assert entry(given).name == expected


def test_a_sibling_has_the_shapes_and_no_more_of_the_model_beside_it():
    for model in catalogue().values():
        assert entry(model.name) is entry(model.hub_name) is model
        for name in model.same_shapes:
            sibling = entry(name)
            assert sibling.hub_name == name != model.hub_name
            assert sibling.config == model.config
            assert not sibling.bundled
            assert entry(name.rpartition("/")[2].swapcase()) == sibling


def test_no_name_stands_for_two_models():
    hub_names = [
        name for model in catalogue().values() for name in (model.hub_name, *model.same_shapes)
    ]
    lowered = [name.lower() for name in hub_names]
    assert len(set(lowered)) == len(lowered)
    shorts = [name.rpartition("/")[2] for name in lowered]
    assert len(set(shorts)) == len(shorts)
    for name in catalogue():  # a catalogue name is no other model's short name
        assert name not in shorts or entry(name).hub_name.lower().endswith(f"/{name}")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("lama-2-7b", "llama-2-7b"), ("tiiuae/falcn-7b", "tiiuae/falcon-7b"), ("gtp2", "gpt2")],
)
def test_misspelt_name_gets_the_nearest(given, nearest):
    with pytest.raises(LabError, match=f"did you mean '{nearest}'"):
        entry(given)


def test_entries_are_frozen_and_closed():
    model = entry("gpt2")
    with pytest.raises(ValueError, match="frozen"):
        model.parameters = 1
    with pytest.raises(ValueError, match="extra"):
        type(model)(**{**model.model_dump(by_alias=True), "color": "red"})


def test_importing_the_room_loads_no_torch():
    program = (
        "import sys, labs_lib.models as m; m.entry('gpt2').linears; "
        "m.resolve_targets(m.entry('gpt2'), 'attention'); "
        "print([x for x in ('torch', 'transformers', 'peft') if x in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_a_configuration_leaves_its_entry_as_it_is():
    entries = catalogue()
    before = copy.deepcopy({name: entry.config for name, entry in entries.items()})
    for name in entries:
        config_of(name)
    assert {name: entry.config for name, entry in entries.items()} == before

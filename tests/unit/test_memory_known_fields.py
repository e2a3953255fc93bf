"""The formula answers only for what it knows; each field away from that is fitted to traces."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from labs_lib import cli
from labs_lib.errors import LabError
from labs_lib.memory import estimate, forecast, trace
from labs_lib.memory.known_fields import NoFormulaError, families, understood
from labs_lib.models.catalogue import catalogue, config_of

CASES = yaml.safe_load(
    Path(__file__).with_name("memory_cases").joinpath("known_fields.yaml").read_text("utf-8")
)
GATED = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 64,
}
SMALL = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 128, "n_positions": 64},
    "falcon": {
        name: GATED[name]
        for name in GATED
        if name not in ("intermediate_size", "num_key_value_heads")
    },
}


def small(kind: str) -> dict:
    """Return the fields of a small model of a family."""
    return {"model_type": kind, **SMALL.get(kind, GATED)}


def write(folder: Path, fields: dict) -> str:
    """Write a config.json and return its path."""
    path = folder / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return str(path)


def real_parameters(config) -> int:
    """Count the parameters of transformers' own model, tied ones once."""
    import torch
    import transformers

    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(config))
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "name", [n for n, entry in catalogue().items() if entry.family.model_type in families()]
)
def test_the_formula_counts_every_catalogue_model_as_transformers_does(name):
    entry = catalogue()[name]
    assert understood({"model_type": entry.family.model_type, **entry.config})
    found = forecast(name, method="full", seq_len=8).total_parameters
    assert found == real_parameters(config_of(name))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}-{case['changes']}")
def test_who_answers_and_that_the_parameters_are_right(case, tmp_path):
    import transformers

    path = write(tmp_path, small(case["kind"]) | case["changes"])
    found = estimate(path, method="full", seq_len=16)
    assert found.source == case["by"]
    if case["by"] == "fitted":
        assert len(found.notes) == 1
        assert found.notes[0].startswith("Fitted to traces: ")
        assert case["says"] in found.notes[0]
    else:
        assert found.notes == ()
    config = transformers.AutoConfig.from_pretrained(path)
    assert found.total_parameters == real_parameters(config)
    traced = trace(path, method="full", seq_len=16)
    assert found.weights_bytes == traced.weights_bytes
    within = 0.03 if case["by"] == "closed form" else 1e-4
    assert found.peak_bytes == pytest.approx(traced.peak_bytes, rel=within)


@pytest.mark.parametrize("kind", families())
def test_what_config_json_leaves_out_is_what_transformers_takes(kind, tmp_path):
    import transformers

    needed = {"hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"}
    needed |= {"max_position_embeddings", "n_embd", "n_layer", "n_head", "n_positions"}
    fields = {k: v for k, v in small(kind).items() if k in needed or k == "model_type"}
    fields["num_attention_heads" if "n_head" not in fields else "n_head"] = 32
    path = write(tmp_path, fields)
    config = transformers.AutoConfig.from_pretrained(path)
    assert forecast(path, method="full", seq_len=8).total_parameters == real_parameters(config)


@pytest.mark.parametrize("kind", families())
def test_no_field_of_the_class_changes_the_model_behind_the_formulas_back(kind, tmp_path):
    """Every field of the class is turned: the formula says so, or still counts right."""
    import transformers

    turned = 0
    for name, value in transformers.CONFIG_MAPPING[kind]().to_dict().items():
        if isinstance(value, bool):
            other = not value
        elif isinstance(value, (int, float)) and name not in small(kind):
            other = value + 2
        else:
            continue
        fields = small(kind) | {name: other}
        path = write(tmp_path, fields)
        try:
            counted = forecast(path, method="full", seq_len=8).total_parameters
        except LabError:
            continue
        try:
            config = transformers.AutoConfig.from_pretrained(path)
            counted_there = real_parameters(config)
        except Exception:  # transformers itself has no such model
            continue
        turned += 1
        assert counted == counted_there, (name, other)
    assert turned >= 5


def test_mistral_nemo_has_its_published_parameters(tmp_path):
    nemo = {
        "model_type": "mistral",
        "hidden_size": 5120,
        "intermediate_size": 14336,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 131072,
        "max_position_embeddings": 131072,
        "sliding_window": None,
    }
    path = write(tmp_path, nemo)
    assert forecast(path, method="full").total_parameters == 12_247_782_400
    assert estimate(path, method="lora").source == "closed form"


@pytest.mark.parametrize("fields", [{}, {"checkpointing": True}, {"attention": "eager"}])
def test_a_text_beyond_the_sliding_window_pays_for_its_mask(fields, tmp_path):
    wide = {"hidden_size": 256, "intermediate_size": 688, "max_position_embeddings": 1024}
    path = write(tmp_path, small("mistral") | wide | {"sliding_window": 256, "vocab_size": 2000})
    formula, traced = (by(path, method="lora", seq_len=1024, **fields) for by in (forecast, trace))
    assert formula.peak_bytes == pytest.approx(traced.peak_bytes, rel=0.03)


def test_where_nothing_can_be_traced_a_line_names_the_field(tmp_path):
    from labs_lib.widgets.memory_planner import MemoryPlanner

    path = write(tmp_path, small("llama") | {"mlp_bias": True})
    with pytest.raises(NoFormulaError, match="does not know mlp_bias: True; `estimate` and"):
        forecast(path)
    planner = MemoryPlanner(tracing=False, model=path)
    assert "does not know mlp_bias" in planner.trouble


def test_the_command_fits_and_says_so(tmp_path, capsys):
    path = write(tmp_path, small("llama") | {"mlp_bias": True})
    with pytest.raises(SystemExit) as ended:
        cli.main(["memory", path, "--seq-len", "16"])
    assert ended.value.code == 0
    assert "does not know mlp_bias: True" in " ".join(capsys.readouterr().out.split())

"""Any architecture: what can be traced runs for real to the same bytes, the rest says why."""

import json
from pathlib import Path

import pytest
import yaml

from labs_lib import cli
from labs_lib.errors import LabError
from labs_lib.memory import estimate, fit, measure, trace
from labs_lib.memory.fitting import _largest

CASES = yaml.safe_load(
    Path(__file__).with_name("memory_cases").joinpath("architectures.yaml").read_text("utf-8")
)
TRACED = {kind: case for kind, case in CASES.items() if "notes" in case}
REFUSED = {kind: case for kind, case in CASES.items() if "reason" in case}
# Bart's masks are made anew for each stack on shapes, where real values show that none is needed.
WITHIN = {"bart": 0.01}


def write(folder: Path, fields: dict) -> str:
    """Write a config.json and return its path."""
    path = folder / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return str(path)


@pytest.mark.seconds
@pytest.mark.parametrize("kind", TRACED)
def test_the_traced_peak_is_that_of_a_real_step(kind, tmp_path):
    path = write(tmp_path, {"model_type": kind, **CASES[kind]["config"]})
    found = measure(path, method="lora", precision="fp32", batch=2, seq_len=16)
    assert found.peak_bytes == pytest.approx(found.forecast.peak_bytes, rel=WITHIN.get(kind, 1e-4))
    assert list(found.forecast.notes) == CASES[kind]["notes"]
    targets = CASES[kind].get("targets")
    assert targets is None or list(found.forecast.request.targets or ()) == targets


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gemma2", "gemma3", "mixtral", "deepseek_v3", "gpt_neox", "t5"])
@pytest.mark.parametrize(
    "fields",
    [
        {"method": "full", "precision": "fp32"},
        {"method": "lora", "precision": "bf16", "targets": "all-linear", "checkpointing": True},
    ],
    ids=("full", "all-linear"),
)
def test_other_methods_hold_too(kind, fields, tmp_path):
    path = write(tmp_path, {"model_type": kind, **CASES[kind]["config"]})
    found = measure(path, batch=2, seq_len=16, **fields)
    assert found.peak_bytes == pytest.approx(found.forecast.peak_bytes, rel=WITHIN.get(kind, 1e-4))


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_traced_says_which_part_and_why(kind, tmp_path, capsys):
    path = write(tmp_path, {"model_type": kind, **CASES[kind]["config"]})
    with pytest.raises(SystemExit) as ended:
        cli.main(["memory", path, "--trace"])
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert CASES[kind]["reason"] in printed.err


# Depth -------------------------------------------------------------------------------------

DEEP = {
    "alternating": ("gemma2", {"num_hidden_layers": 8}),
    "dense-before-experts": ("deepseek_v3", {"num_hidden_layers": 9, "first_k_dense_replace": 2}),
    "one-in-three": (
        "gemma3_text",
        {
            "num_hidden_layers": 14,
            "layer_types": (["sliding_attention"] * 2 + ["full_attention"]) * 4
            + ["sliding_attention"] * 2,
        },
    ),
    "beside-a-vision-tower": ("llava", {}),
    "decoder-behind-an-encoder": ("bart", {"decoder_layers": 7}),
    "mixed-without-a-pattern": (
        "gemma3_text",
        {
            "num_hidden_layers": 5,
            "layer_types": ["full_attention"] + ["sliding_attention"] * 3 + ["full_attention"],
        },
    ),
}


@pytest.mark.seconds
@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_repeated_layers_give_the_whole_model_to_the_byte(name, method, tmp_path):
    kind, changes = DEEP[name]
    fields = {"model_type": kind, **CASES[kind]["config"], **changes}
    if kind == "llava":
        fields["text_config"] = {**fields["text_config"], "num_hidden_layers": 7}
    path = write(tmp_path, fields)
    quick, slow = (trace(path, method=method, seq_len=16, whole=whole) for whole in (False, True))
    assert quick.peak_bytes == slow.peak_bytes
    assert quick.at_peak == slow.at_peak
    assert quick.moments == slow.moments
    for figure in ("total_parameters", "trainable_parameters", "weights_bytes", "optimizer_bytes"):
        assert getattr(quick, figure) == getattr(slow, figure)


def test_layers_that_repeat_are_not_all_traced(tmp_path):
    import transformers

    from labs_lib.memory.building import plan_of
    from labs_lib.memory.request import request_of

    kind, changes = DEEP["one-in-three"]
    fields = CASES[kind]["config"] | changes
    config = transformers.AutoConfig.for_model(kind, **fields)
    pattern = plan_of(config, request_of("any", seq_len=16)).pattern
    assert pattern is not None
    assert (pattern.prefix, pattern.period, pattern.shallow) == (0, 3, (8, 11))


def test_an_adapter_on_one_layer_is_counted_once(tmp_path):
    path = write(tmp_path, {"model_type": "llama", **CASES["llama"]["config"]})
    deep = {**json.loads(Path(path).read_text()), "num_hidden_layers": 6, "attention_bias": True}
    path = write(tmp_path, deep)
    one = trace(path, seq_len=16, targets="model.layers.5.self_attn.q_proj", rank=4)
    assert one.trainable_parameters == 4 * (32 + 32)


# Experts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "deepseek_v3"])
def test_all_linear_counts_what_peft_counts(kind, tmp_path):
    import peft
    import torch
    import transformers

    path = write(tmp_path, {"model_type": kind, **CASES[kind]["config"]})
    config = transformers.AutoConfig.from_pretrained(path)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules="all-linear"))
    trainable, total = wrapped.get_nb_trainable_parameters()
    found = estimate(path, rank=8, targets="all-linear", seq_len=16)
    assert (found.trainable_parameters, found.total_parameters) == (trainable, total)


# A card ------------------------------------------------------------------------------------


def test_a_card_is_answered_for_a_traced_model(tmp_path, capsys):
    path = write(tmp_path, {"model_type": "gpt_neox", **CASES["gpt_neox"]["config"]})
    with pytest.raises(SystemExit) as ended:
        cli.main(["memory", path, "--seq-len", "16", "--card", "T4", "--trace", "--json"])
    content = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert content["source"] == "trace"
    assert content["fit"]["fits"]
    assert content["fit"]["spare_bytes"] == content["fit"]["usable_bytes"] - content["peak_bytes"]
    assert content["fit"]["largest"]["seq_len"] == 64


@pytest.mark.slow
def test_the_formula_and_the_trace_find_the_same_largest_batch():
    largest = [
        fit(estimate("gpt2", seq_len=1024).request, "T4", by=by).largest_batch
        for by in (estimate, trace)
    ]
    assert largest[0] == pytest.approx(largest[1], abs=1)


@pytest.mark.parametrize("room", [0, 5, 50, 51, 99, 100, 12_345, 10**9])
def test_the_largest_is_found_in_few_steps(room):
    asked = []

    def peak(value: int) -> int:
        asked.append(value)
        return max(50, 7 * value, value * value // 40)

    found = _largest(peak, room, 1, 4096)
    steps = len(asked)
    assert found == max((v for v in range(1, 4097) if peak(v) <= room), default=0)
    assert steps <= 24  # twice what halving takes


def test_a_name_that_is_nowhere_is_still_one_line():
    with pytest.raises(LabError, match="did you mean 'gpt2'"):
        estimate("gpt3")

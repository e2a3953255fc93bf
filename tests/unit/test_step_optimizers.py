"""An optimizer is one entry of a table: the formula, the trace and the command line know it."""

import json

import pytest
from click.testing import CliRunner

from labs_lib.commands.memory import command
from labs_lib.errors import LabError
from labs_lib.memory import forecast, trace
from labs_lib.step.optimizers import OPTIMIZERS, Optimizer, from_bitsandbytes, optimizer_name
from labs_lib.step.states import EightBitStates, FactoredStates, WholeStates


def _momentum(parameters, learning_rate, device):
    import torch

    return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, foreach=device == "cuda")


NEW = {
    "sgd_momentum": Optimizer(
        "one state in the parameter's precision",
        build=_momentum,
        states=WholeStates(1),
        optim=None,
    ),
    "lion_8bit": Optimizer(
        "one 8-bit state with one fp32 absmax for 256 values",
        build=from_bitsandbytes("Lion8bit"),
        states=EightBitStates(1),
        optim="lion_8bit",
        library="bitsandbytes",
    ),
}


@pytest.fixture(params=NEW)
def new_optimizer(request, monkeypatch):
    """Add one entry to the table, and nothing else anywhere."""
    monkeypatch.setitem(OPTIMIZERS, request.param, NEW[request.param])
    return request.param


@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_entry_of_the_table_is_forecast_as_its_trace_finds_it(new_optimizer, method):
    fields = {"method": method, "optimizer": new_optimizer, "seq_len": 64, "rank": 16}
    by_formula, by_trace = (way("gpt2", **fields) for way in (forecast, trace))
    assert by_formula.optimizer_bytes == by_trace.optimizer_bytes > 0
    assert by_formula.peak_bytes == pytest.approx(by_trace.peak_bytes, rel=0.03)


def test_the_command_line_knows_it(new_optimizer):
    ran = CliRunner().invoke(command, ["gpt2", "--optimizer", new_optimizer, "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["request"]["optimizer"] == new_optimizer


@pytest.mark.seconds
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_states_are_those_that_the_trace_counts(name):
    fields = {"method": "full", "optimizer": name, "seq_len": 32}
    assert forecast("gpt2", **fields).optimizer_bytes == trace("gpt2", **fields).optimizer_bytes


def test_names_of_transformers_are_accepted():
    assert optimizer_name("adamw_torch_fused") == "adamw_fused"
    assert optimizer_name("adamw_bnb_8bit") == "adamw_8bit"
    for wrong in ("adamm", None, ["adamw"]):
        with pytest.raises(LabError, match="optimizer"):
            optimizer_name(wrong)


def test_every_name_for_the_trainer_is_one_that_transformers_has():
    from transformers.training_args import OptimizerNames

    names = {name.value for name in OptimizerNames}
    assert {each.optim for each in OPTIMIZERS.values()} - {None} <= names


def test_bytes_of_one_tensor():
    assert WholeStates(2, counter_bytes=4).of((100, 10), 2) == (4000, 4)
    assert WholeStates(2, itemsize=4).of((100, 10), 2) == (8000, 0)
    assert EightBitStates(2).of((64, 64), 4) == (8192, 128)
    assert EightBitStates(2).of((63, 64), 4) == (32256, 0)  # too small: two fp32 states
    assert EightBitStates(2).shared_bytes([(64, 64), (8, 8)]) == 2048
    assert EightBitStates(2).shared_bytes([(8, 8)]) == 0
    assert FactoredStates().of((100, 10), 2) == (0, 444)
    assert FactoredStates().of((100,), 2) == (0, 404)


def test_only_large_tensors_are_paged_and_only_from_a_gpu():
    paged, groups = OPTIMIZERS["paged_adamw_32bit"], [((1000, 100), 1), ((999, 100), 1)]
    total, resident = paged.state_bytes(groups, 2, "cuda")
    assert total - resident == 8 * 100_000
    assert paged.state_bytes(groups, 2, "cpu") == (total, total)

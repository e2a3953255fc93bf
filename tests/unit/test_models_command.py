"""`labs models` at the command line."""

import json

import pytest

from labs_lib.cli import main
from labs_lib.models import catalogue


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["models", *arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_list(capsys):
    status, out, _ = call(capsys)
    assert status == 0
    assert all(name in out for name in catalogue())
    assert "smollm2-135m-instruct *" in out


def test_one_model(capsys):
    status, out, _ = call(capsys, "tiiuae/falcon-7b")
    assert status == 0
    assert "query_key_value" in out
    assert "6,921,720,704" in out


def test_json(capsys):
    status, out, _ = call(capsys, "--json")
    assert status == 0
    assert [model["name"] for model in json.loads(out)] == list(catalogue())
    _, out, _ = call(capsys, "gpt2", "--json")
    model = json.loads(out)
    assert model["parameters"] == 124_439_808
    assert model["fan_in_fan_out"]
    assert model["linears"][0]["out_features"] == 2304


def test_misspelt(capsys):
    status, out, err = call(capsys, "lama-2-7b")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "did you mean 'llama-2-7b'" in err

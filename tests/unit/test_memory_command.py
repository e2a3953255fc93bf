"""`labs memory`: JSON for programs, a table for people, one line for a mistake."""

import json

import pytest

from labs_lib import cli

FIELDS = (
    "weights_bytes",
    "adapter_bytes",
    "gradients_bytes",
    "optimizer_bytes",
    "activations_bytes",
    "peak_bytes",
    "trainable_parameters",
    "total_parameters",
)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["memory", *arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_json_holds_every_promised_field(capsys):
    status, out, _ = run(
        capsys,
        *[
            "llama-2-7b",
            "--method",
            "lora",
            "--rank",
            "8",
            "--targets",
            "q_proj,v_proj",
            "--batch",
            "1",
        ],
        *["--seq-len", "1304", "--json"],
    )
    content = json.loads(out)
    assert status == 0
    assert all(isinstance(content[name], int) for name in FIELDS)
    assert content["trainable_parameters"] == 4_194_304
    assert content["peak_bytes"] == pytest.approx(21.30e9, rel=0.03)


def test_people_get_a_table_in_one_unit(capsys):
    status, out, _ = run(capsys, "gpt2", "--card", "T4")
    assert status == 0
    assert "GiB" in out
    assert " GB" not in out
    assert "Fits T4" in out


def test_trace_and_timeline(capsys, tmp_path):
    picture = tmp_path / "step.png"
    status, out, _ = run(
        capsys, "gpt2", "--seq-len", "32", "--trace", "--timeline", str(picture), "--json"
    )
    content = json.loads(out)
    assert status == 0
    assert content["source"] == "trace"
    assert content["alive"]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lama-2-7b"], "did you mean 'llama-2-7b'"),
        (["gpt2", "--batch", "0"], "batch: 0"),
        (["gpt2", "--seq-len", "1025"], "seq_len: 1025"),
        (["gpt2", "--card", "T44"], "did you mean 'T4'"),
        (["gpt2", "--rank", "x"], "--rank"),
        (["gpt2", "--targets", "q_proj"], "c_attn"),
        (["no/such/config.json"], "config.json"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(capsys, arguments, says):
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert says in err
    assert len(err.strip().splitlines()) == 1

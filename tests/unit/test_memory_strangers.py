"""What strangers write: configurations and numbers; one line each, status 2, no traceback."""

import json

import pytest

from labs_lib import cli
from labs_lib.commands.numbers import DECIMAL, WHOLE

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 128,
    "max_position_embeddings": 64,
}
OPT = {
    "model_type": "opt",
    "hidden_size": 32,
    "ffn_dim": 64,
    "word_embed_proj_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 128,
    "max_position_embeddings": 64,
}


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["memory", *arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def is_one_line(status, out, err, says):
    assert status == 2, (out, err)
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in err
    assert says in err


# name → (the file's text, words of the line)
TEXTS = {
    "empty": ("", "cannot read"),
    "deep": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "deep-object": ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
    "nan": (json.dumps({**LLAMA, "rms_norm_eps": float("nan")}), "NaN is no number"),
    "infinity": (json.dumps({**LLAMA, "rope_theta": float("inf")}), "Infinity is no number"),
    "too-large-a-float": (json.dumps(LLAMA)[:-1] + ', "x": 1e999}', "too large"),
    "5000-digits": (json.dumps(LLAMA)[:-1] + ', "x": ' + "9" * 5000 + "}", "cannot read"),
    "list": ("[1, 2]", "not a model's config.json"),
    "number": ("7", "not a model's config.json"),
    "no-model-type": (json.dumps({**LLAMA, "model_type": None}), "no model_type"),
    "model-type-a-list": (json.dumps({**LLAMA, "model_type": ["llama"]}), "is not a name"),
    "nested": (json.dumps({"model": LLAMA}), "its 'model' holds a 'llama' configuration"),
    "adapter": (
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x/y"}),
        "name its base model, 'x/y'",
    ),
    "large": (json.dumps({**LLAMA, "padding": "x" * 2**23}), "bytes"),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("more", [[], ["--trace"]], ids=("formula", "trace"))
def test_a_file_that_is_no_configuration_is_one_line(name, more, capsys, tmp_path):
    text, says = TEXTS[name]
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    is_one_line(*run(capsys, str(path), *more), says)


def test_bytes_that_are_not_utf8_are_one_line(capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b'{"model_type": "\xff\xfe"}')
    is_one_line(*run(capsys, str(path)), "cannot read")


def test_a_byte_order_mark_is_read_past(capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA), encoding="utf-8-sig")
    assert run(capsys, str(path), "--seq-len", "16", "--json")[0] == 0


# (base, changes, words)
WRONG = [
    (LLAMA, {"hidden_size": "4096"}, "hidden_size: '4096'"),
    (LLAMA, {"hidden_size": -32}, "hidden_size: -32"),
    (LLAMA, {"hidden_size": 0}, "hidden_size: 0"),
    (LLAMA, {"hidden_size": None}, "hidden_size: missing"),
    (LLAMA, {"hidden_size": [32]}, "hidden_size: [32]"),
    (LLAMA, {"hidden_size": 32.0}, "hidden_size: 32.0"),
    (LLAMA, {"hidden_size": True}, "hidden_size: True"),
    (LLAMA, {"hidden_size": 10**13}, "beyond any model's size"),
    (LLAMA, {"num_hidden_layers": 10**9}, "num_hidden_layers: 1000000000"),
    (LLAMA, {"num_attention_heads": 5}, "does not divide"),
    (LLAMA, {"num_key_value_heads": 3}, "num_key_value_heads: 3"),
    (LLAMA, {"num_key_value_heads": "2"}, "num_key_value_heads: '2'"),
    (LLAMA, {"head_dim": -8}, "head_dim: -8"),
    (LLAMA, {"tie_word_embeddings": "false"}, "tie_word_embeddings: 'false'"),
    (LLAMA, {"intermediate_size": {}}, "intermediate_size: {}"),
    (LLAMA, {"rope_scaling": "linear"}, "rope"),
    (LLAMA, {"rope_scaling": {"rope_type": "no-such"}}, "no-such"),
    (LLAMA, {"layer_types": ["no_such_attention"] * 2}, "layer_types"),
    (LLAMA, {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "'gptq'"),
    (LLAMA, {"quantization_config": {"load_in_4bit": True}}, "--method qlora"),
    (LLAMA, {"quantization_config": "gptq"}, "quantized already"),
    (LLAMA, {"model_type": "lama"}, "did you mean 'llama'"),
    (LLAMA, {"model_type": "x" * 10_000}, "model_type"),
    (LLAMA, {"model_type": "own", "auto_map": {"AutoConfig": "a.B"}}, "code of its own"),
    (OPT, {"hidden_size": "32"}, "hidden_size"),
    (OPT, {"hidden_size": -32}, "opt"),
    (OPT, {"num_attention_heads": 0}, "opt"),
    (OPT, {"num_hidden_layers": 0}, "no list of layers"),
    (OPT, {"num_hidden_layers": 10**8}, "num_hidden_layers"),
    (OPT, {"vocab_size": []}, "vocab_size"),
    (OPT, {"activation_function": "no-such"}, "no-such"),
    (OPT, {"quantization_config": {"quant_method": "awq"}}, "'awq'"),
    ({"model_type": "gemma3"}, {"text_config": {"hidden_size": "x"}}, "hidden_size"),
    ({"model_type": "gemma3"}, {"text_config": 7}, "text_config"),
    ({"model_type": "mixtral"}, {"num_local_experts": 10**9}, "num_local_experts"),
    ({"model_type": "mamba"}, {"hidden_size": 0}, "mamba"),
]


@pytest.mark.parametrize(
    ("base", "changes", "says"), WRONG, ids=lambda value: str(value)[:60].replace("/", "")
)
def test_a_wrong_field_is_one_line(base, changes, says, capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**base, **changes}), encoding="utf-8")
    is_one_line(*run(capsys, str(path), "--seq-len", "16"), says)


NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
DOUBLE = {**NF4, "bnb_4bit_use_double_quant": True}

# what is stored, what is asked, the request that it is counted as, whether a note says so
STORED = {
    "as asked": (DOUBLE, [], [], False),
    "not double": (NF4, [], ["--no-double-quant"], True),
    "bitsandbytes' defaults": (
        {"load_in_4bit": True},
        [],
        ["--quantization", "fp4", "--no-double-quant"],
        True,
    ),
    "8 bits": ({"load_in_8bit": True}, [], ["--quantization", "int8"], True),
    "8 bits, asked": (
        {"load_in_8bit": True},
        ["--quantization", "int8"],
        ["--quantization", "int8"],
        False,
    ),
    "4 bits, 8 asked": (DOUBLE, ["--quantization", "int8"], [], True),
}


@pytest.mark.parametrize("name", STORED)
def test_a_quantized_base_is_counted_as_it_is_stored(name, capsys, tmp_path):
    stored, asked, counted, remarked = STORED[name]
    path = tmp_path / "config.json"
    common = [str(path), "--seq-len", "16", "--method", "qlora", "--json"]
    fields = {**LLAMA, "quantization_config": {"quant_method": "bitsandbytes", **stored}}
    path.write_text(json.dumps(fields), encoding="utf-8")
    status, out, _ = run(capsys, *common, *asked)
    path.write_text(json.dumps(LLAMA), encoding="utf-8")
    _, plain, _ = run(capsys, *common, *counted, "--trace")
    assert status == 0
    found = json.loads(out)
    assert found["peak_bytes"] == json.loads(plain)["peak_bytes"]
    assert found["weights_bytes"] == json.loads(plain)["weights_bytes"]
    assert any("The base is stored in" in note for note in found["notes"]) == remarked


@pytest.mark.parametrize(
    "name",
    ["a" * 300, "a" * 300 + ".json", "x/" + "a" * 5000, "~nobody/x", "x\0y"],
    ids=("long", "long-json", "long-path", "unknown-user", "nul"),
)
def test_a_name_that_no_file_can_have_is_one_line(name, capsys):
    is_one_line(*run(capsys, name), "model: ")


@pytest.mark.parametrize(
    ("file", "says"), [("adapter_config.json", "an adapter"), ("x.txt", "no config.json")]
)
def test_a_folder_that_is_no_models_is_said_so(file, says, capsys, tmp_path):
    (tmp_path / file).write_text("{}", encoding="utf-8")
    is_one_line(*run(capsys, str(tmp_path)), says)


def test_a_configuration_that_names_a_class_of_its_own_runs_no_code(capsys, tmp_path):
    (tmp_path / "a.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    fields = {**LLAMA, "auto_map": {"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}}
    (tmp_path / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    status, out, _ = run(capsys, str(tmp_path), "--seq-len", "16", "--trace", "--json")
    assert status == 0
    assert json.loads(out)["total_parameters"] > 0


def test_json_holds_no_nan(capsys, tmp_path):
    def never(name):
        raise AssertionError(name)

    for more in ([], ["--card", "T4"], ["--method", "full", "--card", "RTX 3060"]):
        status, out, _ = run(capsys, "gpt2", *more, "--json")
        assert status == 0
        json.loads(out, parse_constant=never)


# Numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--batch", "0"], "batch: 0"),
        (["--batch", "-1"], "batch: -1"),
        (["--rank", "0"], "rank: 0"),
        (["--rank", "8.5"], "did you mean 8?"),
        (["--rank", "eight"], "'eight' is not a whole number"),
        (["--rank", "nan"], "'nan' is not a whole number"),
        (["--rank", "1e400"], "is not a whole number"),
        (["--rank", "9" * 5000], "is not a whole number"),
        (["--rank", "1e308m"], "'1e308m' is not a whole number"),
        (["--rank", "7,6"], "did you mean 8?"),
        (["--rank", ""], "'' is not a whole number"),
        (["--seq-len", "2k"], "did you mean 2048?"),
        (["--seq-len", "1,024"], "did you mean 1024?"),
        (["--seq-len", "512 tokens"], "did you mean 512?"),
        (["--seq-len", "1.024"], "did you mean 1024?"),
        (["--seq-len", "1"], "seq_len: 1"),
        (["--accumulation", "0"], "accumulation: 0"),
        (["--dropout", "1"], "dropout: 1"),
        (["--dropout", "nan"], "'nan' is not a number"),
        (["--dropout", "1,000"], "'1,000' can mean 1000 or 1"),
        (["--dropout", "10%"], "'10%' is not a number"),
        (["--card", "24"], "with 24 GiB there are RTX 3090, RTX 4090"),
        (["--card", "24GB"], "with 24 GiB there are"),
        (["--card", "3090"], "did you mean 'RTX 3090'?"),
        (["--card", ""], "card: ''"),
        (["--targets", ""], "targets"),
        (["--targets", " , "], "targets: ' , ' is not legal"),
        (["--dora", "--method", "full"], "dora: True is not legal with method full"),
        (["--targets", "q_porj"], "c_attn"),
        (["--timeline", "/no/such/folder/x.png"], "no folder"),
        (["--optimizer", "AdamW"], "did you mean 'adamw'"),
        (["--precision", "fp16"], "precision: 'fp16'"),
    ],
    ids=lambda value: str(value)[:40].replace("/", ""),
)
def test_a_number_that_is_none_is_one_line_with_the_nearest(arguments, says, capsys):
    is_one_line(*run(capsys, "gpt2", *arguments), says)


@pytest.mark.parametrize(
    ("text", "number"),
    [("8", 8), ("8.0", 8), (" 8 ", 8), ("1_024", 1024), ("1e3", 1000), ("+8", 8)],
)
def test_a_whole_number_is_read_however_it_is_written(text, number):
    assert WHOLE.convert(text, None, None) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.1", 0.1), ("0,1", 0.1), ("0,125", 0.125), (",5", 0.5), ("5e-2", 0.05), ("1/8", 0.125)],
)
def test_a_decimal_comma_is_read_where_it_can_be_nothing_else(text, number):
    assert DECIMAL.convert(text, None, None) == number


def test_a_comma_at_the_end_of_the_targets_is_none_more(capsys):
    _, once, _ = run(capsys, "gpt2", "--targets", "c_attn", "--json")
    assert run(capsys, "gpt2", "--targets", "c_attn, ", "--json")[:2] == (0, once)


@pytest.mark.parametrize("name", ["rtx3090", "RTX-3090", " rtx 3090 ", "a100_80gb"])
def test_a_card_is_found_however_it_is_written(name, capsys):
    assert run(capsys, "gpt2", "--card", name)[0] == 0


# Logs --------------------------------------------------------------------------------------

# The rotary positions' three parts do not fit a head of this size: torch logs a traceback.
BAD_SECTIONS = {
    "model_type": "qwen2_5_vl",
    "text_config": {**LLAMA, "model_type": "qwen2_5_vl_text", "num_key_value_heads": 2},
    "vision_config": {"depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 4},
}


def test_what_torch_logs_of_a_shape_that_does_not_fit_is_not_shown(capsys, tmp_path):
    import logging

    written: list[str] = []

    class Collecting(logging.Handler):
        def emit(self, record):
            written.append(record.getMessage())

    # torch gives this logger a handler of its own, with the stream of the moment it is imported.
    logger, handler = logging.getLogger("torch._subclasses.fake_tensor"), Collecting()
    logger.addHandler(handler)
    try:
        (tmp_path / "config.json").write_text(json.dumps(BAD_SECTIONS), encoding="utf-8")
        outcome = run(capsys, str(tmp_path), "--seq-len", "16", "--trace")
        logger.error("not of a trace")
    finally:
        logger.removeHandler(handler)
    is_one_line(*outcome, "cannot be run on shapes in ")
    assert written == ["not of a trace"]

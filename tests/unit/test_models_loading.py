"""Where a name leads, and one line for each way in which it leads nowhere."""

import http.server
import json
import threading
import time

import pytest

from labs_lib.errors import LabError
from labs_lib.models import load_model, load_tokenizer
from labs_lib.models.loading import _hub_answers, locate


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    """A tiny Llama as a student would save it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole_folder, tmp_path):
    """A copy to damage."""
    copy = tmp_path / "tiny"
    copy.mkdir()
    for file in whole_folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.fixture
def offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "bfloat16"])
def test_local_folder_loads_in_the_dtype_asked_for(whole_folder, dtype):
    import torch

    model = load_model(whole_folder, dtype=dtype, device="cpu")
    assert model.dtype == (torch.float32 if dtype == "fp32" else torch.bfloat16)
    assert not model.training


def test_default_dtype_is_the_machines(whole_folder):
    from labs_lib.hardware import detect

    expected = {"fp32": "torch.float32", "bf16": "torch.bfloat16"}[detect().precision]
    assert str(load_model(str(whole_folder)).dtype) == expected


def test_nf4_quantizes_the_layers_and_not_the_head(whole_folder):
    import torch

    model = load_model(whole_folder, dtype="fp32", quantization="nf4", device="cpu")
    weight = model.model.layers[0].self_attn.q_proj.weight
    assert type(weight).__name__ == "Params4bit"
    assert weight.quant_state.quant_type == "nf4"
    assert weight.quant_state.nested
    assert model.lm_head.weight.dtype == torch.float32


def test_it_is_quiet(whole_folder, capfd):
    load_model(whole_folder, device="cpu")
    assert capfd.readouterr() == ("", "")


def truncate(file, keep):
    file.write_bytes(file.read_bytes()[:keep])


def only_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def adapter(folder):
    (folder / "config.json").rename(folder / "adapter_config.json")


def set_config(**fields):
    def change(folder):
        file = folder / "config.json"
        content = {**json.loads(file.read_text()), **fields}
        file.write_text(json.dumps(content))

    return change


def lost_shard(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))


def cut_config(folder):
    truncate(folder / "config.json", 20)


def nested_config(folder):
    (folder / "config.json").write_text('{"a": ' * 100_000 + "1" + "}" * 100_000)


def remote_code(folder):
    names = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    set_config(auto_map=names, model_type="mine")(folder)
    (folder / "mine.py").write_text("raise SystemExit('this code must never run')")


def test_a_configuration_with_an_infinity_is_read(folder):
    """As Python writes it, and as Mamba's configurations are published."""
    set_config(time_step_limit=[0.0, float("inf")])(folder)
    assert load_model(folder, device="cpu").config.time_step_limit == [0.0, float("inf")]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (adapter, "holds an adapter, not a model"),
        (cut_config, "cannot read config.json: it is not JSON"),
        (nested_config, "cannot read config.json: it is not JSON: nested too deeply"),
        (lambda folder: (folder / "config.json").write_text("[]"), "names no model_type"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no .safetensors weights"),
        (only_pickle, "only pickle weights .*can run code"),
        (lambda folder: truncate(folder / "model.safetensors", -7), "damaged or cut short"),
        (lambda folder: truncate(folder / "model.safetensors", 30), "damaged or cut short"),
        (lambda folder: truncate(folder / "model.safetensors", 0), "damaged or cut short"),
        (lost_shard, "model-00002-of-00002.safetensors is named in .* but missing"),
        (set_config(model_type="lama"), "cannot be loaded: .*lama"),
        (set_config(num_hidden_layers=3), "lacks 9 of its weights"),
        (set_config(hidden_size=32), "21 weights of another shape .*first: lm_head"),
        (set_config(vocab_size=65), "2 weights of another shape .*64, 16. for .65, 16"),
        (remote_code, "needs code of its own"),
    ],
)
def test_a_damaged_folder_gets_one_line(folder, damage, message):
    damage(folder)
    with pytest.raises(LabError, match=message) as caught:
        load_model(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2-135m-instruct", "did you mean 'smollm2-135m-instruct'"),
        ("", "'' is not one of"),
        ("./nowhere", "no such folder"),
        ("/no/such/model", "no such folder"),
        ("a/b/c", "'a/b/c' is not one of"),
        ("tiiuae/falcn-7b", "no hub can be reached; .*did you mean 'tiiuae/falcon-7b'"),
        ("gpt2", "openai-community/gpt2 is not on this machine .*smollm2-135m-instruct"),
        ("meta-llama/Llama-2-7b-hf", "is not on this machine and no hub can be reached"),
    ],
)
def test_a_name_that_leads_nowhere(name, message, offline):
    for loader in (load_model, load_tokenizer):
        with pytest.raises(LabError, match=message) as caught:
            loader(name)
        assert "\n" not in str(caught.value)


def test_an_unreachable_hub_is_told_quietly_and_soon(monkeypatch, capfd):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    pauses: list[float] = []  # between attempts, in seconds
    monkeypatch.setattr(time, "sleep", pauses.append)
    for loader in (load_model, load_tokenizer):
        with pytest.raises(LabError, match="no hub can be reached"):
            loader("gpt2")
    assert sum(pauses) < 10
    assert capfd.readouterr() == ("", "")
    assert constants.HF_HUB_OFFLINE is False


def test_a_hub_that_answers_is_seen(monkeypatch):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(404)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        assert _hub_answers(f"http://127.0.0.1:{server.server_port}")
        thread.join()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "fp8"}, "dtype: 'fp8' is not one of fp32, bf16, fp16"),
        ({"quantization": "nf5"}, "quantization: 'nf5' is not one of nf4"),
        ({"quantization": 4}, "quantization: 4 is not one of nf4"),
        ({"device": "gpu"}, "device: 'gpu' is not one of cpu"),
    ],
)
def test_bad_options(whole_folder, options, message):
    with pytest.raises(LabError, match=message):
        load_model(whole_folder, **options)


def test_a_folder_without_tokenizer(whole_folder, tmp_path):
    with pytest.raises(LabError, match=r"holds no tokenizer\.json"):
        load_tokenizer(whole_folder)
    with pytest.raises(LabError, match=r"holds no tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_where_names_lead(monkeypatch, tmp_path):
    monkeypatch.setattr("labs_lib.models.loading.prepare_bundled", lambda: tmp_path)
    for name in ("SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"):
        assert locate(name).location == str(tmp_path)
    # The base model has the same shapes and other weights: it is not the bundled one.
    base = locate("HuggingFaceTB/SmolLM2-135M")
    assert (base.location, base.local) == ("HuggingFaceTB/SmolLM2-135M", False)
    assert locate("llama-2-7b").location == "meta-llama/Llama-2-7b-hf"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    assert locate("gpt2").local


EXACTLY = [
    ("Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
    ("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B"),
    ("Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct"),
    ("qwen/qwen2.5-0.5b-INSTRUCT", "Qwen/Qwen2.5-0.5B-Instruct"),
    ("SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M"),
    (" smollm2-360m ", "HuggingFaceTB/SmolLM2-360M"),
    ("smollm2-360m-instruct", "HuggingFaceTB/SmolLM2-360M-Instruct"),
    ("Llama-2-7b-chat-hf", "meta-llama/Llama-2-7b-chat-hf"),
    ("llama-2-7b-hf", "meta-llama/Llama-2-7b-hf"),
    ("Mistral-7B-Instruct-v0.1", "mistralai/Mistral-7B-Instruct-v0.1"),
    ("mistral-7b", "mistralai/Mistral-7B-v0.1"),
    ("Meta-Llama-3-8B-Instruct", "meta-llama/Meta-Llama-3-8B-Instruct"),
    ("falcon-7b-instruct", "tiiuae/falcon-7b-instruct"),
    # Another's copy is another model, whatever its last part.
    ("unsloth/Qwen2.5-0.5B-Instruct-bnb-4bit", "unsloth/Qwen2.5-0.5B-Instruct-bnb-4bit"),
    ("someone/SmolLM2-135M-Instruct", "someone/SmolLM2-135M-Instruct"),
    ("bartowski/SmolLM2-135M-Instruct-GGUF", "bartowski/SmolLM2-135M-Instruct-GGUF"),
]


@pytest.mark.parametrize(("name", "location"), EXACTLY, ids=[each[0] for each in EXACTLY])
def test_a_name_leads_to_exactly_that_model(name, location):
    found = locate(name)
    assert (found.location, found.local) == (location, False)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_of_a_model_leads_to_its_folder(name, whole_folder, monkeypatch):
    monkeypatch.chdir(whole_folder.parent)
    with pytest.raises(LabError, match=f"a file, not a folder; did you mean '{whole_folder.name}'"):
        locate(f"{whole_folder.name}/{name}")


NO_MODEL = [
    ("Qwen2.5-0.5B-Instruct-bnb-4bit", "Qwen2.5-0.5B-Instruct"),
    ("SmolLM2-135M-Instruct-GGUF", "smollm2-135m-instruct"),
    ("smollm2-135m-instruct-v0.3", "smollm2-135m-instruct"),
    ("smollm2-135", "SmolLM2-135M"),
    ("smollm2", "SmolLM2"),
    ("llama-2-7b-chat", "Llama-2-7b-chat-hf"),
    ("Mistral-7B-Instruct-v0.9", "Mistral-7B-Instruct-v0."),
    ("hf.co/Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
    ("https://huggingface.co/Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
]


@pytest.mark.parametrize(("name", "near"), NO_MODEL, ids=[each[0] for each in NO_MODEL])
def test_a_name_that_is_no_models_gets_the_near_one(name, near):
    with pytest.raises(LabError, match=f"did you mean '{near}"):
        locate(name)


@pytest.mark.parametrize(
    "name", ["a\0b", "x" * 100_000, "y/" * 3000, "\udcff/z" * 2, "~nobody-of-that-name/x"]
)
def test_a_name_that_is_none(name):
    with pytest.raises(LabError) as caught:
        locate(name)
    assert len(str(caught.value)) < 500

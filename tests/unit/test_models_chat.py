"""Prompts and chat templates, strangers' too: bounded in time and size, one line for each fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from labs_lib import models
from labs_lib.cli import main
from labs_lib.errors import LabError
from labs_lib.models import bounded, chat
from labs_lib.models.windows import check_tokens, room_for, window_of

MESSAGES = [{"role": "user", "content": "Hello"}]
SYSTEM = [{"role": "system", "content": "Be brief."}, *MESSAGES]
LOOP = "{% for i in range(99999) %}"
END = "{% endfor %}"

# template → what the one line says of it
BAD: list[tuple[str, list[str]]] = [
    (LOOP * 3 + END * 3, ["does not come to an end"]),
    (LOOP + "{{ i ** i ** 3 }}" + END, ["chat template"]),
    ("{% for i in range(10**12) %}x{% endfor %}", ["breaks", "Range too big"]),
    ("{{ 'a' * 10**10 }}", ["too much", "1 GiB"]),
    ("{{ 'a' * 10**8 }}", ["too much", "characters"]),
    ("{{ '%9999999999d'|format(3) }}", ["too much"]),
    ("{{ 'a'.ljust(10**10) }}", ["too much"]),
    ("{{ [0] * 10**10 }}", ["too much"]),
    (LOOP + "{{ messages[0].content * 1000 }}" + END, ["too much", "characters"]),
    (
        "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}"
        "{% endfor %}{{ n.x }}",
        ["chat template"],
    ),
    ("{{ ''.__class__.__mro__ }}", ["reaches for", "__class__"]),
    ("{{ messages.__init__.__globals__ }}", ["reaches for"]),
    ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", ["reaches for"]),
    ("{{ self.__init__.__globals__ }}", ["chat template"]),
    ("{{ messages.append(1) }}", ["reaches for"]),
    ("{{ ''|attr('__class__') }}{{ x.y }}", ["chat template"]),
    ("{% set n = namespace(_x=1) %}", ["reaches for", "'_x'"]),
    ("{% set n = namespace() %}{% set n._x = 1 %}", ["reaches for", "'_x'"]),
    ("{% if %}", ["no Jinja template", "line 1"]),
    ("{{ messages ", ["no Jinja template"]),
    ("\n\n{% for m in messages %}", ["no Jinja template", "line 3"]),
    ("{{ " + "(" * 5000 + ")" * 5000 + " }}", ["chat template"]),
    ("{{ foo.bar }}", ["breaks", "'foo' is undefined"]),
    ("{{ 1 / 0 }}", ["breaks", "ZeroDivisionError"]),
    ("{{ messages[7].content }}", ["breaks"]),
    ("{{ messages + 1 }}", ["breaks", "TypeError"]),
    ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ["breaks", "RecursionError"]),
    ("{% include '/etc/passwd' %}", ["chat template"]),
    ("{% import 'os' as os %}", ["chat template"]),
    ("{{ raise_exception('only in French') }}", ["does not take these messages: only in French"]),
]

# What well-known models' templates do, in short.
GOOD = [
    "{{ messages[0].content }}",
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content']|trim }}{% endfor %}",
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% endif %}"
    "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "{{ messages | tojson(indent=2) }}",
    "{{ messages | tojson(false, 2, none, true) }}",
    "{{ dict(a=1)['a'] }}{% set n = namespace(self=2) %}{{ n.self }}{{ messages[0].content }}",
    "{{ strftime_now('%Y') }}{% for m in messages %}{% if m.role == 'tool' %}{% continue %}"
    "{% endif %}{{ m.content.split('</think>')[-1] }}{% break %}{% endfor %}",
    "{% set ns = namespace(first=true) %}{% for m in messages %}{% set ns.first = false %}"
    "{{ m.content }}{% endfor %}{% if tools is not none %}{{ tools }}{% endif %}",
]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return models.load_tokenizer(tiny_model)


@pytest.fixture
def with_template(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives the tokenizer another chat template."""

    def give(template: Any) -> Any:
        monkeypatch.setattr(tokenizer, "chat_template", template)
        return tokenizer

    return give


@pytest.mark.seconds
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("template", "parts"), BAD, ids=[each[0][:40] for each in BAD])
def test_a_template_that_attacks_floods_or_breaks(
    template: str, parts: list[str], with_template: Any
) -> None:
    with pytest.raises(LabError) as caught:
        chat.chat_text(with_template(template), MESSAGES)
    line = str(caught.value)
    assert len(line) < 500
    for part in parts:
        assert part in line


@pytest.mark.parametrize("template", GOOD)
def test_a_usual_template_gives_what_transformers_gives(template: str, with_template: Any) -> None:
    tokenizer = with_template(template)
    for messages in (MESSAGES, SYSTEM):
        expected = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert chat.chat_text(tokenizer, messages) == expected


def test_a_template_that_breaks_in_transformers_alone_is_one_line(
    with_template: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise AttributeError("module 'jinja2' has no such thing")

    tokenizer = with_template("alone: {{ messages[0].content }}")
    monkeypatch.setattr(tokenizer, "apply_chat_template", fail)
    with pytest.raises(LabError, match="chat template: it breaks on these messages: module"):
        chat.chat_text(tokenizer, MESSAGES)


def test_several_templates_without_a_default(with_template: Any) -> None:
    tokenizer = with_template({"tool_use": "{{ messages }}", "rag": "x"})
    with pytest.raises(LabError, match="chat template: "):
        chat.chat_text(tokenizer, MESSAGES)


def test_a_template_that_knows_no_system_message(with_template: Any) -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{{ messages[0].content }}"
    )
    tokenizer = with_template(template)
    assert chat.chat_text(tokenizer, MESSAGES) == "Hello"
    with pytest.raises(LabError, match=r"System role not supported; .* leave it out"):
        chat.chat_text(tokenizer, SYSTEM)


def test_the_courses_own_template_is_not_tried_elsewhere(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_process(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the bundled template was tried in a process")

    monkeypatch.setattr(bounded.subprocess, "run", no_process)
    assert "Hello" in chat.chat_text(tokenizer, MESSAGES)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows by one with each process that tries a template."""
    started = []
    run = bounded.subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        started.append(arguments)
        return run(*arguments, **options)

    monkeypatch.setattr(bounded.subprocess, "run", counted)
    return started


def test_many_prompts_are_tried_in_one_process_once(
    with_template: Any, processes: list[Any]
) -> None:
    tokenizer = with_template("many: {{ messages[0].content }}")
    prompts: list[Any] = [f"question {number}" for number in range(30)]
    expected = [f"many: {prompt}" for prompt in prompts]
    assert chat.chat_texts(tokenizer, prompts) == expected
    assert chat.chat_texts(tokenizer, prompts[::-1]) == expected[::-1]
    assert len(processes) == 1


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny model, to be changed."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def one_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    text = capsys.readouterr().err
    assert stop.value.code == 2, text
    assert text.count("\n") == 1, text
    return text


def test_a_hostile_template_is_found_before_the_model_is_used(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ ''.__class__.__mro__ }}")
    with pytest.raises(LabError, match="reaches for"):
        models.load_tokenizer(folder)
    # Broken, or for other messages: told when it is asked for.
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no') }}")
    assert models.load_tokenizer(folder)


@pytest.mark.parametrize(
    ("template", "arguments", "part"),
    [
        ("{{ raise_exception('no system') }}", ["--system", "Be brief"], "leave it out"),
        ("{{ messages[-1].content }}", ["--system", "Be brief"], "leaves a system message out"),
        ("{% if %}", [], "no Jinja template"),
        ("Hello!", [], "leaves the user's message out"),
        ("{{ messages[0].role }}", ["--system", "Be brief"], "leaves the user's message out"),
    ],
)
def test_generate_says_what_the_template_refuses(
    template: str, arguments: list[str], part: str, folder: Path, capsys: Any
) -> None:
    (folder / "chat_template.jinja").write_text(template)
    line = one_line(capsys, "generate", "hi", "--model", str(folder), *arguments)
    assert part in line


@pytest.mark.parametrize(
    ("text", "part"),
    [("1e1", ""), ("5,000", "did you mean 5000?"), ("0", "not in the range"), ("x", "whole")],
)
def test_a_number_of_tokens_is_read_as_people_write_it(
    text: str, part: str, folder: Path, capsys: Any
) -> None:
    arguments = ["generate", "hi", "--model", str(folder), "--max-new-tokens", text]
    if part:
        assert part in one_line(capsys, *arguments)
        return
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0


@pytest.mark.parametrize("token", [{"a": 1}, 5, [1]], ids=str)
def test_a_token_of_another_type_is_one_line(token: object, folder: Path, capsys: Any) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token": token}))
    line = one_line(capsys, "generate", "hi", "--model", str(folder))
    assert line.startswith(f"labs: model: {folder} cannot be loaded: "), line


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("", "PROMPT: '' is empty"),
        (" \n\t", "PROMPT: '' is empty"),
        ("a\0b", "PROMPT: character 2 is a NUL"),
        ("caf\udce9", "PROMPT: character 4 is the byte 0xe9"),
        ("\ud83d", "PROMPT: character 1 is half a character"),
    ],
)
def test_a_prompt_that_is_no_text(prompt: str, part: str, capsys: Any) -> None:
    assert part in one_line(capsys, "generate", prompt)
    if prompt.strip():
        line = one_line(capsys, "generate", "hi", "--system", prompt)
        assert part.replace("PROMPT", "--system") in line


def test_the_same_from_a_notebook(tiny_model: Path) -> None:
    from labs_lib.training import answer

    model, tokenizer = models.load(tiny_model, dtype="fp32", device="cpu")
    for prompt in ("a\0b", "caf\udce9"):
        with pytest.raises(LabError, match="user: character"):
            answer(model, tokenizer, [prompt])
    with pytest.raises(LabError, match="is no text"):
        answer(model, tokenizer, [[{"role": "user", "content": 7}]])  # type: ignore[list-item]
    tokenizer.chat_template = None
    with pytest.raises(LabError, match="holds no token"):
        answer(model, tokenizer, [""])


def test_a_prompt_beyond_the_window_and_one_at_its_edge(folder: Path, capsys: Any) -> None:
    no_template(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 16}))
    long = "one " * 30
    line = one_line(capsys, "generate", long, "--model", str(folder))
    assert "leave no room for an answer in the model's window of 16 tokens" in line
    from labs_lib.training import answer

    model, tokenizer = models.load(folder, dtype="fp32", device="cpu")
    model.generation_config.eos_token_id = None
    prompt = "one " * 6
    length = len(tokenizer(prompt).input_ids)
    (text,) = answer(model, tokenizer, [prompt], max_new_tokens=100)
    assert 0 < len(tokenizer(text).input_ids) <= 16 - length + 4  # re-encoding may differ a little


def test_positions_in_a_table_are_not_left(tmp_path: Path, tokenizer: Any) -> None:
    """GPT-2 keeps a row for each position: one more would be an index error."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from labs_lib.training import answer

    config = GPT2Config(vocab_size=49152, n_embd=16, n_layer=1, n_head=2, n_positions=8)
    model = GPT2LMHeadModel(config).eval()
    assert model.generation_config is not None
    model.generation_config.eos_token_id = None
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        assert answer(model, tokenizer, ["one two"], max_new_tokens=50)
        with pytest.raises(LabError, match="window of 8 tokens"):
            answer(model, tokenizer, ["one two three four five six seven eight nine"])
    finally:
        tokenizer.chat_template = template


def test_tokens_beyond_the_embedding_table(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from labs_lib.training import answer

    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with pytest.raises(LabError, match=r"is beyond the model's 64; its tokenizer"):
        answer(model, tokenizer, ["Hello"])


def test_windows() -> None:
    from types import SimpleNamespace

    def model(**fields: Any) -> Any:
        table = SimpleNamespace(weight=SimpleNamespace(shape=(10, 4)))
        return SimpleNamespace(config=SimpleNamespace(**fields), get_input_embeddings=lambda: table)

    assert window_of(model(max_position_embeddings=8)) == 8
    assert window_of(model(n_positions=9)) == 9
    assert room_for(model(), 1_000_000) == 2**31  # a state-space model reads on and on
    check_tokens(model(max_position_embeddings=3), [[0, 9]])
    with pytest.raises(LabError, match="token 10 is beyond"):
        check_tokens(model(), [[1], [10]])
    with pytest.raises(LabError, match="holds no token"):
        check_tokens(model(), [[1], []])
    nested = SimpleNamespace(max_position_embeddings=5)
    assert window_of(model(get_text_config=lambda **_: nested)) == 5


def test_a_tokenizer_without_padding_or_end(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    kept = {name: value for name, value in settings.items() if not name.endswith("_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept))
    tokenizer = models.load_tokenizer(folder)
    assert tokenizer.pad_token is not None

"""However a command ends: one line, any encoding, no traceback unless asked for."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from labs_lib import cli
from labs_lib.errors import LabError

# Verbs that end in about a second.
CHEAP = [
    ["--help"],
    ["--version"],
    ["models"],
    ["models", "llama-2-7b"],
    ["models", "--json"],
    ["memory", "gpt2"],
    ["memory", "gpt2", "--json"],
    ["progress"],
    ["progress", "--json"],
    ["quiz", "check"],
    ["review", "--json"],
    ["train", "--help"],
    ["generate", "--help"],
    ["compare", "--help"],
    ["sweep", "--help"],
    ["merge", "--help"],
]
# What a redirected output is on Windows in the West and in Japan, under LC_ALL=C, and in UTF-8.
ENCODINGS = ["cp1252", "cp932", "ascii", "utf-8"]


def labs(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `labs` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "labs_lib", *arguments],
        capture_output=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.seconds
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_cheap_verb_writes_in_any_encoding(encoding: str) -> None:
    program = (
        "import sys\n"
        "from labs_lib.cli import main\n"
        "for arguments in ARGUMENTS:\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit as stop:\n"
        "        assert stop.code == 0, (arguments, stop.code)\n"
        "    print('@@@@', flush=True)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program.replace("ARGUMENTS", repr(CHEAP))],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert run.returncode == 0, run.stderr.decode(encoding)
    outputs = run.stdout.decode(encoding).split("@@@@")
    assert len(outputs) == len(CHEAP) + 1
    for arguments, output in zip(CHEAP, outputs, strict=False):
        assert output.strip()
        if "--json" in arguments:
            json.loads(output)


TEXTS = ["→ × … ·", "naïve café", "日本語", "😀 beyond U+FFFF", "\udcff from argv", "a\u2028b"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_loses_nothing_in_any_encoding(encoding: str) -> None:
    program = (
        "import json\n"
        "from labs_lib.endings import one_line_errors\n"
        "with one_line_errors('labs'):\n"
        f"    print(json.dumps({TEXTS!a}, ensure_ascii=False))\n"
        f"    print(chr(0x2192), {TEXTS!a}[3])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    first, second = run.stdout.decode(encoding).replace("\r", "").split("\n")[:2]
    assert json.loads(first) == TEXTS
    assert "beyond" in second


def test_errors_are_written_in_any_encoding() -> None:
    run = labs("models", "modèle-→", PYTHONIOENCODING="ascii")
    assert run.returncode == 2
    assert b"mod\\u00e8le" in run.stderr
    assert b"Traceback" not in run.stderr


@pytest.mark.skipif(os.name == "nt", reason="its shell has no head")
@pytest.mark.parametrize("verb", ["models", "models gpt2 --json", "memory gpt2", "--help"])
def test_a_reader_that_goes_is_no_error(verb: str) -> None:
    line = f"{shlex.quote(sys.executable)} -u -m labs_lib {verb} | true"
    run = subprocess.run(line, shell=True, capture_output=True, check=False)
    assert run.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("verb", ["models", "models gpt2 --json", "progress"])
def test_an_output_without_room_is_one_line(verb: str) -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            [sys.executable, "-m", "labs_lib", *verb.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert run.returncode == 2
    assert run.stderr.count(b"\n") == 1
    assert b"No space left" in run.stderr
    assert (b"rich says" in run.stderr) == (verb == "models"), "the library that raised is named"


@pytest.mark.skipif(os.name == "nt", reason="its shell closes nothing")
def test_closed_outputs_are_no_traceback() -> None:
    for closing in (">&-", "2>&-", ">&- 2>&-"):
        line = f"{shlex.quote(sys.executable)} -m labs_lib models nothing {closing}"
        run = subprocess.run(line, shell=True, capture_output=True, check=False)
        assert run.returncode == 2
        assert b"Traceback" not in run.stderr + run.stdout


class BrokenError(Exception):
    """What a library might raise."""


ERRORS: list[tuple[BaseException, list[str]]] = [
    (KeyError("eval_loss"), ["KeyError: 'eval_loss'"]),
    (RuntimeError("a long story\n  of many lines\n\nshapes differ\n"), ["shapes differ"]),
    (BrokenError(), ["BrokenError"]),
    (MemoryError(), ["MemoryError", "not enough memory"]),
    (RecursionError("maximum recursion depth exceeded"), ["RecursionError"]),
    (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), ["surrogates"]),
    (ValueError("x" * 100_000), ["ValueError", "x…"]),
    (AssertionError(), ["AssertionError"]),
    (ImportError("No module named 'bitsandbytes'"), ["bitsandbytes"]),
    (FileNotFoundError(2, "No such file or directory", "x"), ["No such file"]),
]


def ending(
    arguments: list[str],
    error: BaseException,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[int, str]:
    """Return status and stderr of `labs models …` while its command raises `error`."""
    from labs_lib.commands import models

    def fail(*anything: object) -> None:
        raise error

    monkeypatch.setattr(models, "_print_catalogue", fail)
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert isinstance(stop.value.code, int)
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize(("error", "parts"), ERRORS, ids=lambda each: type(each).__name__)
def test_what_nobody_foresaw_is_one_line(error, parts, capsys, monkeypatch) -> None:
    status, text = ending(["models"], error, capsys, monkeypatch)
    assert status == 2
    assert text.count("\n") == 1
    assert len(text) < 600
    for part in ["labs: stopped while in commands.models", "--debug", *parts]:
        assert part in text


@pytest.mark.parametrize("arguments", [["--debug", "models"], ["models", "--debug"]])
@pytest.mark.parametrize("error", [KeyError("eval_loss"), LabError("rank: 0 is not legal")])
def test_debug_shows_the_traceback_before_the_line(arguments, error, capsys, monkeypatch) -> None:
    status, text = ending(arguments, error, capsys, monkeypatch)
    assert status == 2
    assert "Traceback" in text
    assert text.splitlines()[-1].startswith("labs: ")
    # It holds for the one run alone.
    status, text = ending(["models"], error, capsys, monkeypatch)
    assert "Traceback" not in text


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_the_environment_asks_for_tracebacks_too(value, shown, capsys, monkeypatch) -> None:
    monkeypatch.setenv("LABS_DEBUG", value)
    _, text = ending(["models"], KeyError("x"), capsys, monkeypatch)
    assert ("Traceback" in text) == shown


def test_a_reader_that_has_gone_is_what_a_shell_takes_it_for(capsys, monkeypatch) -> None:
    assert ending(["models"], BrokenPipeError(), capsys, monkeypatch) == (141, "")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_a_stop_by_hand_is_no_error(error, capsys, monkeypatch) -> None:
    status, text = ending(["models"], error, capsys, monkeypatch)
    assert (status, text.strip()) == (130, "labs: stopped")


def test_every_verb_and_its_verbs_take_debug() -> None:
    def all_of(command: click.Command) -> list[click.Command]:
        inner = getattr(command, "commands", {}).values()
        return [command, *(deeper for each in inner for deeper in all_of(each))]

    context = click.Context(cli.labs)
    for verb in cli.VERBS:
        found = cli.labs.get_command(context, verb)
        assert found is not None
        for command in all_of(found):
            assert any("--debug" in each.opts for each in command.params), command.name


PROMPTS = [b"caf\xe9", b"\xff\xfe", b"half \xed\xa0\xbd of a pair"]


@pytest.mark.skipif(os.name != "posix", reason="arguments are bytes on POSIX alone")
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_with_a_byte_that_is_no_text(prompt: bytes) -> None:
    run = subprocess.run(
        [os.fsencode(sys.executable), b"-m", b"labs_lib", b"generate", prompt],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.count(b"\n") == 1
    assert b"PROMPT: character" in run.stderr
    assert b"no UTF-8" in run.stderr


@pytest.mark.parametrize("arguments", [[], ["quiz"]], ids=["labs", "labs quiz"])
def test_a_verb_left_out_gets_the_help_as_people_read_it(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    text = capsys.readouterr().err
    assert stop.value.code == 2
    assert text.startswith("Usage: labs")
    assert text.count("\n") > 5


def test_a_strangers_control_characters_do_not_reach_the_terminal(capsys, monkeypatch) -> None:
    error = LabError("adapter: \x1b[31mred\x07 \x9b2J")
    _, text = ending(["models"], error, capsys, monkeypatch)
    assert text == "labs: adapter: \\x1b[31mred\\x07 \\x9b2J\n"


@pytest.mark.parametrize("verb", [["generate", "hi"], ["merge", "x", "--out", "y"]], ids="-".join)
def test_a_model_without_a_name_is_not_the_default(verb, capsys, tmp_path, monkeypatch) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    folder = tmp_path / "x"
    folder.mkdir()
    config = '{"peft_type": "LORA", "base_model_name_or_path": "smollm2-135m-instruct"}'
    (folder / "adapter_config.json").write_text(config)
    save_file({"a": np.ones(2, np.float32)}, folder / "adapter_model.safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main([*verb, "--model", ""])
    text = capsys.readouterr().err
    assert stop.value.code == 2
    assert text.startswith("labs: model: '' is not one of"), text

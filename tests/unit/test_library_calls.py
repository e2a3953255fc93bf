"""Lessons 04 and 05 show the libraries' own calls: each stands in a code cell of its own lesson.

A program that a cell hands to a process of its own, as text, counts as that cell's code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tools import notebooks

# `name(keyword)`: a call whose dotted name ends so, with that keyword where one is named; an
# attribute `.name(...)` of whatever object; `(keyword)` in a call of anything. `|`: one of these.
CALLS = {
    "04": [
        "AutoTokenizer.from_pretrained",
        "AutoModelForCausalLM.from_pretrained(dtype)",
        ".apply_chat_template",
        "LoraConfig(r)",
        "LoraConfig(lora_alpha)",
        "LoraConfig(target_modules)",
        "get_peft_model",
        ".print_trainable_parameters",
        "Trainer(data_collator)",
        r"DataCollator\w+|default_data_collator",
        "SFTTrainer",
        "SFTConfig",
        "(num_train_epochs)",
        "(eval_dataset)",
        "(eval_strategy)",
        "(save_strategy)",
        "(save_total_limit)",
        ".train(resume_from_checkpoint)",
        ".generate",
        ".decode|.batch_decode",
        ".save_pretrained",
        "PeftModel.from_pretrained|AutoPeftModelForCausalLM.from_pretrained",
        ".merge_and_unload",
        ".add_adapter|.load_adapter",
        ".set_adapter",
        ".disable_adapter",
    ],
    "05": [
        "BitsAndBytesConfig(load_in_4bit)",
        "BitsAndBytesConfig(bnb_4bit_quant_type)",
        "BitsAndBytesConfig(bnb_4bit_use_double_quant)",
        "BitsAndBytesConfig(bnb_4bit_compute_dtype)",
        "AutoModelForCausalLM.from_pretrained(quantization_config)",
        "prepare_model_for_kbit_training",
        "LoraConfig",
        "get_peft_model",
        "SFTTrainer",
        "SFTConfig",
        "PeftModel.from_pretrained|AutoPeftModelForCausalLM.from_pretrained",
    ],
}

PROGRAM = re.compile(r"^(?:from|import) ", re.MULTILINE)


def calls_in(source: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the dotted name and the keywords of each call, those in a program's text too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield "." + ast.unparse(node.func), {each.arg for each in node.keywords if each.arg}
        elif isinstance(node, ast.Constant) and PROGRAM.search(str(node.value)):
            with suppress(SyntaxError):
                yield from calls_in(str(node.value))


def names(wanted: str, calls: list[tuple[str, set[str]]]) -> bool:
    """Return whether one of the calls is what an entry of `CALLS` names."""
    for entry in wanted.split("|"):
        name, _, keyword = entry.rstrip(")").partition("(")
        ending = re.compile(r"\." + name.removeprefix(".") + "$" if name else ".")
        if any(ending.search(call) and (not keyword or keyword in given) for call, given in calls):
            return True
    return False


def calls_of_lesson(lesson: str) -> list[tuple[str, set[str]]]:
    """Return the calls in a lesson's code cells, of its optional parts too."""
    return [
        call
        for source in notebooks.sources()
        if source.name.startswith(lesson)
        for kind, text, _ in notebooks.cells_of(notebooks.read(source))
        if kind == "code"
        for call in calls_in(re.sub(r"^\s*[%!].*$", "pass", text, flags=re.MULTILINE))
    ]


@pytest.mark.parametrize(
    ("source", "wanted", "found"),
    [
        ("from_pretrained(x)", "AutoTokenizer.from_pretrained", False),
        ("transformers.AutoTokenizer.from_pretrained(x)", "AutoTokenizer.from_pretrained", True),
        ("MyAutoTokenizer.from_pretrained(x)", "AutoTokenizer.from_pretrained", False),
        ("AutoModel.from_pretrained(x)", "AutoModel.from_pretrained(dtype)", False),
        ("AutoModel.from_pretrained(x, dtype=y)", "AutoModel.from_pretrained(dtype)", True),
        ("model.generate(**x)", ".generate", True),
        ("make(y)[0].base.generate(x)", ".generate", True),
        ("model.generate", ".generate", False),
        ("# model.generate(x)", ".generate", False),
        ("'model.generate(x)'", ".generate", False),
        ("SFTTrainer(model)", "Trainer", False),
        ("Trainer(model, data_collator=c)", "Trainer(data_collator)", True),
        ("f(SFTConfig(save_strategy='epoch'))", "(save_strategy)", True),
        ("save_strategy = 1", "(save_strategy)", False),
        ("tokenizer.batch_decode(x)", ".decode|.batch_decode", True),
        ("DataCollatorForSeq2Seq(t)", r"DataCollator\w+|default_data_collator", True),
        ("run('import peft\\npeft.PeftModel.from_pretrained(b, a)')", "PeftModel.from_pretrained",
         True),
        ("run('import peft: this is prose')", "peft", False),
    ],
)  # fmt: skip
def test_a_call_is_found_in_code_alone(source: str, wanted: str, found: bool):
    assert names(wanted, list(calls_in(source))) is found


@pytest.mark.parametrize("lesson", CALLS)
def test_the_lesson_makes_every_call_itself(lesson: str):
    calls = calls_of_lesson(lesson)
    assert [wanted for wanted in CALLS[lesson] if not names(wanted, calls)] == []

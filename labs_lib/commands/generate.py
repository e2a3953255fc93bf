"""`labs generate`: answer prompts with a model, with or without an adapter."""

from __future__ import annotations

import json
from pathlib import Path

import click

from labs_lib.commands.numbers import WholeRange


@click.command("generate", help="Answer each PROMPT greedily.")
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option("--adapter", type=click.Path(path_type=Path), help="Folder of an adapter.")
@click.option("--model", help="Base model; by default the one the adapter names.")
@click.option("--system", default="", help="A system message in place of the model's own.")
@click.option("--max-new-tokens", type=WholeRange(1, 4096), default=60, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print prompts and answers as JSON.")
def command(
    prompts: tuple[str, ...],
    adapter: Path | None,
    model: str | None,
    system: str,
    max_new_tokens: int,
    as_json: bool,
) -> None:
    """Load the model once and answer every prompt."""
    from labs_lib.errors import LabError
    from labs_lib.models.chat import check_prompt_reaches, check_text

    for prompt in prompts:  # before seconds are spent on the model
        check_text("PROMPT", prompt)
        if not prompt.strip():
            raise LabError("PROMPT: '' is empty; give a question in quotes")
    check_text("--system", system)
    from labs_lib.data import Row
    from labs_lib.training import answer, load_with_adapter, quiet_libraries
    from labs_lib.training.adapter.loading import other_base

    with quiet_libraries():
        loaded, tokenizer = load_with_adapter(adapter, model)
        if adapter and model and (note := other_base(adapter, model)):
            click.echo(f"Note: {note}", err=True)
        rows = [Row(prompt, "", system=system) for prompt in prompts]
        messages = [row.prompt_messages() for row in rows]
        check_prompt_reaches(tokenizer, system)
        answers = answer(loaded, tokenizer, messages, max_new_tokens)
    pairs = [{"prompt": p, "answer": a} for p, a in zip(prompts, answers, strict=True)]
    if as_json:
        click.echo(json.dumps(pairs, ensure_ascii=False))
        return
    for pair in pairs:
        click.echo(f"> {pair['prompt']}\n{pair['answer']}\n")

"""Messages into the text that a model reads, by its own chat template, a stranger's perhaps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from labs_lib.errors import LabError, last_line, shorten
from labs_lib.models.bounded import OutOfBoundsError, run_bounded

Prompt = str | list[dict[str, str]]

BUNDLED_TEMPLATE_SHA256 = "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"
"""The bundled model's template: the course's own, and not tried in a process of its own."""

LONGEST_TEXT = 4_000_000
"""Characters: more than any model's window holds."""

_accepted: set[str] = set()
_MOST_ACCEPTED = 10_000


def chat_texts(tokenizer: Any, prompts: Sequence[Prompt]) -> list[str]:
    """Return each prompt in the model's chat template, or its text where there is none.

    A prompt is the user's text, or the messages before the answer. Raises `LabError` for a text
    that no tokenizer reads, and for a template that refuses the messages, is broken, reaches for
    what it must not, or does not end in bounded time and size.
    """
    conversations = [_messages(prompt) for prompt in prompts]
    for messages in conversations:
        for message in messages:
            check_text(str(message.get("role", "message")), message.get("content", ""))
    if not tokenizer.chat_template:
        return ["\n".join(message["content"] for message in each) for each in conversations]
    check_template(tokenizer, conversations)
    try:
        return [
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            for messages in conversations
        ]
    except Exception as error:  # a stranger's template in a library's hands
        raise LabError(
            f"chat template: {_PROBLEMS['error']}{last_line(error)}{_OTHER_TEMPLATE}"
        ) from error


def chat_text(tokenizer: Any, prompt: Prompt) -> str:
    """Return one prompt in the model's chat template; see `chat_texts`."""
    return chat_texts(tokenizer, [prompt])[0]


def check_text(field: str, text: Any) -> None:
    """Raise `LabError` for a text with a byte that is no UTF-8, or with a NUL."""
    if not isinstance(text, str):
        raise LabError(f"{field}: {shorten(text)} is no text")
    for at, character in enumerate(text):
        if 0xD800 <= ord(character) <= 0xDFFF:
            # Python's stand-in for a byte of the command line that is no UTF-8.
            byte = ord(character) - 0xDC00
            what = f"the byte 0x{byte:02x}" if 0x80 <= byte <= 0xFF else "half a character"
            raise LabError(
                f"{field}: character {at + 1} is {what}, which is no UTF-8; give the text in UTF-8"
            )
        if character == "\0":
            raise LabError(f"{field}: character {at + 1} is a NUL (\\0), which no prompt holds")


def check_template(tokenizer: Any, conversations: Sequence[list[dict[str, str]]]) -> None:
    """Raise `LabError` unless the tokenizer's template renders these messages within limits."""
    problem = _tried(tokenizer, conversations)
    if problem is None:
        return
    kind, reason = problem
    roles = {message["role"] for messages in conversations for message in messages}
    if kind == "refused":
        hint = "; it may know no system message: leave it out" if "system" in roles else ""
        raise LabError(f"chat template: it does not take these messages: {reason}{hint}")
    raise LabError(f"chat template: {_PROBLEMS[kind]}{reason}{_OTHER_TEMPLATE}")


def check_prompt_reaches(tokenizer: Any, system: str = "") -> None:
    """Raise `LabError` for a template that leaves out what the user asks, or `system`."""
    first = [{"role": "system", "content": system}] if system.strip() else []
    asked = [[*first, {"role": "user", "content": each}] for each in _TWO_QUESTIONS]
    texts = chat_texts(tokenizer, asked)
    if texts[0] == texts[1]:
        raise LabError(
            "chat template: it leaves the user's message out, so the model would never read the "
            f"prompt{_OTHER_TEMPLATE}"
        )
    if system.strip() not in texts[0]:
        raise LabError(
            "--system: this model's chat template leaves a system message out; put the text into "
            "the prompt"
        )


def check_template_ends(tokenizer: Any) -> None:
    """Raise `LabError` for a template that floods, never ends or attacks, on one short exchange.

    What is broken or refuses in another way waits for the messages that are really asked for.
    """
    if not tokenizer.chat_template:
        return
    question = {"role": "user", "content": "Hello"}
    answered = [question, {"role": "assistant", "content": "Hello!"}]
    for messages in ([question], answered):
        problem = _tried(tokenizer, [messages])
        if problem and problem[0] in ("time", "size", "attack"):
            kind, reason = problem
            raise LabError(f"chat template: {_PROBLEMS[kind]}{reason}{_OTHER_TEMPLATE}")


_PROBLEMS = {
    "time": "it does not come to an end",
    "size": "it makes too much of a short message: ",
    "attack": "it reaches for what no template may: ",
    "syntax": "it is no Jinja template: ",
    "error": "it breaks on these messages: ",
}
_TWO_QUESTIONS = ("Is the sky blue?", "How many legs has a spider?")
_OTHER_TEMPLATE = "; take another model, or mend its chat_template"


def _tried(tokenizer: Any, conversations: Sequence[list[dict[str, str]]]) -> tuple[str, str] | None:
    """Return what is wrong with the template on these messages, as (kind, reason), or None.

    It is tried in a process of its own, since a template can run for ever or fill the memory.
    """
    template = _template_of(tokenizer)
    plain = template.encode("utf-8", "surrogatepass")
    if hashlib.sha256(plain).hexdigest() == BUNDLED_TEMPLATE_SHA256:
        return None
    values = {name: str(value) for name, value in tokenizer.special_tokens_map.items()}
    common = {"template": template, "values": values, "longest": LONGEST_TEXT}
    new = {}
    for messages in conversations:
        asked = json.dumps([common, messages], sort_keys=True, default=str)
        digest = hashlib.sha256(asked.encode("ascii")).hexdigest()
        if digest not in _accepted:
            new[digest] = json.loads(asked)[1]
    if not new:
        return None
    try:
        problem = run_bounded("render", {**common, "conversations": list(new.values())})["error"]
    except OutOfBoundsError:
        return "time", ""
    if problem:
        return problem[0], " ".join(problem[1].split())
    if len(_accepted) >= _MOST_ACCEPTED:
        _accepted.clear()
    _accepted.update(new)
    return None


def _template_of(tokenizer: Any) -> str:
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:  # several templates, and none is the default
        raise LabError(f"chat template: {' '.join(str(error).split())}") from None
    if not isinstance(template, str):
        raise LabError(f"chat template: {shorten(template)} is no text")
    return template


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt

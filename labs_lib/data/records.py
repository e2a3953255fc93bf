"""One row from the fields of one record: the forms that instruction data comes in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from labs_lib.data.rows import SPLITS, Row
from labs_lib.errors import LabError, nearest, shorten

# What a form needs, in the order in which they are tried; the last is asked for where none fits.
FORMS = {
    "messages": ("messages",),
    "conversations": ("conversations",),
    "instruction": ("instruction", "output"),
    "prompt": ("prompt", "completion"),
}
_KNOWN = {
    "messages": {"messages", "system"},
    "conversations": {"conversations", "system"},
    "instruction": {"instruction", "input", "output", "system"},
    "prompt": {"prompt", "completion", "messages", "system"},
}
_ALWAYS = {"split", "meta"}
_NOTES = {
    "instruction": "instruction (with input below it) was read as prompt, output as completion",
    "conversations": "conversations were read as messages",
}
_ROLES = {
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
# The last two are those of OpenAI's Responses API.
_TEXT_PARTS = ("text", "input_text", "output_text")
_QUOTES = "'`´‘’‚“”„«»\""
# What others call the two fields, for the line that says what to rename.
_ALIASES = {
    "prompt": ("question", "query", "input", "instruction", "source", "user", "problem", "text"),
    "completion": ("answer", "response", "output", "target", "reply", "assistant", "chosen"),
}


class Read(NamedTuple):
    """A row, where it stood, the split that it named, and a remark on its form."""

    where: str
    row: Row
    split: str | None
    note: str = ""


def form_of(columns: Iterable[str]) -> str | None:
    """Return the form whose fields are all there, or None."""
    names = set(columns)
    if "prompt" in names and not {"messages", "conversations"} & names:
        return "prompt" if "completion" in names else None
    if "prompt" in names and "completion" in names:
        return "prompt"
    return next((form for form, needed in FORMS.items() if names.issuperset(needed)), None)


def check_columns(where: str, columns: Iterable[str]) -> str:
    """Return the form that the columns have; LabError says what is missing and what to rename."""
    names = [str(column) for column in columns if column != "split"]
    form = form_of(names)
    if form is not None:
        return form
    for needed in FORMS["prompt"]:
        if needed not in names:
            joined = next((name for name in names if _joins_both(name)), None)
            if joined is not None:
                raise LabError(
                    f"{where}: {shorten(joined)} is one column; put a comma, a semicolon, a tab or "
                    "a bar between prompt and completion, and quotes around each alone"
                )
            quoted = next((name for name in names if name.strip(_QUOTES) == needed), None)
            if quoted is not None:
                raise LabError(
                    f'{where}: {shorten(quoted)}: quote with " alone, not with {quoted[0]}'
                )
            others = [name for name in names if name not in FORMS["prompt"]]
            alias = next((name for name in others if name.lower() in _ALIASES[needed]), None)
            hint = nearest(needed, others).replace("did you mean", "is it")
            if alias is not None:
                hint = f"; rename {alias!r} to {needed}"
            elif hint:
                hint += f" rename it to {needed}"
            raise LabError(f"{where}: no {needed}; it has {shorten(', '.join(names))}{hint}")
    raise AssertionError(names)


def _joins_both(name: str) -> bool:
    """Return whether a column's name is a whole header, such as "prompt:completion"."""
    return {"prompt", "completion"} <= set(re.split(r"[^a-z]+", name.lower()))


def records_to_rows(source: str, lines: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[Read]:
    """Yield each record as a row, checked; LabError names the source and the place in it."""
    for where, fields in lines:
        place = f"{source}, {where}"
        # A column that other rows fill and this one leaves empty is as good as none.
        given = {name: value for name, value in fields.items() if value is not None}
        form = form_of(given) or check_columns(place, fields)
        system, prompt, completion = _exchange(place, form, fields)
        asked, answered = FORMS[form] if len(FORMS[form]) == 2 else FORMS["prompt"]
        prompt = _from_turns(place, asked, prompt, "user")
        completion = _from_turns(place, answered, completion, "assistant")
        if system not in (None, ""):
            system = _text(place, "system", system)
        known = _KNOWN[form] | _ALWAYS
        rest = {key: value for key, value in fields.items() if key not in known}
        row = Row(prompt, completion, {**rest, **_meta(place, fields)}, system or "")
        yield Read(where, row, _split(place, fields), _NOTES.get(form, ""))


def _split(place: str, fields: Mapping[str, Any]) -> str | None:
    split = fields.get("split")
    if split in ("", None):
        return None
    if split not in SPLITS:
        raise LabError(
            f"{place}: split: {shorten(split)} is not one of {', '.join(SPLITS)}"
            f"{nearest(str(split), SPLITS)}"
        )
    return split


def _meta(place: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = fields.get("meta")
    if meta is None or meta == "":
        return {}
    if not isinstance(meta, Mapping):
        raise LabError(f"{place}: meta: {shorten(meta)} is not an object")
    return meta


def _exchange(place: str, form: str, fields: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Return (system, prompt, completion) as they stand in the fields."""
    system = fields.get("system")
    if form == "prompt":
        return system, fields["prompt"], fields["completion"]
    if form == "instruction":
        instruction, more = fields["instruction"], fields.get("input")
        if more not in (None, ""):
            instruction = _text(place, "instruction", instruction)
            instruction = f"{instruction}\n\n{_text(place, 'input', more)}"
        return system, instruction, fields["output"]
    said, prompt, completion = _from_messages(place, form, fields[form])
    return said or system, prompt, completion


def _from_turns(place: str, field: str, value: Any, role: str) -> str:
    """Return the text of a field that is text, or a list of one message of the right role."""
    if isinstance(value, list):
        turns = [_turn(turn) if isinstance(turn, Mapping) else None for turn in value]
        if len(turns) != 1 or turns[0] is None or turns[0][0] != role:
            raise LabError(f"{place}: {field}: a list must hold one message, of role {role}")
        value = turns[0][1]
    text = _text(place, field, value)
    if not text.strip():
        raise LabError(f"{place}: {field}: empty")
    return text


def _text(place: str, field: str, value: Any) -> str:
    """Return text, or the joined text of a message's content parts."""
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        value = _joined(place, field, value)
    if not isinstance(value, str):
        raise LabError(f"{place}: {field}: {shorten(value)} is not text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LabError(f"{place}: {field}: holds half of a character pair; no such text") from error
    return value


def _joined(place: str, field: str, parts: list[Mapping[str, Any]]) -> str:
    texts = []
    for part in parts:
        kind = part.get("type", "text")
        if kind not in _TEXT_PARTS or not isinstance(part.get("text"), str):
            raise LabError(
                f"{place}: {field}: a part of type {shorten(kind)} is not text; the course trains"
                " on text alone, so leave the row out"
            )
        texts.append(part["text"])
    return "".join(texts)


def _turn(message: Mapping[str, Any]) -> tuple[str, Any]:
    """Return a message's role, by the name that templates use, and its content."""
    role = message.get("role", message.get("from"))
    known = _ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    return known or str(role), message.get("content", message.get("value"))


def _from_messages(place: str, field: str, messages: Any) -> tuple[Any, Any, Any]:
    """Return (system, prompt, completion) of a chat of one question and one answer."""
    if isinstance(messages, str) and messages.lstrip().startswith("["):
        try:  # a cell of a table
            messages = json.loads(messages)
        except (ValueError, RecursionError):
            raise LabError(f"{place}: {field}: {shorten(messages)} is not JSON") from None
    if not isinstance(messages, list) or not all(isinstance(m, Mapping) for m in messages):
        raise LabError(f"{place}: {field}: {shorten(messages)} is not a list of messages")
    turns = [_turn(message) for message in messages]
    system: Any = ""
    if turns and turns[0][0] == "system":
        system, turns = turns[0][1], turns[1:]
        if system not in (None, ""):
            system = _text(place, "system", system)
    roles = [role for role, _ in turns]
    if roles != ["user", "assistant"]:
        more = ""
        if len(roles) > 2 and set(roles) == {"user", "assistant"}:
            more = "; make a row of each question and its answer"
        elif unknown := [role for role in roles if role not in _ROLES]:
            more = f"; {shorten(unknown[0])} is no role"
        raise LabError(
            f"{place}: {field}: roles {shorten(', '.join(roles))}; legal: an optional system"
            f" message, one user message, one assistant message{more}"
        )
    return system, _content(place, "user", turns[0][1]), _content(place, "assistant", turns[1][1])


def _content(place: str, role: str, content: Any) -> Any:
    """Return a message's content as text, for which a list is parts and not turns."""
    if isinstance(content, list):
        return _text(place, f"the {role} message's content", content)
    return content

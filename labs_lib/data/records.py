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
_CHATS = ("messages", "conversations")
_TURNS = "a conversation of several answers became a row an answer, the earlier turns before it"
_UNANSWERED = "the last question of a conversation, which no answer follows, was left out"
_ONE_ANSWER = "a list must hold one message, of role assistant"
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


def check_names(where: str, columns: Iterable[str], renamed: Iterable[str]) -> None:
    """Raise LabError where a column that is to be renamed is not among the columns."""
    names = [str(column) for column in columns]
    for column in renamed:
        if column not in names:
            has = shorten(", ".join(names))
            raise LabError(f"{where}: no {shorten(column)}; it has {has}{nearest(column, names)}")


def _joins_both(name: str) -> bool:
    """Return whether a column's name is a whole header, such as "prompt:completion"."""
    return {"prompt", "completion"} <= set(re.split(r"[^a-z]+", name.lower()))


def records_to_rows(
    source: str, lines: Iterable[tuple[str, Mapping[str, Any]]], *, keep_empty: bool = False
) -> Iterator[Read]:
    """Yield each record as rows, checked; LabError names the source and the place in it.

    A record is one row, a conversation one for each answer: with the earlier turns before it,
    and where it stands as `meta["conversation"]`.  `keep_empty` lets empty texts through.
    """
    for where, fields in lines:
        place = f"{source}, {where}"
        # A column that other rows fill and this one leaves empty is as good as none.
        given = {name: value for name, value in fields.items() if value is not None}
        form = form_of(given) or check_columns(place, fields)
        system, turns, note = _exchange(place, form, fields, keep_empty)
        if system not in (None, ""):
            system = _text(place, "system", system)
        known = _KNOWN[form] | _ALWAYS
        rest = {key: value for key, value in fields.items() if key not in known}
        meta = {**rest, **_meta(place, fields)}
        split = _split(place, fields)
        # What stands in a prompt's list of messages was answered before.
        answered = range(len(turns)) if form in _CHATS else range(len(turns) - 1, len(turns))
        several = len(answered) > 1
        if several:
            meta = {"conversation": place, **meta}
        for number in answered:
            prompt, completion = turns[number]
            row = Row(prompt, completion, meta, system or "", tuple(turns[:number]))
            at = f"{where} (answer {number + 1})" if several else where
            yield Read(at, row, split, note or (_TURNS if several else _NOTES.get(form, "")))


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


def _exchange(
    place: str, form: str, fields: Mapping[str, Any], keep_empty: bool
) -> tuple[Any, list[tuple[str, str]], str]:
    """Return the system message, the pairs of question and answer, and a remark."""
    system, note = fields.get("system"), ""
    if form in _CHATS:
        said, turns = _from_messages(place, form, fields[form])
        _check_turns(place, form, turns)
        if len(turns) % 2:
            turns, note = turns[:-1], _UNANSWERED
        names = ("the user message's content", "the assistant message's content")
    elif form == "instruction":
        instruction, more = fields["instruction"], fields.get("input")
        if more not in (None, ""):
            instruction = _text(place, "instruction", instruction)
            instruction = f"{instruction}\n\n{_text(place, 'input', more)}"
        said, turns = "", [("user", instruction), ("assistant", fields["output"])]
        names = FORMS[form]
    else:
        said, turns = _from_prompt(place, fields)
        names = FORMS[form]
    pairs = []
    for at in range(0, len(turns), 2):
        texts = [_text(place, name, turns[at + i][1]) for i, name in enumerate(names)]
        for name, text in zip(names, texts, strict=True):
            if not (keep_empty or text.strip()):
                raise LabError(f"{place}: {name}: empty")
        pairs.append((texts[0], texts[1]))
    return said or system, pairs, note


def _from_prompt(place: str, fields: Mapping[str, Any]) -> tuple[Any, list[tuple[str, Any]]]:
    """Return the system message and the turns of prompt and completion: texts, or messages."""
    prompt, completion = fields["prompt"], fields["completion"]
    system, turns = "", [("user", prompt)]
    if isinstance(prompt, list):
        system, turns = _listed(place, "prompt", prompt)
        if not _alternate(turns) or len(turns) % 2 == 0:
            raise LabError(
                f"{place}: prompt: a list must hold one message, of role user, or those of a "
                "conversation, user and assistant in turns, the last of role user"
            )
    if isinstance(completion, list):
        _, answer = _listed(place, "completion", completion)
        if [role for role, _ in answer] != ["assistant"]:
            raise LabError(f"{place}: completion: {_ONE_ANSWER}")
        completion = answer[0][1]
    return system, [*turns, ("assistant", completion)]


def _listed(place: str, field: str, value: list[Any]) -> tuple[Any, list[tuple[str, Any]]]:
    if not all(isinstance(message, Mapping) for message in value):
        needed = _ONE_ANSWER if field == "completion" else "a list must hold messages"
        raise LabError(f"{place}: {field}: {needed}")
    return _from_messages(place, field, value)


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


def _from_messages(place: str, field: str, messages: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """Return the system message and the turns of a list of messages, each (role, content)."""
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
    return system, turns


def _alternate(turns: list[tuple[str, Any]]) -> bool:
    return all(role == ("user", "assistant")[at % 2] for at, (role, _) in enumerate(turns))


def _check_turns(place: str, field: str, turns: list[tuple[str, Any]]) -> None:
    """Raise LabError where the turns are not a user's and the assistant's, one after the other."""
    if len(turns) > 1 and _alternate(turns):
        return
    roles = [role for role, _ in turns]
    unknown = [role for role in roles if role not in _ROLES]
    more = f"; {shorten(unknown[0])} is no role" if unknown else ""
    raise LabError(
        f"{place}: {field}: roles {shorten(', '.join(roles))}; legal: an optional system message, "
        f"then user and assistant in turns{more}"
    )

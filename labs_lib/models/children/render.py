"""Render a chat template: one that floods or never ends then ends with this process.

In: {"template": ..., "conversations": [[message, ...], ...], "values": {...}, "longest": n}.
Out: {"error": null, or [kind, what is wrong]}. The environment is the one transformers renders in:
Jinja's immutable sandbox with the same filters and functions.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from limits import hold_to  # beside this file, which is run by its path

hold_to(cpu_seconds=3, memory_bytes=1 << 30)

import jinja2  # noqa: E402  (under the limits)
from jinja2.exceptions import SecurityError  # noqa: E402
from jinja2.ext import Extension, loopcontrols  # noqa: E402
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: E402


class Generation(Extension):
    """`{% generation %}` marks an answer for training and shows its content."""

    tags = {"generation"}  # noqa: RUF012  (Jinja's own form)

    def parse(self, parser: Any) -> Any:
        """Return the block's content."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Namespace(jinja2.utils.Namespace):
    """Jinja's namespace without names that begin with an underscore, as transformers has it."""

    def __init__(*given: Any, **more: Any) -> None:  # so that `namespace(self=...)` still works
        self, *rest = given
        attributes = dict(*rest, **more)
        for name in attributes:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"the name {name!r} on a namespace")


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    """Return `value` as JSON, not escaped for HTML; the options in transformers' order."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def refuse(message: Any) -> None:
    """Raise, for a template that does not accept the messages and calls this."""
    raise jinja2.TemplateError(str(message))


def environment() -> ImmutableSandboxedEnvironment:
    """Return an environment as transformers makes it."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    made.filters["tojson"] = to_json
    made.globals["namespace"] = Namespace
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made


def judge(request: dict[str, Any]) -> tuple[str, str] | None:
    """Return what is wrong with the template on these conversations, or None."""
    try:
        template = environment().from_string(request["template"])
        for messages in request["conversations"]:
            length = 0
            pieces = template.generate(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **request["values"],
            )
            for piece in pieces:
                length += len(piece)
                if length > request["longest"]:
                    return "size", f"more than {request['longest']:,} characters"
    except SecurityError as error:
        return "attack", str(error)
    except jinja2.TemplateSyntaxError as error:
        return "syntax", f"line {error.lineno}: {error.message}"
    except (jinja2.UndefinedError, jinja2.TemplateRuntimeError) as error:
        return "error", str(error)
    except jinja2.TemplateError as error:
        return "refused", str(error)
    except MemoryError:
        return "size", "more memory than 1 GiB"
    except Exception as error:  # a template can raise whatever Python's own types raise
        return "error", f"{type(error).__name__}: {error}"
    return None


given = json.load(sys.stdin)
found = judge(given)
json.dump({"error": [part[:300] for part in found] if found else None}, sys.stdout)

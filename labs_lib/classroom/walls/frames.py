"""What passes between the grader and the bench: works in, what was seen of their end out.

A work is a header and a pickle that the grader made; nothing comes back but JSON, which is held to
a form before it is used.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from labs_lib.assessment.sandbox_report import RESULT_BYTES, Ended

HEADER = struct.Struct("!QdQ")
"""Of a work: bytes of its pickle, seconds that it may run, bytes that it may print."""
LENGTH = struct.Struct("!Q")
READY = b"ready\n"
MOST_PRINTED = 200_000
# The result and the output in base64, and the names of the fields.
LARGEST_REPLY = 4 * (RESULT_BYTES + 2 * MOST_PRINTED) // 3 + 10_000
LARGEST_WORK = 2**30

_FORM = TypeAdapter(Ended)


class NotAReplyError(ValueError):
    """Bytes that no bench of ours sends."""


def reply(ended: Ended) -> bytes:
    """Return how a process ended as the bytes that the bench sends."""
    fields: dict[str, Any] = asdict(ended)
    fields["result"] = base64.b64encode(ended.result[: RESULT_BYTES + 1]).decode()
    fields["printed"] = base64.b64encode(ended.printed[:MOST_PRINTED]).decode()
    content = json.dumps(fields).encode()
    return LENGTH.pack(len(content)) + content


def read_reply(content: bytes) -> Ended:
    """Return what a bench says of a process; NotAReplyError for what is no reply."""
    try:
        fields = json.loads(content)
        for name in ("result", "printed"):
            fields[name] = base64.b64decode(fields[name], validate=True)
        return _FORM.validate_python(fields)
    except (ValidationError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotAReplyError(str(error)) from None

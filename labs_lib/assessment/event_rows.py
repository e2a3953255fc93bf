"""What a line of the progress file may hold: each kind of event has its form."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from labs_lib.errors import LabError, shorten

Event = dict[str, Any]

LONGEST_LINE_BYTES = 256 * 2**10
LARGEST_NUMBER = 2.0**1000

_Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
_Count = Annotated[int, Field(ge=0, le=10**9)]
_Number = (
    Annotated[int, Field(ge=-(2**1000), le=2**1000)]
    | Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)]
)
_Range = Annotated[list[_Number], Field(min_length=2, max_length=2)]
_Predicted = bool | _Number | Annotated[str, StringConstraints(max_length=3000)] | _Range


class _Row(BaseModel, frozen=True):
    """What every event has; fields of a newer version stay in the file and are not looked at."""

    model_config = ConfigDict(strict=True, extra="ignore")

    event: _Name
    id: _Name
    time: _Name


class _Help(_Row, frozen=True):
    event: Literal["hint", "solution"]


class _Answer(_Row, frozen=True):
    event: Literal["answer"]
    outcome: Annotated[str, StringConstraints(max_length=100)] = ""
    response: Any = None
    bank: str | None = None
    misconception: Annotated[str, StringConstraints(max_length=3000)] | None = None
    hints: _Count = 0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    repeat: bool = False
    confidence: Annotated[str, StringConstraints(max_length=100)] | None = None
    review: bool = False


class _Arranged(_Row, frozen=True):
    event: Literal["arranged"]
    outcome: Annotated[str, StringConstraints(max_length=100)] = ""
    response: Annotated[str, StringConstraints(max_length=300)] = ""
    bank: str | None = None
    misconception: Annotated[str, StringConstraints(max_length=3000)] | None = None


class _Prediction(_Row, frozen=True):
    event: Literal["prediction"]
    value: _Predicted


class _Comparison(_Row, frozen=True):
    event: Literal["comparison"]
    outcome: _Predicted
    value: _Predicted | None = None


class _Interview(_Row, frozen=True):
    event: Literal["interview"]
    response: Any = None
    ticked: Annotated[list[_Count], Field(max_length=100)] = []
    points: _Count = 0
    slips: Annotated[list[_Name], Field(max_length=100)] = []
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0


_ANY = TypeAdapter(_Row)
_FORMS: dict[str, TypeAdapter[Any]] = {
    "answer": TypeAdapter(_Answer),
    "arranged": TypeAdapter(_Arranged),
    "hint": TypeAdapter(_Help),
    "solution": TypeAdapter(_Help),
    "prediction": TypeAdapter(_Prediction),
    "comparison": TypeAdapter(_Comparison),
    "interview": TypeAdapter(_Interview),
}
KINDS = tuple(_FORMS)


def is_known(event: Event) -> bool:
    """Return whether this version counts the event; a newer version's kinds are only kept."""
    return event["event"] in _FORMS


def checked(row: Any) -> Event:
    """Return a line's content if it has the form of its kind, or of an event of a newer kind.

    Raises LabError, in one line with the field and its value, otherwise.
    """
    if not isinstance(row, dict):
        raise LabError("not a line of a progress file")
    event = cast("Event", row)
    kind = event.get("event")
    form = _FORMS.get(kind, _ANY) if isinstance(kind, str) else _ANY
    try:
        form.validate_python(event)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "event"
        if name in ("event", "id", "time"):
            raise LabError(f"not a line of a progress file ({name} is missing or wrong)") from None
        if first["type"] == "missing":
            raise LabError(f"{name}: missing from the {kind}") from None
        shown = shorten(event.get(name))
        raise LabError(f"{name}: {shown} is not what the {kind} of {event['id']} holds") from None
    return event


def lines_of(raw: bytes) -> list[bytes]:
    """Return the lines of a progress file; a byte-order mark and line ends of any kind go."""
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    return [line.strip(b"\r") for line in raw.split(b"\n")]


def decoded(line: bytes) -> Any:
    """Return what a line holds, None for what is no JSON, not finite, or too long to be ours."""
    if len(line) > LONGEST_LINE_BYTES:
        return None
    try:
        return json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def decoded_all(lines: list[bytes]) -> list[Any]:
    """Return what each line holds, as `decoded` does."""
    # All at once is several times faster; with one bad line, they are read one by one.
    if all(
        len(line) <= LONGEST_LINE_BYTES and line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}"
        for line in lines
    ):
        try:
            together = json.loads(b"[" + b",".join(lines) + b"]", parse_constant=_refuse)
        except (ValueError, RecursionError):
            together = None
        if together is not None and len(together) == len(lines):
            return together
    return [decoded(line) for line in lines]


def key_of(event: Event, line: bytes) -> str | bytes:
    """Return what two copies of one event have in common, however their JSON is spaced."""
    try:
        return json.dumps(event, sort_keys=True)
    except RecursionError:
        return line


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")

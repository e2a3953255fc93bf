"""Records that are kept as JSON: frozen dataclasses, read back and checked by pydantic."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from labs_lib.errors import LabError

_Kept = TypeVar("_Kept", bound="Record")


class Record:
    """A frozen dataclass whose fields, with those of the records in it, are its JSON."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, in the order of the fields."""
        return _adapter(type(self)).dump_python(self, warnings=False)

    @classmethod
    def from_dict(cls: type[_Kept], values: Mapping[str, Any]) -> _Kept:
        """Build the record from what `as_dict` returned; `ValidationError` for anything else."""
        return _adapter(cls).validate_python(values)


def read_values(path: Any) -> dict[str, Any]:
    """Return the object in a JSON file; `ValueError` where it holds none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("expected an object with fields")
    return values


def damaged(where: str, error: Exception) -> LabError:
    """Return the one line on a file that holds no record of ours; `where` names it."""
    reason = str(error)
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False)[0]
        field = ".".join(map(str, problem["loc"]))
        reason = f"{field}: {problem['msg']}" if field else problem["msg"]
    return LabError(f"{where} is damaged: {reason}")


@functools.cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def made_by(
    what: str, runs: int, hardware: Mapping[str, Any], versions: Mapping[str, str], finished: str
) -> str:
    """Return in one line where, with which libraries and on which day (UTC) results were made."""
    packages = ", ".join(
        f"{name} {versions[name].partition('+')[0]}"
        for name in ("torch", "transformers", "peft", "trl")
        if name in versions
    )
    return (
        f"{what}: {runs} runs on {hardware['device_name']}, {hardware['cores']} cores, "
        f"{hardware['precision']}; {packages}; finished {finished[:10]}"
    )

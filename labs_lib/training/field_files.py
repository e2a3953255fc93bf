"""A YAML file of fields, as recipes, sweeps and benches are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from labs_lib.errors import LabError, explain_validation, shorten
from labs_lib.yamls import read_yaml

Model = TypeVar("Model", bound=BaseModel)


def read_fields(kind: str, path: Path, example: str) -> dict[str, Any]:
    """Return a file's fields; `kind` and `example` are for the errors, such as "recipe".

    Raises `LabError` for a missing file, broken YAML (with its line), and what is no fields.
    """
    try:
        fields = read_yaml(path)
    except FileNotFoundError:  # a link that leads nowhere
        raise LabError(f"{kind}: cannot read {path.name}: no such file") from None
    except LabError as error:
        raise LabError(f"{kind}: {error}") from None
    if not isinstance(fields, dict):
        raise LabError(
            f"{kind}: {path.name}: expected fields such as '{example}', got {shorten(fields)}"
        )
    if not all(isinstance(key, str) for key in fields):
        names = shorten(list(fields))
        raise LabError(f"{kind}: {path.name}: field names must be words, got {names}")
    return fields


def built(cls: type[Model], name: str, fields: dict[str, Any]) -> Model:
    """Return the model of these fields; `LabError` with the file's name and the illegal field."""
    try:
        return cls(**fields)
    except ValidationError as error:
        problem: Any = error.errors(include_url=False)[0]
        if not problem["loc"]:  # the validator's own words; the value is the whole file
            raise LabError(f"{name}: {problem['ctx']['error']}") from None
        raise explain_validation(error, cls, name) from None

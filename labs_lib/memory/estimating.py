"""The forecast of any model: the formula's where it knows the model, else fitted to its traces."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from labs_lib.memory.closed_form import forecast
from labs_lib.memory.config_file import config_file
from labs_lib.memory.curves import NoFitError, fitted
from labs_lib.memory.known_fields import NoFormulaError
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import Forecast


def estimate(model: str | MemoryRequest, **fields: Any) -> Forecast:
    """Forecast the step by formula, or fitted to traces if the formula does not know the model.

    `fields` are those of `MemoryRequest`. The first note of the forecast says why it is not the
    formula's. A step that no polynomial describes is traced itself. Raises `LabError` in one line
    for a bad request, or where no way leads to an answer.
    """
    request = request_of(model, **fields)
    try:
        return forecast(request)
    except NoFormulaError as reason:
        why = reason.why
    try:
        result, how = fitted(request), "Fitted to traces"
    except NoFitError:
        result, how = traced(request), "Traced"
    return dataclasses.replace(result, notes=(f"{how}: {why}.", *result.notes))


def traced(request: MemoryRequest) -> Forecast:
    """Return the trace of a request; the same of an unchanged configuration is not run again."""
    path = config_file(request.model)
    return _traced(request.model_dump_json(), path.stat().st_mtime_ns if path else 0)


@functools.lru_cache(maxsize=256)
def _traced(request: str, _changed: int) -> Forecast:
    from labs_lib.memory.tracing import trace

    return trace(MemoryRequest.model_validate_json(request))

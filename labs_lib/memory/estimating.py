"""The forecast of any model: the formula's where it knows the model, the trace's elsewhere."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from labs_lib.memory.closed_form import forecast
from labs_lib.memory.config_file import config_file
from labs_lib.memory.known_fields import NoFormulaError
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import Forecast


def estimate(model: str | MemoryRequest, **fields: Any) -> Forecast:
    """Forecast the step by formula, or by the trace if the formula does not know the model.

    `fields` are those of `MemoryRequest`. A note of the forecast says why it was traced. Raises
    `LabError` in one line for a bad request, or where neither way leads to an answer.
    """
    request = request_of(model, **fields)
    try:
        return forecast(request)
    except NoFormulaError as reason:
        why = reason.why
    result = traced(request)
    return dataclasses.replace(result, notes=(f"Traced: {why}.", *result.notes))


def traced(request: MemoryRequest) -> Forecast:
    """Return the trace of a request; the same of an unchanged configuration is not run again."""
    path = config_file(request.model)
    return _traced(request.model_dump_json(), path.stat().st_mtime_ns if path else 0)


@functools.lru_cache(maxsize=256)
def _traced(request: str, _changed: int) -> Forecast:
    from labs_lib.memory.tracing import trace

    return trace(MemoryRequest.model_validate_json(request))

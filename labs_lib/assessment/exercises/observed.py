"""What a probe returns of an answer that it cannot look at, and the property that says so."""

from __future__ import annotations

from labs_lib.assessment.exercises.base import Property

_MARK = "malformed"


def malformed() -> dict[str, bool]:
    """Return the observation of an answer that has another form than was asked for."""
    return {_MARK: True}


def well_formed(message: str) -> Property:
    """Return the property that no result is `malformed()`; `message` says which form is wanted."""
    return Property(lambda results: not any(_MARK in result for result in results), message)

"""From a claim to its evidence: the check is run, the record read, the source named."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import FunctionType, ModuleType

from labs_lib.errors import LabError, nearest
from labs_lib.ledger.finding import Finding
from labs_lib.ledger.reading import find_claim
from labs_lib.ledger.schema import Claim

CHECKS = "labs_lib.ledger.checks"


def evidence(claim_id: str) -> Finding:
    """Return what the verdict on a claim rests on, its figure computed now where it has a check.

    A recorded result, or a figure as its source states it, comes with its `origin`. Raises LabError
    with the nearest id for an unknown claim.
    """
    return finding_of(find_claim(claim_id))


def finding_of(claim: Claim) -> Finding:
    """Return the evidence of a claim; LabError for a check that there is not."""
    if claim.check is not None:
        return _checked(claim.check)
    if claim.recorded is not None:
        return Finding(claim.recorded.result, origin=claim.recorded.provenance)
    return Finding(claim.figure or "", origin=claim.source or "no source")


def check_function(name: str) -> Callable[[], Finding]:
    """Return the function that "memory.lora_column" names; LabError if there is none."""
    topic, _, function = name.partition(".")
    try:
        module = importlib.import_module(f"{CHECKS}.{topic}")
    except ModuleNotFoundError as error:
        if error.name != f"{CHECKS}.{topic}":
            raise
        raise LabError(f"check: {name} names no module of the ledger's checks") from None
    own = _functions(module)
    if function not in own:
        raise LabError(f"check: {topic} has no function {function}{nearest(function, own)}")
    return own[function]


def _functions(module: ModuleType) -> dict[str, Callable[[], Finding]]:
    """Return name → function of the checks that a module defines itself."""
    return {
        name: found
        for name, found in vars(module).items()
        if isinstance(found, FunctionType)
        and found.__module__ == module.__name__
        and not name.startswith("_")
    }


@functools.cache
def _checked(name: str) -> Finding:
    return check_function(name)()

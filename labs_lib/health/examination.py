"""Every check by its name, and one examination of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labs_lib.health.contents import bundled_model, data_sets, quizzes, recipes
from labs_lib.health.findings import Finding, set_up_again
from labs_lib.health.machine import device, disk, four_bit_kernel, memory
from labs_lib.health.programs import browser, kernel, model_hub
from labs_lib.health.python import packages, pins, python

MODEL_HUB = "model hub"
# In the order of the report. A new check is a function that returns a `Finding`, and a line here.
CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": python,
    "packages": packages,
    "pins": pins,
    "device": device,
    "memory": memory,
    "disk": disk,
    "4-bit kernel": four_bit_kernel,
    "bundled model": bundled_model,
    "recipes": recipes,
    "quizzes": quizzes,
    "data sets": data_sets,
    "Jupyter kernel": kernel,
    "browser for tests": browser,
    MODEL_HUB: model_hub,
}


@dataclass(frozen=True)
class Check:
    """One line of the report: a check's name, and the fields of its `Finding`."""

    name: str
    state: str
    found: str
    mend: str = ""


def examine(ask_hub: bool = False) -> list[Check]:
    """Run every check once; with `ask_hub` the model hub is tried, over the network."""
    checks = CHECKS | ({MODEL_HUB: lambda: model_hub(ask=True)} if ask_hub else {})
    return [checked(name, look) for name, look in checks.items()]


def checked(name: str, look: Callable[[], Finding] | None = None) -> Check:
    """Run one check, by default the one of that name; one that breaks is reported as missing."""
    try:
        finding = (look or CHECKS[name])()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        finding = Finding("missing", reason, set_up_again())
    return Check(name, finding.state, finding.found, finding.mend)

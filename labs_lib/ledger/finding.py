"""What a check finds: a figure, and in which cases the claim holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Verdict = Literal["true", "conditional", "false", "taste"]
VERDICTS: tuple[Verdict, ...] = ("true", "conditional", "false", "taste")


@dataclass(frozen=True)
class Finding:
    """A figure, computed just now, and case → whether the claim holds there.

    The cases are those that the claim's words cover: one for a claim about one number, several for
    a claim that may depend on the recipe. A matter of taste has a figure and no cases.
    """

    figure: str
    cases: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def verdict(self) -> Verdict:
        """Return the verdict that the cases give: all, none or some of them hold the claim."""
        if not self.cases:
            return "taste"
        if all(self.cases.values()):
            return "true"
        return "conditional" if any(self.cases.values()) else "false"

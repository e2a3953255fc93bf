"""What a check finds: a figure, and in which cases the claim holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["true", "conditional", "false", "taste"]
VERDICTS: tuple[Verdict, ...] = ("true", "conditional", "false", "taste")


@dataclass(frozen=True)
class Finding:
    """A figure, and case → whether the claim holds there.

    The cases are those that the claim's words cover: one for a claim about one number, several for
    a claim that may depend on the recipe. A matter of taste has a figure and no cases. `origin`
    says where the figure is from: computed just now, or what was run, on what and when.
    """

    figure: str
    cases: Mapping[str, bool] = field(default_factory=dict[str, bool])
    origin: str = "computed"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict that the cases give: all, some or none of them hold the claim."""
        if not self.cases:
            return "taste"
        if all(self.cases.values()):
            return "true"
        return "conditional" if any(self.cases.values()) else "false"

    def where(self, holds: bool) -> list[str]:
        """Return the cases in which the claim holds, or in which it does not."""
        return [case for case, held in self.cases.items() if held == holds]

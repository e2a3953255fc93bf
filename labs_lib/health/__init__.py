"""Whether this machine has what the course needs, and what mends it: `labs doctor`'s checks."""

from __future__ import annotations

from labs_lib.health.examination import CHECKS, Check, checked, examine
from labs_lib.health.findings import Finding

__all__ = ["CHECKS", "Check", "Finding", "checked", "examine"]

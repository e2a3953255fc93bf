"""Python and its packages: the versions that are here against those the course declares."""

from __future__ import annotations

import sys
from importlib import metadata

from labs_lib import paths
from labs_lib.health.findings import Finding, in_course_venv, set_up_again


def python() -> Finding:
    """Check the version of Python against the one that the project declares."""
    from packaging.specifiers import SpecifierSet

    version = ".".join(map(str, sys.version_info[:3]))
    needed = metadata.metadata("lora-lab")["Requires-Python"]
    if not SpecifierSet(needed).contains(version):
        return Finding("missing", version, f"install Python {needed} (3.11 is best)")
    return Finding("ok", f"{version} ({'.venv' if in_course_venv() else sys.prefix})")


def packages() -> Finding:
    """Check each declared dependency against its range."""
    from packaging.requirements import Requirement

    wrong = []
    declared = [Requirement(line) for line in metadata.requires("lora-lab") or []]
    needed = [
        need for need in declared if need.marker is None or need.marker.evaluate({"extra": ""})
    ]
    for need in needed:
        try:
            version = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            wrong.append((f"{need.name} is not installed", need))
            continue
        if not need.specifier.contains(version, prereleases=True):
            wrong.append((f"{need.name} {version}, the course needs {need.specifier}", need))
    if wrong:
        mend = set_up_again()
        if not in_course_venv():
            quoted = " ".join(f'"{need.name}{need.specifier}"' for _, need in wrong)
            mend = f"python -m pip install {quoted}"
        return Finding("missing", "; ".join(text for text, _ in wrong), mend)
    return Finding("ok", f"{len(needed)} direct dependencies, all in range")


def pins() -> Finding:
    """Compare the installed versions with the lock: a difference is worth knowing, no more."""
    course = paths.checkout()
    lock = course / "requirements.lock" if course else None
    if lock is None or not lock.exists():
        return Finding("optional", "no requirements.lock here")
    from packaging.requirements import Requirement
    from packaging.version import Version

    same, other = 0, []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        need = Requirement(line)
        if need.marker is not None and not need.marker.evaluate():
            continue
        try:
            version = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            continue  # of the tests' and developers' extras
        if need.specifier.contains(Version(version).public, prereleases=True):
            same += 1
        else:
            other.append(f"{need.name} {version} (pinned {str(need.specifier).lstrip('=')})")
    if other:
        return Finding("optional", f"{len(other)} differ: {', '.join(other)}", set_up_again())
    return Finding("ok", f"{same} packages, each as pinned")

"""Which steps of a set-up are done, and what each was made from."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence

from tools.launcher import places


def fingerprints(sections: Sequence[str]) -> dict[str, str]:
    """Return step -> digest of everything that the step is made from."""
    version = f"{sys.version_info.major}.{sys.version_info.minor} {sys.implementation.name}"
    python = f"{version} {places.ROOT} {places.INSTALLER}"
    pins = read_lock()
    made_from = {"environment": python}
    for name in sections:
        extra = places.MODEL_PACKAGE if name == "course" else ""
        made_from[name] = "\n".join([python, extra, *pins.get(name, [])])
    project = (places.ROOT / name for name in ("pyproject.toml", "setup.py"))
    texts = [file.read_text(encoding="utf-8") for file in project if file.is_file()]
    made_from["project"] = "\n".join([python, *texts])
    made_from["kernel"] = python + "1"
    made_from["model"] = "\n".join([python, places.MODEL_PACKAGE, os.environ.get("LABS_HOME", "")])
    return {
        # A folder's name may be no text.
        name: hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        for name, text in made_from.items()
    }


def pending(sections: Sequence[str]) -> list[str]:
    """Return the steps that are not done, in order; all of them where the environment is gone."""
    current = fingerprints(sections)
    done = read_stamps()
    if not places.venv_python().exists() or done.get("environment") != current["environment"]:
        return list(current)
    return [name for name, digest in current.items() if done.get(name) != digest]


def read_stamps() -> dict[str, str]:
    """Return what the finished steps were made from; nothing if the file is missing or damaged."""
    try:
        stamps = json.loads(places.STAMPS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def stamp(name: str) -> None:
    """Note that a step is done."""
    digest = fingerprints([name] if name in ("course", "test", "dev") else [])[name]
    aside = places.STAMPS.with_suffix(".new")
    aside.write_text(json.dumps({**read_stamps(), name: digest}, indent=2), encoding="utf-8")
    aside.replace(places.STAMPS)


def read_lock() -> dict[str, list[str]]:
    """Return section -> pins of `requirements.lock`; a section begins with a line `# [name]`."""
    sections: dict[str, list[str]] = {}
    current = ""
    for line in places.LOCK.read_text(encoding="utf-8").splitlines():
        heading = re.fullmatch(r"# \[(\w+)\]", line.strip())
        if heading:
            current = heading[1]
        elif line.strip() and not line.startswith("#"):
            sections.setdefault(current, []).append(line.strip())
    return sections

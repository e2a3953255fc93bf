"""pip, and what of its settings counts here."""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import re

from tools.launcher import places
from tools.launcher.programs import child_environment, output_of


def pip() -> list[str]:
    """Return the environment's pip, set to ask nothing."""
    return [str(places.venv_python()), "-m", "pip", "--no-input", "--disable-pip-version-check"]


# What a person or an administrator has set of pip that says how packages are reached.  All else
# (a target folder, the user's own packages, a platform, other constraints) would put them elsewhere
# or fetch others.
KEPT_OF_PIP = {
    "PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_KEYRING_PROVIDER", "PIP_NO_CACHE_DIR", "PIP_NO_INDEX",
    "PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT", "PIP_TRUSTED_HOST",
}  # fmt: skip


def set_up_environment() -> dict[str, str]:
    """Return the variables for programs of a set-up: `child_environment`, with few of pip's."""
    variables = {}
    for name, value in child_environment().items():
        if not name.startswith("PIP_") or name in {*KEPT_OF_PIP, "PIP_CONFIG_FILE"}:
            variables[name] = value
    if not places.venv_python().exists():
        return variables
    configured = pip_configuration(tuple(sorted(variables.items())))
    if configured is not None:  # else pip itself says what is wrong with its files
        variables |= configured | {"PIP_CONFIG_FILE": os.devnull}
    return variables


@functools.lru_cache
def pip_configuration(variables: tuple[tuple[str, str], ...]) -> dict[str, str] | None:
    """Return `KEPT_OF_PIP` from pip's configuration files as variables; None if pip cannot read."""
    status, output = output_of([*pip(), "config", "list"], dict(variables))
    if status:
        return None
    settings: dict[str, str] = {}
    for section in ("global", "install", ":env:"):  # the later wins, as in pip
        for key, value in re.findall(rf"^{section}\.([\w-]+)=(.+)$", output, re.MULTILINE):
            name = "PIP_" + key.upper().replace("-", "_")
            if name in KEPT_OF_PIP:
                with contextlib.suppress(ValueError, SyntaxError):
                    settings[name] = str(ast.literal_eval(value))
    return settings

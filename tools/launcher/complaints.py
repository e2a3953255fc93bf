"""What stops the launcher, in one line."""

from __future__ import annotations

import re
import sys

from tools.launcher import places


class CourseError(Exception):
    """Something that stops the launcher, in one line; exit status 2."""


NETWORK_SIGNS = (
    "Temporary failure in name resolution", "Name or service not known", "getaddrinfo failed",
    "nodename nor servname", "Failed to establish a new connection", "Network is unreachable",
    "Connection refused", "Connection reset", "timed out", "Max retries exceeded", "ProxyError",
    "SSLError", "CERTIFICATE_VERIFY_FAILED", "IncompleteRead", "No address associated",
)  # fmt: skip
DISK_SIGNS = ("No space left on device", "Errno 28", "not enough space on the disk", "WinError 112")


def explain(output: str) -> str:
    """Return a program's complaint in one line: the disk, the network, or its own last words."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any(sign in output for sign in DISK_SIGNS):
        gigabytes = f"{places.NEEDED_BYTES / 1e9:.0f} GB"
        return f"the disk is full; the course needs about {gigabytes} in {places.ROOT}"
    errors = [line for line in lines if re.match(r"(ERROR|error|\w*Error|labs):?", line)]
    gist = (errors[-1] if errors else lines[-1] if lines else "it said nothing")[:300]
    if any(sign in output for sign in NETWORK_SIGNS):
        return f"no network, or the package index does not answer; try again when it does ({gist})"
    if re.search(r"No module named '?(venv|ensurepip)|ensurepip is not|ensurepip', ", output):
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        return (
            f"this Python cannot make environments ({sys.executable} lacks venv or ensurepip); "
            f"on Debian and Ubuntu: apt install {package}; elsewhere take Python from python.org"
        )
    return f"the set-up stopped: {gist}"

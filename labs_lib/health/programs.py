"""The programs and services around the course: Jupyter's kernel, a browser, the model hub."""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path

from labs_lib.errors import LabError
from labs_lib.health.findings import Finding


def kernel() -> Finding:
    """Check that Jupyter knows a kernel which runs this very Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    manager = KernelSpecManager()
    own = []
    for name in manager.find_kernel_specs():
        command = manager.get_kernel_spec(name).argv
        program = command[0] if command else ""
        if re.fullmatch(r"python[\d.]*", program) or _same_file(program, sys.executable):
            own.append(name)
    if not own:
        mend = "python -m ipykernel install --sys-prefix --name python3"
        return Finding("missing", "none runs this Python", mend)
    return Finding("ok", ", ".join(sorted(own)))


def browser() -> Finding:
    """Look for the browser in which the tests open a lesson."""
    from labs_lib.browser import find

    mend = "course.py test fetches one; or install Chromium, Chrome or Edge"
    try:
        program = find()
    except LabError as error:
        return Finding("optional", str(error), mend)
    if program is None:
        return Finding("optional", "none; no lesson needs it", mend)
    return Finding("ok", str(program))


def model_hub(ask: bool = False) -> Finding:
    """Say whether the hub may be used; try it only when asked to."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if offline:
        return Finding("optional", "off (HF_HUB_OFFLINE is set); no lesson needs it")
    if not ask:
        return Finding("optional", "not asked (labs doctor --hub); no lesson needs it")
    import huggingface_hub

    try:
        huggingface_hub.HfApi().model_info("gpt2", timeout=5)
    except Exception as error:  # whatever it is, the course goes on without
        detail = f"does not answer ({type(error).__name__}); no lesson needs it"
        return Finding("optional", detail, "set HF_HUB_OFFLINE=1 to stop asking it")
    return Finding("ok", f"answers (huggingface_hub {metadata.version('huggingface_hub')})")


def _same_file(one: str, other: str) -> bool:
    return bool(one) and Path(one).exists() and Path(one).absolute() == Path(other).absolute()

"""What the launcher's tests share: a course folder to set up, steps that only note their turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.launcher import installing, places

STEPS = ["environment", "course", "project", "kernel", "model"]
PINS = """\
# a comment

# [course]
torch==2.13.0
tqdm==4.70.1

# [test]
pytest==9.2.0

# [dev]
ruff==0.17.6
"""


def move_launcher(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the launcher work on a folder with a lock, a project and no environment."""
    (folder / "requirements.lock").write_text(PINS)
    (folder / "pyproject.toml").write_text("[project]\n")
    patch.setattr(places, "ROOT", folder)
    patch.setattr(places, "VENV", folder / ".venv")
    patch.setattr(places, "LOCK", folder / "requirements.lock")
    patch.setattr(places, "STAMPS", folder / ".venv" / "lora-lab-setup.json")


def note_steps(patch: pytest.MonkeyPatch) -> list[str]:
    """Let each step of a set-up do nothing but note its turn; return the notes."""
    steps: list[str] = []

    def make_environment(lock: int) -> None:
        steps.append("environment")
        places.venv_python().parent.mkdir(parents=True, exist_ok=True)
        places.venv_python().touch()

    patch.setattr(installing, "make_environment", make_environment)
    patch.setattr(installing, "install_packages", lambda names, _lock: steps.extend(names))
    patch.setattr(installing, "install_project", lambda _lock: steps.append("project"))
    patch.setattr(installing, "write_jupyter_files", lambda: steps.append("kernel"))
    patch.setattr(installing, "prepare_model", lambda _lock: steps.append("model"))
    return steps


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was complained of, which must be one line."""
    complaint = capsys.readouterr().err
    assert complaint.startswith("course.py: ")
    assert complaint.count("\n") == 1
    return complaint

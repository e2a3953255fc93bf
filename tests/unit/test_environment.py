"""pyproject's ranges, the lock's pins and conda's environment tell the same story."""

from __future__ import annotations

import itertools
import re
import stat
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import labs_lib
from tools.launcher import places, stamps

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SYSTEMS = {
    "linux": {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"},
    "macos": {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"},
    "windows": {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"},
}
MACHINES = {"linux": "x86_64", "macos": "arm64", "windows": "AMD64"}
# What torch's builds bring themselves; the launcher installs them where torch asks for them.
OF_TORCH_BUILDS = re.compile(r"nvidia-|cuda-|triton")


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    """The project table of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def pins() -> list[Requirement]:
    """Every pin of the lock, all sections."""
    return [Requirement(line) for lines in stamps.read_lock().values() for line in lines]


def target(python: str, system: str) -> dict[str, str]:
    """Return the marker variables of a machine."""
    return {
        **SYSTEMS[system],
        "python_version": python,
        "python_full_version": f"{python}.9",
        "platform_machine": MACHINES[system],
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "extra": "",
    }


def holds(marker: Marker | None, variables: dict[str, str]) -> bool:
    """Return whether a requirement counts on a machine."""
    return marker is None or marker.evaluate(dict(variables))


def chosen(pins: list[Requirement], variables: dict[str, str]) -> dict[str, str]:
    """Return name -> version of the pins that count on a machine; each name at most once."""
    versions: dict[str, str] = {}
    for pin in pins:
        if holds(pin.marker, variables):
            name = canonicalize_name(pin.name)
            assert name not in versions, f"{name} is pinned twice"
            versions[name] = str(pin.specifier).removeprefix("==")
    return versions


MACHINES_OF_STUDENTS = list(itertools.product(PYTHONS, SYSTEMS))


@pytest.mark.parametrize(("python", "system"), MACHINES_OF_STUDENTS)
def test_each_range_has_one_pin_inside_it(project, pins, python: str, system: str):
    variables = target(python, system)
    versions = chosen(pins, variables)
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["test"], *extras["dev"]]:
        need = Requirement(line)
        if holds(need.marker, variables):
            assert need.specifier.contains(versions[canonicalize_name(need.name)]), line


@pytest.mark.parametrize(("python", "system"), MACHINES_OF_STUDENTS)
def test_the_lock_names_all_that_its_packages_need(pins, python: str, system: str):
    """Follows the metadata of what is installed here as if on another machine."""
    variables = target(python, system)
    versions = chosen(pins, variables)
    lacking = set()
    for name, version in versions.items():
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if installed.version.partition("+")[0] != version:
            continue
        for line in installed.requires or []:
            need = Requirement(line)
            wanted = canonicalize_name(need.name)
            if not holds(need.marker, variables) or OF_TORCH_BUILDS.match(wanted):
                continue
            if wanted not in versions or not need.specifier.contains(versions[wanted]):
                lacking.add(f"{name} needs {need}, locked: {versions.get(wanted)}")
    assert sorted(lacking) == []


def test_pins_are_exact_and_torch_is_the_measured_one(pins):
    for pin in pins:
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), str(pin)
        assert not OF_TORCH_BUILDS.match(pin.name)
    assert [str(pin) for pin in pins if pin.name == "torch"] == ["torch==2.13.0"]


def test_sections_hold_what_the_launcher_installs(project):
    sections = stamps.read_lock()
    assert set(sections) == {"course", "test", "dev"}
    names = {
        section: {canonicalize_name(Requirement(line).name) for line in lines}
        for section, lines in sections.items()
    }
    assert "pytest" in names["test"]
    assert {"ruff", "pyright"} <= names["dev"]
    own = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    assert own <= names["course"]


def test_conda_takes_python_from_conda_and_all_else_from_the_lock(root: Path, project):
    content = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    assert content["name"] == project["name"]
    assert content["channels"][0] == "conda-forge"
    python, pip, rest = content["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert rest == {"pip": ["-r requirements.lock", "."]}
    assert ">=3.10" in project["requires-python"]


def test_an_environment_that_is_kept_does_not_lean_on_this_folder(root: Path):
    """conda and repo2docker install a copy: the folder may be moved, mounted over or deleted."""
    content = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    for line in content["dependencies"][2]["pip"]:
        assert not re.match(r"(-e|--editable)\b", line), line
    script = (root / "postBuild").read_text(encoding="utf-8")
    assert not re.search(r"\s(-e|--editable)\b", script)
    # `python -m` in this folder would run the folder's own copy, not the installed one.
    assert "cd " in script.partition("python -m labs_lib.models")[0]


def test_the_bundled_model_is_one_version_everywhere(root: Path):
    assert places.MODEL_PACKAGE in (root / "postBuild").read_text(encoding="utf-8")
    source = (root / "labs_lib" / "models" / "bundled.py").read_text(encoding="utf-8")
    assert f'"{places.MODEL_PACKAGE}"' in source
    assert "smollm" not in (root / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no executable bit")
@pytest.mark.parametrize("name", [".ci/run", "postBuild"])
def test_scripts_can_be_executed(root: Path, name: str):
    assert (root / name).stat().st_mode & stat.S_IXUSR


def test_no_registry_address_is_written_anywhere(root: Path):
    names = ("course.py", "requirements.lock", "environment.yml", ".ci/run", "pyproject.toml")
    for file in (*map(root.joinpath, names), *(root / "tools").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"index-url|find-links|pypi\.org|https?://(?!127)", text), file


def test_the_version_stands_in_one_place_and_the_changelog_tells_of_it(root: Path, project):
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", changes, re.MULTILINE)
    assert headings[:2] == ["Unreleased", labs_lib.__version__]
    assert len(headings) == len(re.findall(r"^## ", changes, re.MULTILINE))

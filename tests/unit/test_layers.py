"""Imports point one way: the contract in pyproject.toml, held by import-linter."""

from __future__ import annotations

import graphlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

CHECK = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=1))"


def checked(folder: Path) -> tuple[int, str]:
    """Return the status and the report of import-linter on the course that lies in `folder`."""
    variables = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=folder, env=variables, text=True, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_the_contract_on_imports_holds(root: Path):
    status, report = checked(root)
    assert status == 0, report
    assert "0 broken" in report


def test_no_file_imports_itself_by_way_of_others():
    graph = grimp.build_graph("labs_lib", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


@pytest.fixture(scope="module")
def course_copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and its contract, to break."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(root / "pyproject.toml", folder)
    only_code = shutil.ignore_patterns("__pycache__", "*.json", "*.jsonl", "*.yaml")
    shutil.copytree(root / "labs_lib", folder / "labs_lib", ignore=only_code)
    return folder


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("errors.py", "import labs_lib.models", "labs_lib.errors -> labs_lib.models"),
        ("memory/__init__.py", "import labs_lib.training", "labs_lib.memory -> labs_lib.training"),
        ("widgets/heatmap.py", "import labs_lib.commands", "labs_lib.widgets.heatmap -> labs_lib"),
        ("shown.py", "def late():\n    import labs_lib.errors", "No cycles are allowed"),
        ("of_no_floor.py", "", "of_no_floor"),
    ],
    ids=["up", "to a room above", "sideways", "circle", "unknown file"],
)
def test_what_breaks_the_contract_is_seen(course_copy: Path, file: str, line: str, complaint: str):
    path = course_copy / "labs_lib" / file
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        status, report = checked(course_copy)
    finally:
        path.unlink() if before is None else path.write_text(before, encoding="utf-8")
    assert status == 1
    assert complaint in report

"""The installed course, without its repository: recipes, quizzes and data sets are in the wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from workbook_course import write_edition

import labs_lib

# One worker makes what the whole file reads.
pytestmark = pytest.mark.xdist_group("installed")

BROUGHT = (
    "labs_lib", "claims", "recipes", "quizzes",
    "pyproject.toml", "setup.py", "README.md", "LICENSE",
)  # fmt: skip
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")


@pytest.fixture(scope="module")
def source(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, in a folder with a blank, with an earlier build's leftovers."""
    folder = tmp_path_factory.mktemp("a course")
    for name in BROUGHT:
        if (root / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(root / name, folder / name, ignore=ignored)
        else:
            shutil.copy(root / name, folder / name)
    (folder / "build/lib/labs_lib/quizzes").mkdir(parents=True)
    (folder / "build/lib/labs_lib/quizzes/99_gone.yaml").write_text("of an earlier build")
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """The wheel, as pip builds it."""
    python("-m", "pip", "wheel", "-q", *OFFLINE, "-w", str(source / "dist"), str(source))
    return next((source / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed course; its repository is not beside it."""
    folder = tmp_path_factory.mktemp("site")
    python("-m", "pip", "install", "-q", *OFFLINE, "--target", str(folder), str(wheel))
    return folder


def python(*arguments: str, path: Path | None = None, cwd: Path | None = None) -> str:
    """Run Python and return what it printed on both streams; `path` comes first on its path."""
    variables = {**os.environ, "PYTHONPATH": str(path or "")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=variables, text=True, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode in (0, 2), done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def brought(folder: Path) -> set[str]:
    """Return what the course brings beside code, as it is called within the package."""
    names = set()
    for top in ("labs_lib", "claims", "recipes", "quizzes"):
        for file in (folder / top).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                name = file.relative_to(folder).as_posix()
                names.add(name if top == "labs_lib" else f"labs_lib/{name}")
    return names


def test_the_wheel_holds_every_file_and_nothing_of_an_earlier_build(source: Path, wheel: Path):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == brought(source)
    assert wheel.name.split("-")[1] == labs_lib.__version__
    assert "labs_lib/recipes/sweeps/dropout.yaml" in names


def test_a_source_archive_holds_them_too(source: Path):
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    python("-c", build, str(source / "dist"), cwd=source)
    with tarfile.open(next((source / "dist").glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "recipes/sea-captain.yaml", "recipes/sweeps/targets.yaml"} <= names
    assert {name.removeprefix("labs_lib/") for name in brought(source)} <= {
        name.removeprefix("labs_lib/") for name in names
    }


def test_an_editable_install_reads_the_folder_itself(source: Path, tmp_path: Path):
    build = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    python("-c", build, str(tmp_path), cwd=source)
    site = tmp_path / "site"
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(site)
    use = (
        f"import site; site.addsitedir({str(site)!r}); "
        "from labs_lib import paths; print(paths.PACKAGE); print(paths.recipe_file('compare'))"
    )
    told = python("-I", "-S", "-c", use, cwd=tmp_path).splitlines()  # -S: no other site-packages
    assert told == [str(source / "labs_lib"), str(source / "recipes" / "compare.yaml")]


# `rank=x` stops a training as soon as its recipe has been found and read.
CHEAP = [
    (["quiz", "check"], "0 problems"),
    (["quiz", "check", "05_qlora"], "05_qlora/questions.yaml: "),
    (["quiz", "check", "quizzes/05_qlora/questions.yaml"], "05_qlora/questions.yaml: "),
    (["train", "sea-captain", "--set", "rank=x"], "sea-captain.yaml: rank: 'x' is not legal"),
    (["train", "recipes/sea-captain.yaml", "--set", "rank=x"], "rank: 'x' is not legal"),
    (["train", "../recipes/sea-captain.yaml", "--set", "rank=x"], "rank: 'x' is not legal"),
    (["train", "recipes/sea-captian.yaml"], "did you mean 'sea-captain.yaml'?"),
    (["compare", "--set", "rank=x"], "compare.yaml: rank: 'x' is not legal"),
    (["sweep", "recipes/sweeps/dropout.yaml", "--only", "dropout=9"], "dropout: '9' is not one"),
    (["sweep", "dropout", "--recorded", "--seeds", "0"], "finished 20"),
    (["claims", "memory.only-adapter"], "False: “Only the adapter's parameters"),
]


@pytest.mark.seconds
@pytest.mark.parametrize(("arguments", "expected"), CHEAP, ids=lambda each: str(each)[:60])
def test_a_verb_in_another_folder(
    installed: Path, tmp_path: Path, arguments: list[str], expected: str
):
    assert expected in python("-m", "labs_lib", *arguments, path=installed, cwd=tmp_path)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_exercise_is_judged_apart_from_the_notebook(
    installed: Path, tmp_path: Path, method: str
):
    """The lesson's module is found by its name in the process that runs the answer, too."""
    use = (
        f"import os; os.environ['LABS_SANDBOX'] = {method!r}; "
        "from labs_lib.assessment.exercises import find_exercise; "
        "from labs_lib.assessment.exercises.base import judge; "
        "exercise = find_exercise('01.training-bytes'); exec(exercise.solution); "
        "print(exercise.check.reference.__module__, judge(exercise, training_bytes).status)"
    )
    module = "labs_lib.assessment.lessons.01_why_peft.exercises"
    assert python("-c", use, path=installed, cwd=tmp_path).split() == [module, "correct"]


def test_an_installed_package_lays_the_lessons_of_the_folder_that_it_is_called_in(
    installed: Path, tmp_path: Path
):
    course, verb = tmp_path / "course", ("-m", "labs_lib", "lesson")
    write_edition(course, name="00_first")
    laid = python(*verb, path=installed, cwd=course / "notebooks")
    assert laid == "workbook/00_first.ipynb: new\n"
    assert (course / "workbook" / "00_first.ipynb").is_file()
    assert "the lessons are in the course's folder, and" in python(
        *verb, path=installed, cwd=tmp_path
    )


def test_the_doctor_sees_what_is_there_and_what_is_not(installed: Path, tmp_path: Path):
    look = (
        "import json; from dataclasses import asdict; from labs_lib.health import checked; "
        "print(json.dumps([asdict(checked(c)) for c in ('recipes', 'quizzes', 'data sets')]))"
    )

    def looked() -> dict[str, dict[str, str]]:
        checks = json.loads(python("-c", look, path=installed, cwd=tmp_path).splitlines()[-1])
        return {check["name"]: check for check in checks}

    assert {check["state"] for check in looked().values()} == {"ok"}
    assert str(installed / "labs_lib" / "recipes") in looked()["recipes"]["found"]
    aside = installed / "aside"
    for name in ("recipes", "quizzes", "data/sets"):
        aside.mkdir(exist_ok=True)
        (installed / "labs_lib" / name).rename(aside / Path(name).name)
    try:
        checks = looked()
    finally:
        for name in ("recipes", "quizzes", "data/sets"):
            (aside / Path(name).name).rename(installed / "labs_lib" / name)
    assert {check["state"] for check in checks.values()} == {"missing"}
    assert {check["mend"] for check in checks.values()} == {
        "in the course's folder: python -m pip install --force-reinstall --no-deps ."
    }

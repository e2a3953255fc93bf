"""A recipe, a sweep or a bank is found from any folder; a file of the student's own wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from labs_lib import paths
from labs_lib.commands import course_file
from labs_lib.commands.quiz import command as quiz
from labs_lib.errors import LabError
from labs_lib.training import Recipe
from labs_lib.training.sweep import Sweep

# what a person types, in a folder that has nothing → the course's file
FOUND = [
    (paths.recipe_file, "sea-captain", "recipes/sea-captain.yaml"),
    (paths.recipe_file, "sea-captain.yaml", "recipes/sea-captain.yaml"),
    (paths.recipe_file, "./sea-captain.yaml", "recipes/sea-captain.yaml"),
    (paths.recipe_file, "recipes/sea-captain", "recipes/sea-captain.yaml"),
    (paths.recipe_file, "recipes/sea-captain.yaml", "recipes/sea-captain.yaml"),
    (paths.recipe_file, "../recipes/sea-captain.yaml", "recipes/sea-captain.yaml"),
    (paths.recipe_file, "../../recipes/compare.yaml", "recipes/compare.yaml"),
    (paths.sweep_file, "dropout", "recipes/sweeps/dropout.yaml"),
    (paths.sweep_file, "sweeps/dropout.yaml", "recipes/sweeps/dropout.yaml"),
    (paths.sweep_file, "recipes/sweeps/dropout.yaml", "recipes/sweeps/dropout.yaml"),
    (paths.sweep_file, "../recipes/sweeps/rank-alpha.yaml", "recipes/sweeps/rank-alpha.yaml"),
    (paths.bank_file, "05_qlora", "quizzes/05_qlora/questions.yaml"),
    (paths.bank_file, "quizzes/05_qlora", "quizzes/05_qlora/questions.yaml"),
    (paths.bank_file, "../quizzes/05_qlora", "quizzes/05_qlora/questions.yaml"),
    (paths.bank_file, "quizzes/05_qlora.yaml", "quizzes/05_qlora/questions.yaml"),
    (paths.bank_file, "quizzes/05_qlora/questions.yaml", "quizzes/05_qlora/questions.yaml"),
]
# what is no file here and none of the course's → what the line says
REFUSED = [
    (paths.recipe_file, "sea-captian", "did you mean 'sea-captain'?"),
    (paths.recipe_file, "Sea-Captain", "did you mean 'sea-captain'?"),
    (paths.recipe_file, "recipes/sea-captian.yaml", "did you mean 'sea-captain.yaml'?"),
    (paths.recipe_file, "mine/sea-captain.yaml", "did you mean 'sea-captain.yaml'?"),
    (paths.recipe_file, "/nowhere/recipes/compare.yaml", "did you mean 'compare.yaml'?"),
    (paths.recipe_file, "recipes/../../pyproject.toml", "no file"),
    (paths.recipe_file, "zzz", "the course's own: compare, sea-captain, structured-output"),
    (paths.recipe_file, "x" * 5000, "no file"),
    (paths.recipe_file, "a\0b", "no file"),
    (paths.recipe_file, "~no-such-user-here/x.yaml", "no file"),
    (paths.recipe_file, "", "no file"),
    (paths.recipe_file, "..", "no file .."),
    (paths.recipe_file, "/", "no file /"),
    (paths.recipe_file, "recipes", "no file recipes"),
    (paths.sweep_file, "droput", "did you mean 'dropout'?"),
    (paths.bank_file, "05_qlroa", "did you mean '05_qlora'?"),
    (paths.bank_file, "05_qlroa.yaml", "did you mean '05_qlora.yaml'?"),
    (paths.bank_file, "quizzes", "no file quizzes"),
]


def shown(value) -> str:
    """What a test id calls it: a function by its name, since its repr holds an address."""
    return value.__name__ if callable(value) else ascii(value)[:30]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that has nothing to do with the course."""
    folder = tmp_path / "els ewhere ü"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LABS_QUIZZES", raising=False)
    return folder


@pytest.mark.parametrize(("find", "name", "expected"), FOUND)
def test_what_the_course_brings_is_found_from_anywhere(find, name: str, expected: str, root: Path):
    assert find(name) == root / expected


@pytest.mark.parametrize(("find", "name", "expected"), REFUSED, ids=shown)
def test_what_is_not_there_is_told_in_one_line(find, name: str, expected: str):
    with pytest.raises(LabError) as caught:
        find(name)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sea-captain.yaml", "sea-captain"),
        ("sea-captain.yml", "sea-captain"),
        ("sea-captain", "sea-captain"),
        ("recipes/sea-captain.yaml", "recipes/sea-captain.yaml"),
        ("recipes/sea-captain.yaml", "recipes/sea-captain"),
        ("../sea-captain.yaml", "../sea-captain.yaml"),
        ("version-1.2.yaml", "version-1.2"),
    ],
)
def test_a_file_of_the_students_own_wins(elsewhere: Path, file: str, name: str):
    (elsewhere / file).parent.mkdir(exist_ok=True)
    (elsewhere / file).write_text("steps: 3\nrank: 5\n", encoding="utf-8")
    assert paths.recipe_file(name).read_text(encoding="utf-8").startswith("steps: 3")
    assert Recipe.from_yaml(name).rank == 5


def test_a_folder_of_that_name_hides_nothing(elsewhere: Path, root: Path):
    (elsewhere / "sea-captain").mkdir()
    assert paths.recipe_file("sea-captain") == root / "recipes" / "sea-captain.yaml"


def test_a_dangling_link_of_the_students_is_told_not_replaced(elsewhere: Path):
    (elsewhere / "sea-captain.yaml").symlink_to(elsewhere / "gone.yaml")
    with pytest.raises(LabError, match=r"cannot read sea-captain\.yaml"):
        Recipe.from_yaml("sea-captain")


def test_lessons_read_their_recipes_by_these_names(root: Path):
    """A notebook that is copied to another folder finds what it names."""
    for source in (root / "notebooks" / "source").glob("*.py"):
        assert "../recipes" not in source.read_text(encoding="utf-8"), source.name
    assert Recipe.from_yaml("recipes/sea-captain.yaml").name == "sea-captain"
    assert Sweep.from_yaml("recipes/sweeps/dropout.yaml").name == "dropout"


def test_a_path_that_leads_to_the_courses_file_is_told(capsys: pytest.CaptureFixture[str]):
    course_file(paths.recipe_file, "recipes/sea-captain.yaml")
    assert "no file recipes/sea-captain.yaml here: taking the one" in capsys.readouterr().err
    course_file(paths.recipe_file, "sea-captain")
    assert capsys.readouterr().err == ""


def test_a_private_bank_is_looked_for_where_it_is(
    elsewhere: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    good = (root / "quizzes" / "05_qlora" / "questions.yaml").read_text(encoding="utf-8")
    (elsewhere / "banks").mkdir()
    (elsewhere / "banks" / "private.yaml").write_text(good, encoding="utf-8")
    monkeypatch.setenv("LABS_QUIZZES", str(elsewhere / "banks"))
    result = CliRunner().invoke(quiz, ["check", "private"])
    assert result.exit_code == 0, result.output
    assert "private.yaml: " in result.output


def student_copies() -> Path:
    return paths.workbook_dir(Path("course"))


VARIABLES = [
    ("LABS_QUIZZES", paths.quizzes_dir),
    ("LABS_HOME", paths.cache_dir),
    ("LABS_CACHE", paths.cache_dir),
    ("LABS_WORKBOOK", student_copies),
]


@pytest.mark.parametrize(("variable", "folder"), VARIABLES, ids=shown)
def test_a_variable_that_names_nobodys_folder_is_told(
    variable: str, folder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, "~no-such-user-here/labs")
    with pytest.raises(LabError, match=f"{variable}: .* names nobody's home folder"):
        folder()
    monkeypatch.setenv(variable, "~/labs")
    assert folder().is_relative_to(Path.home() / "labs")


def test_a_shared_cache_moves_no_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("LABS_CACHE", str(tmp_path / "shared"))
    assert paths.cache_dir() == tmp_path / "shared"
    assert paths.data_dir() == tmp_path / "own" / "data"

"""Where the course keeps what it makes (`LABS_HOME` moves all of it), and finds what it brings."""

from __future__ import annotations

import os
from pathlib import Path

from labs_lib.errors import LabError, nearest, shorten

PACKAGE = Path(__file__).resolve().parent
SUFFIXES = (".yaml", ".yml")
RELEASE = "release.json"  # at the top of the folder that a class is given
WORKBOOK = "workbook"  # the folder of the student's copies, in the course's
BANK = "questions.yaml"  # what a lesson's folder calls its bank


def cache_dir() -> Path:
    """Return the folder of what can be made again, converted models: `LABS_CACHE`, or the home's.

    Students of one machine may share it, and it may be read-only once the bundled model is there.
    """
    return _set_by("LABS_CACHE") or _folder("cache")


def own_cache_dir() -> Path:
    """Return the folder of what can be made again and is written at any time: the home's own."""
    return _folder("cache")


def data_dir() -> Path:
    """Return the folder of what cannot: the student's progress."""
    return _folder("data")


def runs_dir() -> Path:
    """Return the folder of training runs that were given no folder of their own."""
    return data_dir() / "runs"


def workbook_dir(course: Path) -> Path:
    """Return the folder of the student's copies: `LABS_WORKBOOK`, or `workbook` in the course's."""
    return _set_by("LABS_WORKBOOK") or course / WORKBOOK


def named_course() -> Path | None:
    """Return the course's folder that `LABS_COURSE` names; None where it names none."""
    return _set_by("LABS_COURSE")


def recipes_dir() -> Path:
    """Return the folder of the recipes that come with the course."""
    return _shipped("recipes")


def claims_dir() -> Path:
    """Return the folder of the ledger: what is said about LoRA, with the verdicts."""
    return _shipped("claims")


def quizzes_dir() -> Path:
    """Return the folder of the question banks: `LABS_QUIZZES`, a release's, or the course's own."""
    named = _set_by("LABS_QUIZZES")
    if named is not None:
        return named
    release = release_dir()
    return _shipped("quizzes") if release is None else release / "quizzes"


def release_dir() -> Path | None:
    """Return the folder of a class's release that the current folder is in, or None.

    It is what `labs class release` writes: `release.json` and the banks in `quizzes/`.
    """
    try:
        here = Path.cwd()
    except OSError:  # the current folder was removed
        return None
    for folder in (here, *here.parents):
        if (folder / RELEASE).is_file() and (folder / "quizzes").is_dir():
            return folder
    return None


def lesson_dirs() -> list[Path]:
    """Return the folders that lessons' exercises are looked for in: `LABS_QUIZZES`, the course's.

    A private folder of banks alone leaves the course's exercises as they are.
    """
    private = _set_by("LABS_QUIZZES")
    return [*([private.absolute()] if private else []), _shipped("quizzes")]


def checkout() -> Path | None:
    """Return the course's own folder, or None where only the package is installed."""
    top = PACKAGE.parent
    return top if all((top / name).is_file() for name in ("pyproject.toml", "setup.py")) else None


def recipe_file(name: str | Path) -> Path:
    """Return the recipe that a person means: a file of theirs, or one that comes with the course.

    `name` is a path, or a bare name such as "sea-captain". A file that exists, seen from the
    current folder, wins; otherwise "sea-captain", "recipes/sea-captain.yaml" and
    "../recipes/sea-captain.yaml" are the course's own, wherever they are called from.
    Raises `LabError` with the nearest name where there is neither.
    """
    return _named("recipe", name, recipes_dir(), ("recipes",))


def sweep_file(name: str | Path) -> Path:
    """Return the sweep that a person means, as `recipe_file` does: "dropout", "sweeps/dropout"."""
    return _named("sweep", name, recipes_dir() / "sweeps", ("recipes", "sweeps"))


def bench_file(name: str | Path) -> Path:
    """Return the bench that a person means, as `recipe_file` does: "methods", "bench/methods"."""
    return _named("bench", name, recipes_dir() / "bench", ("recipes", "bench"))


def bank_file(name: str | Path) -> Path:
    """Return the question bank that a person means, as `recipe_file` does.

    A lesson's name, "05_qlora", stands for the `questions.yaml` of its folder.
    """
    return _named("bank", name, quizzes_dir(), ("quizzes",), BANK)


def _named(
    kind: str, name: str | Path, folder: Path, home: tuple[str, ...], inner: str = ""
) -> Path:
    """Find a YAML file that is named from anywhere; `home` is where `folder` lies in the course.

    Where there is an `inner`, the name of a folder within it stands for its file of that name.
    """
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # a "~name" that is no user's
        path = Path(name)
    own = sorted([
        *(file.stem for file in folder.glob("*.yaml")),
        *(file.parent.name for file in folder.glob(f"*/{inner}") if inner),
    ])  # fmt: skip
    here: list[str] = []
    try:
        found = _found(path, folder, home, inner)
        if found is None and path.parent.is_dir():
            here = sorted(file.stem for file in path.parent.iterdir() if file.suffix in SUFFIXES)
    except (OSError, ValueError):  # a name that no disk takes, a folder that may not be looked into
        found = None
    if found is not None:
        return found
    suffix = path.suffix if path.suffix in SUFFIXES else ""
    typed = path.name.removesuffix(suffix)  # alike in their suffix, any two names would be near
    near = (nearest(typed, here) or nearest(typed, own)).replace("'?", f"{suffix}'?")
    shown = str(path) if len(str(path)) < 200 else shorten(str(path))
    raise LabError(f"{kind}: no file {shown}{near}; the course's own: {', '.join(own) or 'none'}")


def _found(path: Path, folder: Path, home: tuple[str, ...], inner: str) -> Path | None:
    """Return the file that a path names, seen from the current folder or within the course's."""
    for spelled in _spellings(path):
        # A dangling link is the person's own file, and is told as such by whoever reads it.
        if os.path.lexists(spelled) and not spelled.is_dir():
            return spelled
    below = _below(path, home)
    candidates = _spellings(folder / below) if below is not None else []
    if below is not None and inner:
        bare = below.name.removesuffix(below.suffix if below.suffix in SUFFIXES else "")
        candidates.append(folder / below.with_name(bare) / inner)
    return next((spelled for spelled in candidates if spelled.is_file()), None)


def _spellings(path: Path) -> list[Path]:
    """Return the path, and with it the name that a person did not write out."""
    complete = path.suffix in SUFFIXES or not path.name
    return [path] if complete else [path, *(path.with_name(path.name + end) for end in SUFFIXES)]


def _below(path: Path, home: tuple[str, ...]) -> Path | None:
    """Return where a name points to within the course's folder; None if it points elsewhere.

    "x.yaml", "recipes/x.yaml" and "../recipes/x.yaml" do for `home` = ("recipes",).
    """
    if path.is_absolute() or not path.name:
        return None
    parts = list(path.parts)
    while parts[0] == os.pardir:
        parts.pop(0)
        if not parts:
            return None
    for depth in range(len(home)):
        if tuple(parts[: len(home) - depth]) == home[depth:]:
            parts = parts[len(home) - depth :]
            break
    else:
        if len(path.parts) > 1:  # a folder that the course does not have
            return None
    return Path(*parts) if parts and os.pardir not in parts else None


def _shipped(name: str) -> Path:
    # Installed, the folder lies inside the package, where setup.py puts it; in the repository it
    # stands at the top, where a person finds it.  What else lies beside an installed package is
    # another project's.
    top = checkout()
    return top / name if top is not None else PACKAGE / name


def _folder(kind: str) -> Path:
    home = _set_by("LABS_HOME")
    if home is not None:
        return home / kind
    import platformdirs

    base = (
        platformdirs.user_cache_path("lora-lab", appauthor=False)
        if kind == "cache"
        else platformdirs.user_data_path("lora-lab", appauthor=False)
    )
    return base


def _set_by(variable: str) -> Path | None:
    """Return the folder that an environment variable names; None where it names none."""
    value = os.environ.get(variable)
    if not value:
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError:  # "~name" of no user
        raise LabError(f"{variable}: {value!r} names nobody's home folder") from None

"""A run's folder: what in it is the run's own, and an earlier run that stays until it is replaced.

A run writes a mark before anything else, and removes by name what it wrote, never a whole
folder: what a person keeps beside it stays. Where an earlier run lies in the folder, the new one
works in a folder within, and takes the earlier one's place when it is finished.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import filelock

from labs_lib.errors import LabError
from labs_lib.files import expanded, friendly_os_errors, move_files, write_json
from labs_lib.training.recipe import Recipe
from labs_lib.training.run import ADAPTER_FOLDER, MODEL_FOLDER, RUN_FILE

MARK = ".labs-run.json"
MADE_BY = "LoRA Lab"
UNFINISHED = ".unfinished"
RECIPE_FILE = "recipe.json"
BEFORE_FILE = "before.json"
CHECKPOINTS = "checkpoints"
PROBE_FILES = ("probe-before.json", "probe-after.json")
OUTPUTS = (ADAPTER_FOLDER, MODEL_FOLDER)
OWN_NAMES = (MARK, UNFINISHED, RECIPE_FILE, BEFORE_FILE, CHECKPOINTS, RUN_FILE)
OWN_NAMES += (*PROBE_FILES, *OUTPUTS)

# What `labs_lib.files` names a file or folder while it is written; a kill leaves it behind.
_ASIDE = re.compile(r"^\.+(?P<name>.+)\.\d+-[0-9a-f]{8}(\.old)?$")
_YOUNGER_FIELDS = {"eval_every", "stop_when_worse"}  # than the marks
_WITHOUT_LIST = ("adapter_config.json", "adapter_model.safetensors", "README.md")


@dataclass
class RunFolder:
    """Where a run is kept: `path`, and `work`, in which it is while it is under way.

    The two are one, except where an earlier run lies in `path`. `resumed` says whether `work`
    holds this run's own beginning.
    """

    path: Path
    work: Path
    recipe: Recipe
    started_with: Mapping[str, Any]
    resumed: bool = False
    _made: list[Path] = field(default_factory=list)
    _begun: bool = False

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the checkpoints."""
        return self.work / CHECKPOINTS

    @property
    def before_file(self) -> Path:
        """Return the file that keeps the base model's evaluation."""
        return self.work / BEFORE_FILE

    @property
    def output(self) -> Path:
        """Return the folder for what is trained."""
        return self.work / (MODEL_FOLDER if self.recipe.trains_all else ADAPTER_FOLDER)

    @classmethod
    def claim(
        cls, folder: Path, recipe: Recipe, started_with: Mapping[str, Any], resume: bool
    ) -> RunFolder:
        """Find the place for a run of `recipe` in `folder`; `LabError` where there is none.

        `started_with` is plain data that decides the result beside the recipe. With `resume` a
        run of another recipe, or one that was started with something else, raises `LabError`.
        Nothing is removed here; an empty place is made the run's own at once.
        """
        path = place(folder)
        _finish_replacing(path)
        works = [work for work in (path / UNFINISHED, path) if (work / RECIPE_FILE).is_file()]
        if resume and works:
            notes = {work: _recipe_in(work) for work in works}
            same = [work for work in works if notes[work] == recipe.model_dump()]
            if not same:
                _same_recipe(recipe, notes[works[0]])
            _same_start(started_with, _read(same[0] / MARK).get("started_with"))
            return cls(path, same[0], recipe, started_with, resumed=True, _begun=True)
        work = path / UNFINISHED if _holds_something(path) else path
        run_folder = cls(path, work, recipe, started_with)
        if not _holds_something(work):
            run_folder.begin()
        return run_folder

    def for_readers(self) -> RunFolder:
        """Return the folder as a process has it that reads what another one writes."""
        return replace(self, resumed=True, _begun=True)

    def begin(self) -> None:
        """Make `work` this run's own, in place of an unfinished one; once."""
        if self._begun:
            return
        with friendly_os_errors(self.work):
            self._made = [path for path in (self.work, *self.work.parents) if not path.exists()]
            self.work.mkdir(parents=True, exist_ok=True)
            _remove_own(self.work, keep=(MARK,))
            write_json(
                self.work / MARK, {"made_by": MADE_BY, "started_with": dict(self.started_with)}
            )
        write_json(self.work / RECIPE_FILE, self.recipe.model_dump())
        self._begun = True

    def withdraw(self) -> None:
        """Take back what `begin` made, where nothing came after it that could be resumed."""
        if self.resumed or not self._begun or _holds_something(self.work):
            return
        if self.before_file.exists():
            return
        try:
            _remove_own(self.work)
            for folder in self._made:
                if not any(folder.iterdir()):
                    folder.rmdir()
        except OSError:
            pass  # what the run itself ended with is what the person should read

    def finish(self, run: Mapping[str, Any], output_files: list[str]) -> None:
        """Write `run.json` (`run` as plain values) and put the run in an earlier one's place."""
        mark = {
            "made_by": MADE_BY,
            "started_with": dict(self.started_with),
            "output": {self.output.name: sorted(output_files)},
        }
        write_json(self.work / MARK, mark)
        write_json(self.work / RUN_FILE, run)
        self.tidy()

    def tidy(self) -> None:
        """Remove what a finished run needs no more, and an earlier run that it replaces."""
        from labs_lib.training.folder import checkpoints

        checkpoints.remove_all(self.checkpoints)
        with friendly_os_errors(self.path):
            _finish_replacing(self.path)


def place(folder: Path) -> Path:
    """Return the folder that `folder` leads to, links followed; `LabError` if no run may lie there.

    A run may lie in a new folder, in an empty one and in one that a run lies in.
    """
    path = Path(os.path.realpath(expanded(folder)))
    if path in (Path(path.anchor), Path(os.path.realpath(expanded("~")))):
        raise LabError(
            f"run: {folder} is not a folder of a run's own; give a new one, such as {path / 'run'}"
        )
    with friendly_os_errors(folder):
        if path.exists() and not path.is_dir():
            raise LabError(f"run: {folder} is a file; give a folder")
        if not path.is_dir():
            return path
        others = [entry.name for entry in path.iterdir() if not _is_aside(entry.name)]
        if others and not _made_here(path, others):
            raise LabError(
                f"run: {folder} holds files that are no run of this course; give another --out"
            )
        for name in OWN_NAMES if others else ():
            if (path / name).is_symlink():
                raise LabError(
                    f"run: {folder / name} is a symbolic link, and a run keeps its files itself; "
                    "give another --out"
                )
        inner = path / UNFINISHED
        if inner.is_dir() and any(inner.iterdir()) and not _marked(inner):
            raise LabError(f"run: {inner} is no run of this course; move it or give another --out")
    return path


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keep another process from writing the same run inside the block; `LabError` if one does."""
    path = place(folder)
    with friendly_os_errors(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = path.parent / f".{path.name}.lock"
        lock = filelock.FileLock(lock_file)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if not lock_file.exists():  # it could not be made, which filelock takes for waiting
                raise LabError(
                    f"cannot write {folder}: {path.parent} takes no new file; give another --out"
                ) from None
            raise LabError(
                f"run: another run is writing {folder}; wait for it or give --out"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _finish_replacing(path: Path) -> None:
    """Put the finished run in `path/.unfinished`, if there is one, in the place of the earlier.

    Killed in between it goes on where it stopped: `run.json`, which makes the folder a finished
    run, leaves first and comes last.
    """
    work = path / UNFINISHED
    if not _marked(work):
        return
    if not (work / RUN_FILE).is_file():
        if not (work / RECIPE_FILE).is_file():  # all but the mark is in its place
            _remove_own(work)
            _remove_empty(work)
        return
    for name in (RUN_FILE, *PROBE_FILES):
        (path / name).unlink(missing_ok=True)
    _remove_earlier_outputs(path, _read(work / MARK).get("output", {}))
    for output in OUTPUTS:
        if (work / output).is_dir():
            move_files(work / output, path / output)
    for name in (BEFORE_FILE, RECIPE_FILE):
        if (work / name).is_file():
            (work / name).replace(path / name)
    write_json(path / MARK, _read(work / MARK))  # the copy in `work` goes with it, last of all
    (work / RUN_FILE).replace(path / RUN_FILE)
    _remove_own(path, keep=(MARK, RECIPE_FILE, BEFORE_FILE, RUN_FILE, *OUTPUTS))


def _remove_earlier_outputs(path: Path, new: dict[str, list[str]]) -> None:
    """Remove what the earlier run saved and the new one, whose names are in `new`, does not."""
    for output, names in _outputs_of(path).items():
        for name in set(names) - set(new.get(output, ())):
            _unlink_within(path / output, name)
        _remove_empty(path / output)


def _remove_own(folder: Path, keep: tuple[str, ...] = ()) -> None:
    """Remove what a run wrote in `folder`, by name; a file that it did not write stays."""
    from labs_lib.training.folder import checkpoints

    if CHECKPOINTS not in keep:
        checkpoints.remove_all(folder / CHECKPOINTS)
    for output, names in _outputs_of(folder).items():
        if output not in keep:
            for name in names:
                _unlink_within(folder / output, name)
            _remove_empty(folder / output)
    if UNFINISHED not in keep and (folder / UNFINISHED).is_dir():
        _remove_own(folder / UNFINISHED)
        _remove_empty(folder / UNFINISHED)
    _remove_aside(folder)
    for name in (RUN_FILE, *PROBE_FILES, BEFORE_FILE, RECIPE_FILE, MARK):
        if name not in keep:
            (folder / name).unlink(missing_ok=True)


def _remove_aside(folder: Path) -> None:
    """Remove what a killed run was still writing, under the names of its own that it uses."""
    for path in folder.iterdir():
        if _is_aside(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif _is_aside(path.name):
            path.unlink(missing_ok=True)


def _outputs_of(folder: Path) -> dict[str, list[str]]:
    """Return the files that a run saved in `folder`, by the folder that they are in."""
    listed = _read(folder / MARK).get("output")
    if isinstance(listed, dict):
        return {
            output: [name for name in names if isinstance(name, str)]
            for output, names in listed.items()
            if output in OUTPUTS and isinstance(names, list)
        }
    # Saved, but killed before the list was written; or by an earlier version of the course.
    model = folder / MODEL_FOLDER
    written = ("*.safetensors", "*.json", "*.jinja", "merges.txt", "vocab.txt", "*.model")
    return {
        ADAPTER_FOLDER: list(_WITHOUT_LIST),
        MODEL_FOLDER: [path.name for pattern in written for path in model.glob(pattern)],
    }


def _unlink_within(folder: Path, name: str) -> None:
    within = not Path(name).is_absolute() and ".." not in Path(name).parts
    if within and (folder / name).is_file() and not folder.is_symlink():
        (folder / name).unlink()


def _remove_empty(folder: Path) -> None:
    """Remove `folder` and the folders in it, those that hold no file."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for inner in folder.iterdir():
        if inner.is_dir():
            _remove_empty(inner)
    if not any(folder.iterdir()):
        folder.rmdir()


def _is_aside(name: str) -> bool:
    match = _ASIDE.match(name)
    return match is not None and match["name"].lstrip(".") in {n.lstrip(".") for n in OWN_NAMES}


def _marked(folder: Path) -> bool:
    return _read(folder / MARK).get("made_by") == MADE_BY


def _made_here(folder: Path, names: list[str]) -> bool:
    """Return whether a run of the course lies in `folder`, which holds these names."""
    if _marked(folder):
        return True
    # Before there were marks: a whole recipe, and nothing beside it that is not a run's.
    recipe = _read(folder / RECIPE_FILE)
    fields = set(Recipe.model_fields)
    return fields - _YOUNGER_FIELDS <= set(recipe) <= fields and set(names) <= set(OWN_NAMES)


def _holds_something(folder: Path) -> bool:
    """Return whether a run's results lie in `folder`, finished or at least one checkpoint."""
    from labs_lib.training.folder.checkpoints import checkpoints_in

    if (folder / RUN_FILE).exists() or any((folder / output).exists() for output in OUTPUTS):
        return True
    return bool(checkpoints_in(folder / CHECKPOINTS))


def _read(path: Path) -> dict[str, Any]:
    """Return a note as it was written; empty where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _recipe_in(work: Path) -> dict[str, Any]:
    """Return the fields of the recipe that a run wrote down; empty where they are damaged."""
    fields = _read(work / RECIPE_FILE)
    return Recipe.recorded(fields) if fields else {}


def _same_recipe(recipe: Recipe, earlier: dict[str, Any]) -> None:
    if not earlier:
        raise LabError(f"--resume: {RECIPE_FILE} of the run is damaged; start anew without it")
    for name, value in recipe.model_dump().items():
        if earlier.get(name) != value:
            raise LabError(
                f"--resume: {name} is {value!r}, but the run to resume has {earlier.get(name)!r}; "
                "resume with the same recipe or start anew"
            )
    raise LabError(f"--resume: {RECIPE_FILE} of the run names more than a recipe; start anew")


def _same_start(now: Mapping[str, Any], then: Any) -> None:
    if not isinstance(then, dict):
        raise LabError(
            "--resume: the run does not say with which data and model it began; start anew "
            "without --resume"
        )
    for name in dict.fromkeys((*now, *then)):
        if now.get(name) != then.get(name):
            raise LabError(f"--resume: {_changed(name, now.get(name), then.get(name))}")


def _changed(name: str, now: Any, then: Any) -> str:
    if name in ("data", "model files"):
        what = "are not those" if name.endswith("s") else "is not that"
        return (
            f"the {name} {what} with which the run began; bring them back or start anew "
            "without --resume"
        )
    return (
        f"{name} is {now}, but the run began with {then}; the result would be another: "
        "start anew without --resume"
    )

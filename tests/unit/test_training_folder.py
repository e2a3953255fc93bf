"""A run's folder: nothing that no run wrote is removed, and an earlier run stays until replaced."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from labs_lib.errors import LabError
from labs_lib.training import Recipe
from labs_lib.training.folder.run_folder import (
    MARK,
    UNFINISHED,
    RunFolder,
    place,
    sole_writer,
)

START = {"data": "0" * 64, "model files": {"config.json": [3, "00000000"]}, "torch": "2.13.0"}
RECIPE = Recipe.of(steps=2)


def claim(folder: Path, resume: bool = False, **changes: Any) -> RunFolder:
    return RunFolder.claim(folder, RECIPE.but(**changes), START, resume)


def write(path: Path, text: str = "years of work") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def finish(run: RunFolder, adapter: str = "adapter") -> None:
    """End a run as `train` does, without training."""
    run.begin()
    write(run.before_file, "{}")
    write(run.checkpoints / "checkpoint-1" / "optimizer.pt", "")
    written = write(run.output / "adapter_model.safetensors", adapter)
    run.finish({"loss": adapter}, [written.name])


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


WHOLE = json.dumps(RECIPE.model_dump())
# What a person may have in a folder that looks like a run's: file → text.
FOREIGN = {
    "a note": {"notes.txt": "x"},
    "a recipe of another kind": {"recipe.json": '{"flour": "500 g"}', "notes.txt": "x"},
    "another program's recipe alone": {"recipe.json": '{"flour": "500 g"}'},
    "a recipe that is no JSON": {"recipe.json": "{", "photo.png": "x"},
    "a list": {"recipe.json": "[]"},
    "nested beyond what JSON reads": {"recipe.json": "[" * 100_000},
    "part of a recipe of ours": {"recipe.json": '{"rank": 8, "alpha": 16}'},
    "a recipe of ours beside a chapter": {"recipe.json": WHOLE, "chapter.txt": "x"},
    "an adapter": {"adapter/adapter_model.safetensors": "x"},
    "checkpoints of another trainer": {"checkpoints/checkpoint-5/optimizer.pt": "x"},
    "a mark of someone else": {MARK: '{"made_by": "me"}', "recipe.json": WHOLE, "a.txt": "x"},
    "a damaged mark": {MARK: "{", "chapter.txt": "x"},
    "an unfinished folder of someone else": {"recipe.json": WHOLE, f"{UNFINISHED}/a.txt": "x"},
    "a hidden file": {".env": "x"},
    "a file of an editor": {".notes.txt.123-0123abcd": "x"},
}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_that_no_run_wrote_is_left_as_it_is(
    files: dict[str, str], resume: bool, tmp_path: Path
) -> None:
    for name, text in files.items():
        write(tmp_path / "out" / name, text)
    before = content(tmp_path)
    with pytest.raises(LabError, match="no run of this course"):
        claim(tmp_path / "out", resume)
    assert content(tmp_path) == before


def test_a_finished_run_holds_its_own_files_alone(tmp_path: Path) -> None:
    finish(claim(tmp_path / "out"))
    assert sorted(content(tmp_path / "out")) == [
        MARK,
        "adapter/adapter_model.safetensors",
        "before.json",
        "recipe.json",
        "run.json",
    ]


# Where a person may keep something of theirs within a run's folder.
KEPT = (
    "notes.txt",
    "adapter/notes.txt",
    "adapter/deeper/plot.png",
    "checkpoints/checkpoint-1/notes.txt",
    "checkpoints/notes.txt",
    "mine/thesis.txt",
    ".DS_Store",
)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_a_person_keeps_in_a_runs_folder_outlives_every_run(
    method: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    finish(claim(out))
    for name in KEPT:
        write(out / name)
    for number in range(2):  # the second replaces a run that itself replaced one
        finish(claim(out, method=method), adapter=f"new {number}")
        found = content(out)
        assert {name: found[name] for name in KEPT} == dict.fromkeys(KEPT, "years of work")
        folder = "model" if method == "full" else "adapter"
        assert found[f"{folder}/adapter_model.safetensors"] == f"new {number}"
        assert ("adapter/adapter_model.safetensors" in found) == (method == "lora")
        assert not (out / UNFINISHED).exists()
        assert "optimizer.pt" not in " ".join(found)


def test_an_earlier_run_stays_until_the_new_one_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "out"
    finish(claim(out))
    before = content(out)
    new = claim(out, rank=4)
    write(new.before_file, "{}")
    write(new.checkpoints / "checkpoint-1" / "complete", "{}")
    assert {name: content(out)[name] for name in before} == before
    finish(new, adapter="new")
    assert json.loads(content(out)["recipe.json"])["rank"] == 4
    assert content(out)["adapter/adapter_model.safetensors"] == "new"


def test_a_start_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    fresh = claim(tmp_path / "a" / "b")
    fresh.withdraw()
    assert list(tmp_path.iterdir()) == []
    out = tmp_path / "out"
    finish(claim(out))
    before = content(out)
    claim(out, rank=4).withdraw()
    assert content(out) == before
    assert not (out / UNFINISHED).exists()


def test_checkpoints_of_an_unfinished_run_go_once_the_new_one_begins(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = claim(out)
    write(first.checkpoints / "checkpoint-1" / "optimizer.pt")
    second = claim(out, rank=4)
    assert (first.checkpoints / "checkpoint-1" / "optimizer.pt").exists()
    second.withdraw()
    assert claim(out, resume=True).work == first.work
    finish(claim(out, rank=4), adapter="new")
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize("moment", range(1, 40))
def test_killed_while_it_takes_an_earlier_runs_place_it_goes_on(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each removal and each renaming in turn the process ends."""
    out = tmp_path / "out"
    finish(claim(out))
    write(out / "adapter" / "notes.txt")
    new = claim(out, method="full")
    new.begin()
    write(new.before_file, "{}")
    write(new.checkpoints / "checkpoint-1" / "optimizer.pt")
    write(new.output / "model.safetensors", "new")
    left = moment

    class Killed(BaseException):
        pass

    def dying(name: str) -> None:
        real = getattr(Path, name)

        def call(self: Path, *arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                raise Killed
            return real(self, *arguments, **options)

        monkeypatch.setattr(Path, name, call)

    for name in ("unlink", "rename", "replace", "rmdir"):
        dying(name)
    with contextlib.suppress(Killed):
        new.finish({"loss": 1}, ["model.safetensors"])
    monkeypatch.undo()
    whole = claim(tmp_path / "whole")
    whole.finish({"loss": 1}, [])
    again = claim(out, resume=True, method="full")
    if content(out).get("run.json") != content(tmp_path / "whole")["run.json"]:
        again.finish({"loss": 1}, ["model.safetensors"])  # as `train` does, resumed
    again.tidy()
    found = content(out)
    assert found.pop("adapter/notes.txt") == "years of work"
    assert sorted(found) == [
        MARK,
        "before.json",
        "model/model.safetensors",
        "recipe.json",
        "run.json",
    ]
    assert found["model/model.safetensors"] == "new"


def test_what_a_kill_leaves_of_a_save_goes_with_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labs_lib.training.folder.saving import save_listing

    class Model:
        def save_pretrained(self, folder: Path) -> None:
            write(folder / "model.safetensors")
            raise KeyboardInterrupt

    run = claim(tmp_path / "out", method="full")
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # a kill cleans nothing up
    with pytest.raises(KeyboardInterrupt):
        save_listing(Model(), run.output, "base", None)
    monkeypatch.undo()
    assert "years of work" in content(tmp_path / "out").values()
    finish(claim(tmp_path / "out"))
    assert "years of work" not in content(tmp_path / "out").values()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that takes no new file")
def test_a_folder_that_takes_no_new_file_is_not_taken_for_a_busy_one() -> None:
    with (
        pytest.raises(LabError, match=r"^cannot write /proc/run: /proc takes no new file"),
        sole_writer(Path("/proc/run")),
    ):
        pass


LINKS = ["to nothing", "to an empty folder", "to a run"]


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need rights")
@pytest.mark.parametrize("case", LINKS)
def test_a_link_is_followed(case: str, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    if case == "to an empty folder":
        real.mkdir()
    elif case == "to a run":
        finish(claim(real), "old")
    link.symlink_to(real)
    with sole_writer(link):
        finish(claim(link), "new")
        with pytest.raises(LabError, match="another run is writing"), sole_writer(real):
            pass
    assert link.is_symlink()
    assert content(real)["adapter/adapter_model.safetensors"] == "new"


@pytest.mark.skipif(os.name == "nt", reason="links need rights")
def test_links_to_other_peoples_folders_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "theirs" / "thesis.txt")
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(LabError, match="no run of this course"):
        claim(tmp_path / "link")
    with pytest.raises(LabError, match="cannot write"):
        claim(tmp_path / "loop")
    finish(claim(tmp_path / "out"))
    (tmp_path / "out" / "checkpoints").symlink_to(tmp_path / "theirs")
    with pytest.raises(LabError, match="symbolic link"):
        claim(tmp_path / "out")
    assert (tmp_path / "theirs" / "thesis.txt").exists()


def test_folders_that_are_no_runs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for folder in (Path("/"), Path("~"), tmp_path):
        with pytest.raises(LabError, match="not a folder of a run's own"):
            place(folder)
    inside = tmp_path / "project"
    write(inside / "notes.txt")
    monkeypatch.chdir(inside)
    for folder in (Path(), Path("../project")):
        with pytest.raises(LabError, match="no run of this course"):
            place(folder)
    with pytest.raises(LabError, match="cannot write"):
        place(tmp_path / ("x" * 300) / "run")
    assert place(Path("~/runs/new")) == Path(os.path.realpath(tmp_path)) / "runs" / "new"
    assert place(Path("~no-such-person/run")).parts[-2:] == ("~no-such-person", "run")


def test_a_run_from_before_there_were_marks_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out / "recipe.json", WHOLE)
    write(out / "run.json", "{}")
    write(out / "adapter" / "adapter_model.safetensors", "old")
    write(out / "adapter" / "notes.txt")
    finish(claim(out, method="full"), "new")
    assert sorted(content(out)) == [
        MARK,
        "adapter/notes.txt",
        "before.json",
        "model/adapter_model.safetensors",
        "recipe.json",
        "run.json",
    ]


# --- resuming something else ----------------------------------------------------------------------

OTHER_STARTS = {
    "data": {"data": "1" * 64},
    "model files": {"model files": {"config.json": [3, "00000001"]}},
    "torch": {"torch": "2.14.0"},
    "precision": {"precision": "bf16"},
}


@pytest.mark.parametrize("name", OTHER_STARTS)
def test_a_run_that_began_with_something_else_is_not_resumed(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    claim(out)
    before = content(out)
    with pytest.raises(LabError, match=f"^--resume: .*{name}"):
        RunFolder.claim(out, RECIPE, START | OTHER_STARTS[name], resume=True)
    assert content(out) == before
    assert RunFolder.claim(out, RECIPE, START, resume=True).resumed


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"rank": NaN}', "\x00"])
def test_a_damaged_recipe_or_mark_is_one_line(text: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    claim(out)
    write(out / "recipe.json", text)
    with pytest.raises(LabError, match=r"^--resume: "):
        claim(out, resume=True)
    write(out / "recipe.json", WHOLE)
    write(out / MARK, text)
    with pytest.raises(LabError, match=r"^--resume: the run does not say"):
        claim(out, resume=True)

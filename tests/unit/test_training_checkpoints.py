"""Checkpoints damaged or made by an attacker: nothing is run, one line, the one before is taken."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_session import output_bytes, tiny_recipe
from typing_extensions import override

from labs_lib.errors import LabError
from labs_lib.training import Run, train
from labs_lib.training.folder.checkpoints import (
    COMPLETE,
    NotWholeError,
    check_whole,
    checkpoints_in,
    crc32,
    latest_whole_checkpoint,
    remove_all,
    seal,
)
from labs_lib.training.progress import Silent

# One worker makes what the whole file reads.
pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("training_checkpoints")]

STEPS, STOP = 8, 7


class Telling(Silent):
    """Notes what is told, and stops the run at a step as Ctrl+C does."""

    def __init__(self, stop: int | None = None):
        self.told: list[str] = []
        self._stop = stop

    def stage(self, text: str) -> None:
        self.told.append(text)

    @override
    def step(self, done: int, total: int, loss: float) -> None:
        if done == self._stop:
            raise KeyboardInterrupt


def recipe_of(model: Path, **changes: Any) -> Any:
    fields = {"steps": STEPS, "checkpoint_every": 2, "eval_rows": 1, "batch_size": 2}
    return tiny_recipe(model, **{**fields, **changes})


@pytest.fixture(scope="module")
def whole(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return train(recipe_of(tiny_model), folder, progress=Silent())


@pytest.fixture(scope="module")
def stopped(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run stopped after step 7, with checkpoints of steps 4 and 6."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe_of(tiny_model), folder, progress=Telling(STOP))
    assert [each.name for each in checkpoints_in(folder / "checkpoints")] == [
        "checkpoint-6",
        "checkpoint-4",
    ]
    return folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    """Return a copy of the stopped run."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, sign: Path):
        self._sign = sign

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._sign),)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(name: str, **changes: Any) -> Callable[[Path], Any]:
    """Return what changes a JSON file and lists it anew, as an attacker would."""

    def change(checkpoint: Path) -> None:
        values = json.loads((checkpoint / name).read_text())
        (checkpoint / name).write_text(json.dumps(values | changes))
        seal(checkpoint)

    return change


def rewrite(name: str, text: str) -> Callable[[Path], Any]:
    def change(checkpoint: Path) -> None:
        (checkpoint / name).write_text(text)
        if name != COMPLETE:
            seal(checkpoint)

    return change


def save_as(name: str, content: Any) -> Callable[[Path], Any]:
    def change(checkpoint: Path) -> None:
        torch.save(content, checkpoint / name)
        seal(checkpoint)

    return change


def attack(name: str) -> Callable[[Path], Any]:
    def change(checkpoint: Path) -> None:
        torch.save({"state": Attack(checkpoint.parents[2] / "attacked")}, checkpoint / name)
        seal(checkpoint)

    return change


def plain_pickle(name: str) -> Callable[[Path], Any]:
    def change(checkpoint: Path) -> None:
        sign = checkpoint.parents[2] / "attacked"
        (checkpoint / name).write_bytes(pickle.dumps(Attack(sign)))
        seal(checkpoint)

    return change


def adapter(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], Any]:
    def rewrite_adapter(checkpoint: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = checkpoint / "adapter_model.safetensors"
        tensors = load_file(path)
        save_file(change(tensors) or tensors, path)
        seal(checkpoint)

    return rewrite_adapter


def half(tensors: dict[str, torch.Tensor]) -> Any:
    return dict(list(tensors.items())[::2])


def not_a_number(tensors: dict[str, torch.Tensor]) -> Any:
    next(iter(tensors.values()))[0, 0] = float("nan")


FILES = (
    "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json",
    "adapter_model.safetensors",
)  # fmt: skip

# What happens to the newest checkpoint. The first kinds leave its list as it was written; the
# later ones list the files anew, so that only what is in them can tell.
DAMAGE: dict[str, Callable[[Path], Any]] = {
    **{f"{name} missing": lambda c, n=name: (c / n).unlink() for name in (*FILES, COMPLETE)},
    **{f"{name} cut short": lambda c, n=name: cut(c / n) for name in (*FILES, COMPLETE)},
    **{f"{name} a bit flipped": lambda c, n=name: flip(c / n) for name in FILES},
    **{f"{name} empty": lambda c, n=name: (c / n).write_bytes(b"") for name in (*FILES, COMPLETE)},
    "the list nested": rewrite(COMPLETE, "[" * 100_000),
    "the list names nothing": rewrite(COMPLETE, '{"files": {}}'),
    "the list of another kind": rewrite(COMPLETE, '{"files": [1]}'),
    "the list names a file elsewhere": rewrite(
        COMPLETE, '{"files": {"../../recipe.json": {"bytes": 1, "crc32": ""}}}'
    ),
    "weights of another kind came to it": lambda c: (c / "pytorch_model.bin").write_bytes(b"x"),
    "a folder came to it": lambda c: (c / "other").mkdir(),
    **{f"{name} runs code": attack(name) for name in FILES[:3]},
    **{f"{name} is a pickle": plain_pickle(name) for name in FILES[:3]},
    **{f"{name} is a list": save_as(name, [1]) for name in FILES[:3]},
    **{f"{name} lacks all": save_as(name, {}) for name in FILES[:3]},
    "NaN in the state": rewrite("trainer_state.json", '{"global_step": NaN}'),
    "the state nested": rewrite("trainer_state.json", "[" * 100_000),
    "the state a list": rewrite("trainer_state.json", "[]"),
    "a number of 5,000 digits": rewrite("trainer_state.json", '{"epoch": ' + "9" * 5000 + "}"),
    "another step": edit("trainer_state.json", global_step=4),
    "steps as text": edit("trainer_state.json", global_step="6"),
    "more steps": edit("trainer_state.json", max_steps=10**12),
    "another batch": edit("trainer_state.json", train_batch_size=None),
    "an epoch that is text": edit("trainer_state.json", epoch="x"),
    "an epoch of 400 digits": edit("trainer_state.json", epoch=10**400),
    "a field that is none": edit("trainer_state.json", surprise=1),
    "callbacks that are none": edit("trainer_state.json", stateful_callbacks=[1]),
    "logging never": edit("trainer_state.json", logging_steps=0),
    "saving at times that are text": edit("trainer_state.json", save_steps="x"),
    "a best checkpoint elsewhere": edit("trainer_state.json", best_model_checkpoint="/"),
    "no log": edit("trainer_state.json", log_history=None),
    "a log of nothing": edit("trainer_state.json", log_history=[]),
    "a log without its fields": edit("trainer_state.json", log_history=[{"loss": 1}] * 6),
    "half an adapter": adapter(half),
    "an adapter of NaN": adapter(not_a_number),
    "an adapter of another shape": adapter(lambda t: {k: v.repeat(2, 1) for k, v in t.items()}),
    "an adapter with other names": adapter(lambda t: {f"x.{k}": v for k, v in t.items()}),
    "weights that are none": rewrite("adapter_model.safetensors", "x" * 100),
}


def shapes_of(folder: Path) -> dict[str, tuple[int, ...]]:
    from safetensors.torch import load_file

    newest = checkpoints_in(folder / "checkpoints")[0]
    tensors = load_file(newest / "adapter_model.safetensors")
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_one_before_is_taken_and_it_is_told(
    damage: Callable[[Path], Any], folder: Path
) -> None:
    shapes = shapes_of(folder)
    newest, before = checkpoints_in(folder / "checkpoints")
    check_whole(newest, STEPS, 2, shapes)
    damage(newest)
    told: list[str] = []
    found = latest_whole_checkpoint(folder / "checkpoints", told.append, STEPS, 2, shapes)
    assert found == before
    assert len(told) == 2
    assert "checkpoint-6" in told[0]
    assert "\n" not in told[0]
    assert len(told[0]) < 300
    assert told[1] == "going on from checkpoint-4, the newest that is whole"
    assert not (folder.parent / "attacked").exists(), "the checkpoint ran code"


def test_without_any_whole_one_training_starts_anew_and_says_so(folder: Path) -> None:
    for each in checkpoints_in(folder / "checkpoints"):
        (each / "optimizer.pt").unlink()
    told: list[str] = []
    assert latest_whole_checkpoint(folder / "checkpoints", told.append) is None
    assert told[-1] == "no whole checkpoint is left: training starts at its beginning"


RESUMED = {
    "nothing": lambda _c: None,
    "optimizer.pt missing": DAMAGE["optimizer.pt missing"],
    "rng_state.pth runs code": DAMAGE["rng_state.pth runs code"],
    "every one": lambda c: [(each / "scheduler.pt").unlink() for each in c.parent.iterdir()],
    "before.json": lambda c: (c.parents[1] / "before.json").write_text("[" * 100_000),
    "before.json of other rows": lambda c: edit("before.json", prompts=["a"])(c.parents[1]),
}


@pytest.mark.parametrize("damage", RESUMED.values(), ids=RESUMED)
def test_resumed_from_what_is_whole_it_ends_with_the_same_adapter(
    damage: Callable[[Path], Any], folder: Path, whole: Run
) -> None:
    damage(checkpoints_in(folder / "checkpoints")[0])
    (folder / "complete").unlink(missing_ok=True)
    progress = Telling()
    run = train(whole.recipe, folder, resume=True, progress=progress)
    assert output_bytes(folder) == output_bytes(whole.folder)
    assert run.losses == whole.losses
    assert run.before == whole.before
    assert not (folder.parent / "attacked").exists()
    assert not (folder / "checkpoints").exists()


def test_an_optimizer_of_other_shapes_is_one_line(folder: Path, whole: Run) -> None:
    """Forged so that only the optimizer itself can tell: the list is right, and so is its form."""
    newest = checkpoints_in(folder / "checkpoints")[0]
    content = torch.load(newest / "optimizer.pt", weights_only=True)
    for state in content["state"].values():
        state["exp_avg"] = torch.zeros(3)
    save_as("optimizer.pt", content)(newest)
    with pytest.raises(LabError, match=r"^--resume: checkpoint-6 .*optimizer.*remove it"):
        train(whole.recipe, folder, resume=True, progress=Silent())
    assert len(checkpoints_in(folder / "checkpoints")) == 2


def test_a_random_state_that_cannot_be_set_is_one_line(folder: Path, whole: Run) -> None:
    newest = checkpoints_in(folder / "checkpoints")[0]
    content = torch.load(newest / "rng_state.pth", weights_only=False)
    save_as("rng_state.pth", content | {"cpu": torch.zeros(3, dtype=torch.uint8)})(newest)
    with pytest.raises(LabError, match=r"^--resume: checkpoint-6 cannot be gone on from: .*RNG"):
        train(whole.recipe, folder, resume=True, progress=Silent())


def test_a_slip_of_ours_is_not_blamed_on_the_checkpoint(
    folder: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labs_lib.training.engine.checkpointing import CheckpointingTrainer

    monkeypatch.setattr(CheckpointingTrainer, "_check_optimizer", lambda _self, path: path.gone)
    with pytest.raises(AttributeError, match="gone"):
        train(whole.recipe, folder, resume=True, progress=Silent())


def test_after_the_data_changed_it_is_not_resumed(tiny_model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    line = '{{"prompt": "What is {0}?", "completion": "It is {0}."}}\n'
    rows.write_text("".join(line.format(n) for n in range(40)))
    recipe = recipe_of(tiny_model, dataset=str(rows))
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", progress=Telling(STOP))
    rows.write_text("".join(line.format(n) for n in range(39)))
    with pytest.raises(LabError, match=r"^--resume: the data is not that"):
        train(recipe, tmp_path / "run", resume=True, progress=Silent())
    assert len(checkpoints_in(tmp_path / "run" / "checkpoints")) == 2


def test_a_finished_run_is_read_back_when_it_is_resumed(whole: Run, monkeypatch) -> None:
    from labs_lib.training import session

    monkeypatch.setattr(session, "_train", lambda *_: pytest.fail("trained again"))
    assert train(whole.recipe, whole.folder, resume=True, progress=Silent()) == whole


@pytest.mark.parametrize("writer", ["torch", "safetensors", "the system"])
def test_a_full_disk_while_it_trains_is_one_line_and_the_last_checkpoint_stays(
    writer: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Run
) -> None:
    import safetensors.torch
    from safetensors import SafetensorError

    folder = tmp_path / "run"
    real = torch.save
    error: Exception = {
        "torch": RuntimeError(
            "[enforce fail at inline_container.cc:664] . unexpected pos 6656 vs 6550"
        ),
        "safetensors": SafetensorError("Error while serializing: I/O error: No space left"),
        "the system": OSError(28, "No space left on device"),
    }[writer]

    def save(content: Any, path: Any, *arguments: Any, **options: Any) -> None:
        if "checkpoint-6" in str(path):
            Path(path).write_bytes(b"half")
            raise error
        real(content, path, *arguments, **options)

    monkeypatch.setattr(torch, "save", save)
    assert safetensors.torch  # loaded before torch.save is replaced
    with pytest.raises(LabError, match=r"^cannot write .*; the last checkpoint is kept$"):
        train(recipe_of(tiny_model), folder, progress=Silent())
    monkeypatch.undo()
    assert [each.name for each in checkpoints_in(folder / "checkpoints")] == [
        "checkpoint-4",
        "checkpoint-2",
    ]
    assert not list(folder.glob("checkpoints/.*")), "half a checkpoint is left"
    train(whole.recipe, folder, resume=True, progress=Silent())
    assert output_bytes(folder) == output_bytes(whole.folder)


def test_checkpoints_hold_no_pickle_of_ours_and_go_with_their_own_files_alone(folder: Path) -> None:
    newest = checkpoints_in(folder / "checkpoints")[0]
    assert not (newest / "training_args.bin").exists()
    assert len(crc32(newest / "optimizer.pt")) == 8
    (newest / "notes.txt").write_text("mine")
    check_whole(newest)
    remove_all(folder / "checkpoints")
    left = [path for path in (folder / "checkpoints").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["notes.txt"]


def test_a_checkpoint_of_before_there_were_lists_is_not_resumed(folder: Path) -> None:
    newest = checkpoints_in(folder / "checkpoints")[0]
    (newest / COMPLETE).write_text("")
    with pytest.raises(NotWholeError):
        check_whole(newest)

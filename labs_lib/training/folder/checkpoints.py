"""Checkpoints that are whole or absent: sealed with a list of their files, held against it."""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import getpid
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.trainer_callback import TrainerState
from transformers.trainer_pt_utils import safe_globals

from labs_lib.errors import LabError, first_line
from labs_lib.files import write_json

COMPLETE = "complete"
"""The file of a checkpoint folder that lists the others, with their bytes and their CRC-32."""

KEPT = 2
"""How many checkpoints a run keeps: the one before the last is there if the last is damaged."""

BEST_FILES = "best-*.safetensors"
"""What early stopping keeps beside the checkpoints: the weights after a step, by its number."""

ADAPTER_WEIGHTS = "adapter_model.safetensors"
STATE = "trainer_state.json"
_WRITING = ".writing-"
_TORCH_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
# What transformers reads by its name, whether or not the run wrote it.
_READ_BY_NAME = (".bin", ".safetensors", ".pt", ".pth", ".json")
# What a run of an earlier version of the course left, whose checkpoints list nothing.
_WITHOUT_LIST = (
    *_TORCH_FILES, STATE, COMPLETE, ADAPTER_WEIGHTS, "adapter_config.json", "README.md",
    "training_args.bin", "config.json", "generation_config.json", "model.safetensors",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "vocab.json", "merges.txt", "tokenizer.model", "added_tokens.json",
)  # fmt: skip


class NotWholeError(LabError):
    """A checkpoint that cannot be resumed from, and why."""


def number_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was written; -1 for another folder."""
    prefix, _, number = checkpoint.name.rpartition("-")
    return int(number) if prefix == "checkpoint" and number.isascii() and number.isdigit() else -1


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, whole or not, the newest first."""
    folders = [
        path for path in folder.glob("checkpoint-*") if number_of(path) > 0 and path.is_dir()
    ]
    return sorted(folders, key=number_of, reverse=True)


@contextmanager
def written_whole(folder: Path, name: str) -> Iterator[Path]:
    """Yield a folder in which to write the checkpoint `name`; seal it and put it in `folder`.

    A run killed meanwhile leaves a folder that nobody takes for a checkpoint. Older checkpoints
    go once the new one is in its place, all but `KEPT`.
    """
    aside = folder / f"{_WRITING}{getpid()}-{secrets.token_hex(4)}"
    try:
        yield aside
        written = aside / name
        # Settings of this process, as a pickle that nothing reads.
        (written / "training_args.bin").unlink(missing_ok=True)
        seal(written)
        remove(folder / name)
        if (folder / name).exists():  # a file that is not ours is left in it
            _move_files(written, folder / name)
        else:
            written.rename(folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    for old in checkpoints_in(folder)[KEPT:]:
        remove(old)


def seal(checkpoint: Path) -> None:
    """List the checkpoint's files in its `complete`, last of all."""
    files = {
        path.name: {"bytes": path.stat().st_size, "crc32": crc32(path)}
        for path in sorted(checkpoint.iterdir())
        if path.is_file() and path.name != COMPLETE
    }
    write_json(checkpoint / COMPLETE, {"files": files})


def crc32(path: Path) -> str:
    """Return the CRC-32 of a file's bytes, eight hex digits: quick, and damage shows in it."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return f"{value:08x}"


def latest_whole_checkpoint(
    folder: Path,
    say: Callable[[str], None] = lambda text: None,
    steps: int | None = None,
    batch_size: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Path | None:
    """Return the newest checkpoint in `folder` that is whole, or None; `say` tells of the others.

    `steps` is how long the run is to be, `batch_size` its micro-batch and `shapes` what the
    adapter's tensors must be, by name.
    """
    damaged = False
    for checkpoint in checkpoints_in(folder):
        try:
            check_whole(checkpoint, steps, batch_size, shapes)
        except NotWholeError as error:
            say(str(error))
            damaged = True
            continue
        if damaged:
            say(f"going on from {checkpoint.name}, the newest that is whole")
        return checkpoint
    if damaged:
        say("no whole checkpoint is left: training starts at its beginning")
    return None


def check_whole(
    checkpoint: Path,
    steps: int | None = None,
    batch_size: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Raise `NotWholeError` unless all that resuming needs is there, as it was written.

    Nothing in a checkpoint is run: tensors are read as safetensors or with torch's
    `weights_only`, which knows tensors and plain values alone.
    """
    try:
        _check_list(checkpoint)
        _check_state(checkpoint, steps, batch_size)
        for name in _TORCH_FILES:
            _check_torch_file(checkpoint / name)
        _check_weights(checkpoint, shapes)
    except NotWholeError:
        raise
    except (OSError, SafetensorError) as error:
        raise NotWholeError(f"{checkpoint.name} cannot be read: {error}") from None


def _check_list(checkpoint: Path) -> None:
    listed = _read_json(checkpoint / COMPLETE)
    files = listed.get("files") if isinstance(listed, dict) else None
    if not isinstance(files, dict) or not all(isinstance(size, dict) for size in files.values()):
        raise NotWholeError(f"{checkpoint.name} is not whole: it has no list of its files")
    weights = [name for name in files if name.endswith(".safetensors")]
    for name in (*_TORCH_FILES, STATE):
        if name not in files:
            raise NotWholeError(f"{checkpoint.name} is not whole: its list names no {name}")
    if not weights or any(name.endswith(".bin") for name in files):
        raise NotWholeError(f"{checkpoint.name} is not whole: its list names no weights")
    for name, written in files.items():
        path = checkpoint / name
        if Path(name).name != name or not path.is_file():
            raise NotWholeError(f"{checkpoint.name} is not whole: {name} is missing")
        if path.stat().st_size != written.get("bytes") or crc32(path) != written.get("crc32"):
            raise NotWholeError(f"{checkpoint.name} is not whole: {name} is not as it was written")
    for path in checkpoint.iterdir():
        if path.name not in files and (path.is_dir() or path.name.endswith(_READ_BY_NAME)):
            raise NotWholeError(
                f"{checkpoint.name} is not as it was written: {path.name} came to it"
            )


def _check_state(checkpoint: Path, steps: int | None, batch_size: int | None) -> None:
    """Hold the trainer's notes against the checkpoint's name and the run."""
    state, where = _read_json(checkpoint / STATE), f"{checkpoint.name}: {STATE}"
    fields = {field.name for field in dataclasses.fields(TrainerState)}
    if not isinstance(state, dict) or not set(state) <= fields:
        raise NotWholeError(f"{where} is not the trainer's")
    try:
        TrainerState(**state)
    except (TypeError, ValueError) as error:
        raise NotWholeError(f"{where} is not the trainer's ({first_line(error)})") from None
    done = number_of(checkpoint)
    for name, expected in (
        ("global_step", done),
        ("max_steps", steps),
        ("train_batch_size", batch_size),
        ("logging_steps", 1),
    ):
        if expected is not None and state.get(name) != expected:
            raise NotWholeError(f"{where}: {name} is {state.get(name)!r}; expected {expected}")
    if state.get("best_model_checkpoint") is not None:  # a run here has none, and this is a path
        raise NotWholeError(f"{where}: best_model_checkpoint leads elsewhere")
    for name in ("epoch", "num_train_epochs", "save_steps", "total_flos", "num_input_tokens_seen"):
        if not _is_number(state.get(name, 0)):
            raise NotWholeError(f"{where}: {name} is no number")
    history = state.get("log_history")
    history = history if isinstance(history, list) else []
    lines = [line for line in history if isinstance(line, dict)]
    of_steps = [line for line in lines if "loss" in line]
    needed = ("loss", "step_seconds", "num_tokens")
    whole = all(_is_number(line.get(name)) for line in of_steps for name in needed)
    evaluated = [line for line in lines if "eval_loss" in line]
    whole &= all(_is_number(line.get(name)) for line in evaluated for name in ("eval_loss", "step"))
    if len(of_steps) != done or not whole or not _are_bytes(lines):
        raise NotWholeError(f"{where}: the steps' log is not whole")


def _are_bytes(lines: list[dict[str, Any]]) -> bool:
    """Return whether what was measured of the memory can be added up."""
    for line in lines:
        parts = line.get("memory", {})
        if not isinstance(parts, dict) or not _is_number(line.get("peak_bytes", 0)):
            return False
        if not all(_is_number(size) for size in parts.values()):
            return False
    return True


def _check_torch_file(path: Path) -> None:
    where = f"{path.parent.name}: {path.name}"
    try:
        with safe_globals():  # the numpy types of a random state
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # pickle, zip and torch have a dozen ways to refuse a file
        reason = first_line(error).split(". ")[0]  # advice to run its code follows
        raise NotWholeError(f"{where} cannot be read as tensors ({reason})") from None
    needed = {
        "optimizer.pt": {"state", "param_groups"},
        "scheduler.pt": {"last_epoch"},
        "rng_state.pth": {"python", "numpy", "cpu"},
    }[path.name]
    if not isinstance(content, dict) or not needed <= set(content):
        raise NotWholeError(f"{where} lacks {', '.join(sorted(needed))}")


def _check_weights(checkpoint: Path, shapes: Mapping[str, tuple[int, ...]] | None) -> None:
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            if shapes is None:
                continue
            if path.name != ADAPTER_WEIGHTS:
                raise NotWholeError(f"{checkpoint.name}: {path.name} is no adapter")
            names = set(file.keys())
            wrong = names ^ set(shapes) or {
                name for name in names if tuple(file.get_slice(name).get_shape()) != shapes[name]
            }
            if wrong:
                raise NotWholeError(
                    f"{checkpoint.name}: {path.name} does not fit the run's adapter; "
                    f"first: {min(wrong)}"
                )
            for name in names:
                if not bool(torch.isfinite(file.get_tensor(name)).all()):
                    raise NotWholeError(f"{checkpoint.name}: {path.name}: {name} is not finite")


def remove(checkpoint: Path) -> None:
    """Remove the files that the run wrote into a checkpoint, and its folder if it is empty then."""
    if not checkpoint.is_dir() or checkpoint.is_symlink():
        return
    try:
        listed = _read_json(checkpoint / COMPLETE)
        names = [*listed["files"], COMPLETE]
    except (NotWholeError, TypeError, KeyError):
        names = list(_WITHOUT_LIST)
    # Its mark goes first: what is left by a kill in between is no checkpoint.
    for name in [COMPLETE, *names]:
        if isinstance(name, str) and Path(name).name == name:
            path = checkpoint / name
            if path.is_file() or path.is_symlink():
                path.unlink(missing_ok=True)
    if not any(checkpoint.iterdir()):
        checkpoint.rmdir()


def remove_all(folder: Path) -> None:
    """Remove the checkpoints in `folder` and what a killed run was writing; then `folder`."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for checkpoint in checkpoints_in(folder):
        remove(checkpoint)
    for aside in folder.glob(f"{_WRITING}*"):
        shutil.rmtree(aside, ignore_errors=True)
    for best in (*folder.glob(BEST_FILES), *folder.glob(f".{BEST_FILES}.*")):
        best.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _move_files(source: Path, target: Path) -> None:
    for path in sorted(source.iterdir(), key=lambda path: path.name == COMPLETE):
        path.replace(target / path.name)


def _read_json(path: Path) -> Any:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except FileNotFoundError:
        raise NotWholeError(f"{path.parent.name} is not whole: {path.name} is missing") from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise NotWholeError(
            f"{path.parent.name}: {path.name} cannot be read ({first_line(error)})"
        ) from None


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) < 1e300  # a comparison that NaN and an int of any length take

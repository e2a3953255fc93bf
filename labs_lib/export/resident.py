"""One base model in memory, and the adapters over it as models of their own names."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, shorten
from labs_lib.export.weights import adapter_run, hub_name
from labs_lib.models.windows import check_tokens, room_for
from labs_lib.quiet import quiet_libraries
from labs_lib.training.adapter.loading import load_adapters
from labs_lib.training.run import Run


class Named:
    """A model under one name: the base with one adapter active, or with none.

    Everything but `generate` is the wrapped model's own. The names share its layers, so one of them
    answers at a time (`lock`), and all of them end their answers at the next token once `stopping`
    is set.
    """

    def __init__(
        self, model: Any, adapter: str | None, lock: threading.Lock, stopping: threading.Event
    ):
        self._model, self._adapter = model, adapter
        self._lock, self._stopping = lock, stopping

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, **arguments: Any) -> Any:
        """Generate as the wrapped model does, with this name's adapter."""
        import torch

        def stop(input_ids: torch.Tensor, _scores: Any) -> torch.Tensor:
            rows = len(input_ids)
            return torch.full((rows,), self._stopping.is_set(), device=input_ids.device)

        with self._lock, quiet_libraries(), torch.inference_mode():
            if self._adapter is None:
                with self._model.disable_adapter():
                    return self._model.generate(**arguments, stopping_criteria=[stop])
            self._model.set_adapter(self._adapter, inference_mode=True)
            return self._model.generate(**arguments, stopping_criteria=[stop])

    def fit(self, input_ids: Any, config: Any) -> None:
        """Keep a request inside the window; `LabError` for a prompt that leaves no room."""
        check_tokens(self._model, input_ids.tolist())
        room = room_for(self._model, input_ids.shape[1])
        config.max_new_tokens = min(config.max_new_tokens, room)


def named_folders(given: Sequence[str | Path]) -> dict[str, Path]:
    """Return name → folder; each of `given` is a folder, which gives the name, or NAME=FOLDER.

    Raises `LabError` for two of one name.
    """
    named: dict[str, Path] = {}
    for each in given:
        name, equals, folder = str(each).partition("=")
        if not equals or Path(each).is_dir():
            name, folder = Path(each).resolve().name, str(each)
        if not name or name in named:
            problem = "two runs have the name" if name else "no run has a name in"
            raise LabError(f"serve: {problem} {shorten(name or each)}; name them: NAME=RUN")
        named[name] = Path(folder)
    return named


def named_runs(runs: Sequence[str | Path] | Mapping[str, str | Path]) -> dict[str, Run]:
    """Return name → run, each checked before a model is loaded.

    `runs` is a mapping name → folder, or what `named_folders` takes. Raises `LabError` for two of
    one name, a run without an adapter, and runs on different bases.
    """
    folders = runs if isinstance(runs, Mapping) else named_folders(runs)
    if not folders:
        raise LabError("serve: no run is given")
    named = {name: adapter_run(folder, "serve") for name, folder in folders.items()}
    first_name, first = next(iter(named.items()))
    for name, run in named.items():
        if _base(run) != _base(first):
            raise LabError(
                f"serve: {name} was trained on {run.recipe.model} and {first_name} on "
                f"{first.recipe.model}; the runs of one server share one base"
            )
        if name == _shown(first.recipe.model):
            raise LabError(f"serve: {name} is the base model's name; name the run otherwise")
    return named


def load_resident(
    runs: Mapping[str, Run], stopping: threading.Event
) -> tuple[dict[str, Named], Any]:
    """Return name → model, and the tokenizer; the base comes last, under its own name.

    Once `stopping` is set, no model goes on with its answer.
    """
    from labs_lib import models

    base_name = next(iter(runs.values())).recipe.model
    base, tokenizer = models.load(base_name)
    # PEFT takes no name with a dot, and a run's may have one.
    inner = {name: f"adapter_{index}" for index, name in enumerate(runs)}
    wrapped = load_adapters(base, {inner[name]: run.output for name, run in runs.items()})
    lock = threading.Lock()
    adapters = inner | {_shown(base_name): None}
    served = {name: Named(wrapped, each, lock, stopping) for name, each in adapters.items()}
    return served, tokenizer


def _base(run: Run) -> str:
    path = Path(run.recipe.model)
    return str(path.resolve()) if path.is_dir() else hub_name(run.recipe.model).lower()


def _shown(base_name: str) -> str:
    """Return a base model's name without the folders of this machine."""
    return Path(base_name).name if Path(base_name).is_dir() else base_name

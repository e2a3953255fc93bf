"""A run's weights for other programs: the adapter alone, or one ordinary model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error
from labs_lib.files import folder_written_aside, write_json
from labs_lib.quiet import quiet_libraries
from labs_lib.training.adapter.config import CONFIG_FILE, WEIGHTS_FILE, read_config
from labs_lib.training.adapter.merged import merged_from, new_folder
from labs_lib.training.run import Run

CARD_FILE = "README.md"
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def export_adapter(run_folder: str | Path, out: str | Path) -> Path:
    """Write a run's adapter to the new folder `out`, its base under the hub's name; returns `out`.

    The folder holds adapter_model.safetensors, adapter_config.json and the run's model card where
    it has one: what `PeftModel.from_pretrained` loads. Raises `LabError` for a folder without a
    finished run, a run that trained all parameters, and an `out` that exists.
    """
    run = adapter_run(run_folder, "export")
    folder = new_folder(Path(out))
    read_config(run.output)
    with exported(run, folder) as aside:
        shutil.copyfile(run.output / WEIGHTS_FILE, aside / WEIGHTS_FILE)
        # As it lies there: `read_config` returns what PEFT is given, without what names a file.
        config = json.loads((run.output / CONFIG_FILE).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = hub_name(run.recipe.model)
        write_json(aside / CONFIG_FILE, config)
    return folder


def export_merged(run_folder: str | Path, out: str | Path, dtype: str = "bf16") -> Path:
    """Write base + scaling·B·A as one ordinary model to the new folder `out`; returns `out`.

    The sum is taken in fp32 and rounded once, to `dtype`: bf16, fp16 or fp32. The base of a QLoRA
    run is the one that was never quantized, since merging into 4 bits would round the update away
    (lesson 06 compares the ways). A model that was trained whole is written as it is. The folder is
    what `AutoModelForCausalLM.from_pretrained` loads, tokenizer included. Raises `LabError` as
    `export_adapter` does, and as `merge` does for an adapter that cannot be merged.
    """
    if dtype not in DTYPES:
        raise choice_error("dtype", dtype, DTYPES)
    run = Run.load(run_folder)
    folder = new_folder(Path(out))
    import torch

    from labs_lib.training.failures import storage_errors

    with quiet_libraries():
        model, tokenizer = merged_model(run)
        with storage_errors(folder), exported(run, folder) as aside:
            model.to(getattr(torch, DTYPES[dtype])).save_pretrained(aside)
            tokenizer.save_pretrained(aside)
    return folder


def merged_model(run: Run) -> tuple[Any, Any]:
    """Return what a run trained as one ordinary model in fp32 on the CPU, and its tokenizer."""
    from labs_lib import models
    from labs_lib.training.adapter.loading import load_adapter

    if run.recipe.trains_all:
        return models.load(str(run.output), dtype="fp32", device="cpu")
    read_config(run.output)  # before seconds are spent on the base
    base, tokenizer = models.load(run.recipe.model, dtype="fp32", device="cpu")
    return merged_from(load_adapter(base, run.output)), tokenizer


def adapter_run(run_folder: str | Path, purpose: str) -> Run:
    """Return the finished run in a folder; `LabError` where it left no adapter."""
    run = Run.load(run_folder)
    if run.recipe.trains_all:
        raise LabError(
            f"{purpose}: run {run.recipe.name} trained all parameters, so it left a model and no "
            f"adapter: {run.output}"
        )
    return run


def merge_note(run: Run) -> str:
    """Return what a person must know of this run's merge; empty where it changes nothing."""
    if not run.recipe.quantizes:
        return ""
    return (
        f"{run.recipe.name} was trained on its base in {run.recipe.quantization} and is merged "
        "into the base that was never quantized: its answers can differ slightly, and a merge into "
        "4 bits would round the update away; lesson 06 measures both"
    )


def hub_name(model: str) -> str:
    """Return the name under which other programs find a base model; a folder keeps its own."""
    from labs_lib.models import find

    found = find(model)
    return found.hub_name if found else model


@contextmanager
def exported(run: Run, folder: Path) -> Iterator[Path]:
    """Yield a folder that becomes `folder`, the run's model card in it where there is one."""
    with folder_written_aside(folder) as aside:
        yield aside
        if (run.folder / CARD_FILE).is_file():
            shutil.copyfile(run.folder / CARD_FILE, aside / CARD_FILE)

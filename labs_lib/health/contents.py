"""What the course brings: the bundled model, recipes, question banks, data sets."""

from __future__ import annotations

import os

from labs_lib import paths
from labs_lib.errors import LabError
from labs_lib.health.findings import Finding, bring_back


def bundled_model() -> Finding:
    """Look for the converted model in the cache."""
    from labs_lib.models.bundled import BUNDLED_NAME, bundled_folder

    folder = bundled_folder()
    bytes_ = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if not bytes_:
        detail = f"{BUNDLED_NAME} is not converted yet"
        return Finding("missing", detail, "python -m labs_lib.models")
    return Finding("ok", f"{BUNDLED_NAME}, {bytes_ / 10**6:.0f} MB in {folder}")


def recipes() -> Finding:
    """Read every recipe and sweep that comes with the course."""
    from labs_lib.training.recipe import Recipe
    from labs_lib.training.sweep import Sweep

    folder = paths.recipes_dir()
    files, points = sorted(folder.glob("*.yaml")), sorted(folder.glob("sweeps/*.yaml"))
    if not files or not points:
        what = "recipe" if not files else "sweep"
        return Finding("missing", f"no {what} in {folder}", bring_back("recipes"))
    try:
        for file in files:
            Recipe.from_yaml(file)
        for file in points:
            Sweep.from_yaml(file)
    except LabError as error:
        return Finding("missing", f"{error} (in {folder})", bring_back("recipes"))
    return Finding("ok", f"{len(files)} recipes and {len(points)} sweeps in {folder}")


def quizzes() -> Finding:
    """Read every question bank."""
    from labs_lib.assessment.banks import load_banks

    private = bool(os.environ.get("LABS_QUIZZES"))
    mend = (
        "let LABS_QUIZZES name a folder of question banks, or unset it for the course's own"
        if private
        else bring_back("quizzes")
    )
    try:
        folder = paths.quizzes_dir()
    except LabError as error:
        return Finding("missing", str(error), mend)
    try:
        banks = load_banks()
    except LabError as error:
        mend = f"mend that line of the bank (labs quiz check), or: {mend}" if private else mend
        return Finding("missing", f"{error} (in {folder})", mend)
    if not banks:
        return Finding("missing", f"no question bank (*.yaml) in {folder}", mend)
    count = sum(len(bank.questions) for bank in banks.values())
    return Finding("ok", f"{count} questions on {len(banks)} lessons in {folder}")


def data_sets() -> Finding:
    """Read every data set that comes with the course, all rows."""
    from labs_lib.data.bundled import SETS, card, folder_of, load_set

    counts = []
    for name in SETS:
        try:
            rows = load_set(name)
            card(name)
        except (LabError, OSError) as error:
            damage = f"{name} in {folder_of(name)}: {error}"
            return Finding("missing", damage, bring_back("labs_lib/data/sets"))
        counts.append(f"{name} ({len(rows.train)} rows to train on)")
    return Finding("ok", ", ".join(counts))

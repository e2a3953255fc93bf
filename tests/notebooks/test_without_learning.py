"""A lesson that shows a method fails where the method learns nothing."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tools import notebooks

# What bitsandbytes does on a CPU that repacks, made to happen on any: a 4-bit layer that has
# answered passes no gradient on. Where a CPU computes in bf16, the gradient is the course's own.
REPACKING = """
from contextlib import contextmanager
from bitsandbytes.nn.modules import Linear4bit
from labs_lib.training.engine import adapted_maps, evaluating

restored, multiply = evaluating.restored_weights, Linear4bit.forward
weight_of = adapted_maps._weight

@contextmanager
def answered(model):
    with restored(model) as count:
        yield count
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.has_answered = True

def forward(layer, x):
    product = multiply(layer, x)
    return product.detach() if getattr(layer, "has_answered", False) else product

def weight(layer):
    return weight_of(layer) * (not getattr(layer, "has_answered", False))

evaluating.restored_weights, Linear4bit.forward = answered, forward
adapted_maps._weight = weight
"""


def cells_to_train(lesson: Path):
    """Return a lesson's notebook with its imports, its recipe, its training and what checks it."""
    import nbformat

    notebook = notebooks.read(lesson)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    trained = next(
        index for index, cell in enumerate(code)
        if "trains" in cell.metadata.get("tags", [])
        and re.search(r"(?<![.\w])(train|compare)\(", cell.source)
    )  # fmt: skip
    wanted = r"^(import|from) |^recipe = "
    before = [cell for cell in code[:trained] if re.search(wanted, cell.source, re.MULTILINE)]
    checks = next(cell for cell in code[trained:] if "assert_learned(" in cell.source)
    notebook.cells = [*before, nbformat.v4.new_code_cell(REPACKING), code[trained], checks]
    return notebook


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=[pytest.mark.slow, pytest.mark.xdist_group(n)]) for n in ("05", "06")],
)
def test_a_qlora_that_learns_nothing_fails_the_lesson(number: str, student_home: Path):
    lesson = next(notebooks.FOLDER.glob(f"{number}_*.ipynb"))
    with notebooks.scratch_home() as home:
        if (trained := student_home / "data" / "runs" / f"lesson-{number}").exists():
            # The arms that are not in 4 bits are read back.
            shutil.copytree(trained, home / "data" / "runs" / trained.name)
            shutil.rmtree(home / "data" / "runs" / trained.name / "compare-qlora-0")
        with pytest.raises(Exception, match="no gradient reached 150 trained tensors"):
            notebooks.execute(
                cells_to_train(lesson), environment={**os.environ, "LABS_HOME": str(home)}
            )

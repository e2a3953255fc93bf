"""The course's JupyterLab itself: it runs a notebook, shows its widgets, tells its errors."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from labpage import LabPage

WIDGET = """\
import ipywidgets

slider, said = ipywidgets.IntSlider(value=3), ipywidgets.Label("three")
slider.add_class("probe-slider")
slider.observe(lambda change: setattr(said, "value", f"now {change['new']}"), "value")
ipywidgets.VBox([slider, said])"""


def write(folder: Path, *cells: str) -> str:
    """Write a notebook of these code cells into the course; return its name."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "probe.ipynb")
    return "probe.ipynb"


def test_a_widget_answers_to_the_keyboard(lab: LabPage):
    lab.open(
        write(lab.server.folder, "import labs_lib\nprint('version', labs_lib.__version__)", WIDGET)
    )
    lab.run_all(60)
    lab.wait_for_text("version 0.")
    handle = lab.page.locator(".probe-slider [role=slider], .probe-slider .noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    lab.wait_for_text("now 4")


def test_an_error_in_a_cell_fails_the_run(lab: LabPage):
    lab.open(write(lab.server.folder, "1 / 0"))
    with pytest.raises(AssertionError, match="1 / 0: ZeroDivisionError: division by zero"):
        lab.run_all(60)

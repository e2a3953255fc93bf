"""The page's instruments in JupyterLab: keys and clicks reach the kernel, its values the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from labpage import LabPage
from playwright.sync_api import Locator, expect
from test_instruments import CONTRAST
from test_page_instruments import same

from labs_lib.widgets.page import module_names
from labs_lib.widgets.page.instrument import instrument_class

NAMES = module_names()
MADE = """\
from labs_lib.widgets.page.instrument import instrument_class

made = {}"""
RUN = """(code) => {
    const session = window.jupyterapp.shell.currentWidget.sessionContext.session;
    return session.kernel.requestExecute({code}).done.then(() => null);
}"""


@pytest.fixture
def page(lab: LabPage) -> Iterator[LabPage]:
    """A notebook with every instrument of the page, run."""
    cells = [
        MADE,
        *(f"made[{name!r}] = instrument_class({name!r})()\nmade[{name!r}]" for name in NAMES),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = lab.server.folder / "page_instruments.ipynb"
    nbformat.write(notebook, path)
    lab.open(path.name)
    lab.run_all(120)
    yield lab
    path.unlink()


def found(page: LabPage, name: str) -> Locator:
    return page.page.locator(f".lab-{name.replace('_', '-')}")


def kernels_state(page: LabPage, name: str) -> dict[str, Any]:
    """Return the state and the figures of an instrument as the kernel holds them."""
    file = page.server.folder / "state.json"
    code = (
        "import json\n"
        f"shown = made[{name!r}]\n"
        f"with open({str(file)!r}, 'w') as file:\n"
        "    json.dump({'state': shown.page_state, 'figures': shown.figures()}, file)"
    )
    page.page.evaluate(RUN, code)
    return json.loads(file.read_text(encoding="utf-8"))


def figures(instrument: Locator) -> dict[str, Any]:
    return instrument.evaluate("(root) => JSON.parse(root.dataset.figures)")


def test_keys_and_clicks_reach_the_kernel_and_its_values_the_page(page: LabPage):
    layer = found(page, "lora_layer")
    layer.scroll_into_view_if_needed()
    layer.get_by_label("rank r").focus()
    for _ in range(2):
        page.page.keyboard.press("ArrowRight")
    # JupyterLab has a meaning of its own for these keys.
    expect(layer.get_by_label("rank r")).to_be_focused()
    layer.get_by_role("button", name="one step").click()
    page.page.keyboard.press("Enter")
    held = kernels_state(page, "lora_layer")
    for _ in range(50):  # the last message may still be on its way to the kernel
        if held["state"]["steps"] == 2:
            break
        page.page.wait_for_timeout(100)
        held = kernels_state(page, "lora_layer")
    assert (held["state"]["rank"], held["state"]["steps"]) == (3, 2)
    assert same(figures(layer), held["figures"])
    page.page.evaluate(RUN, "made['lora_layer'].rank = 5")
    expect(layer.get_by_label("rank r")).to_have_value("5")
    assert figures(layer)["trained"] == 60


def test_each_is_drawn_and_reads_in_both_themes(page: LabPage, tmp_path: Path):
    for theme, light in (("JupyterLab Light", "true"), ("JupyterLab Dark", "false")):
        page.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
        )
        expect(page.page.locator("body")).to_have_attribute("data-jp-theme-light", light)
        for name in NAMES:
            instrument = found(page, name)
            instrument.scroll_into_view_if_needed()
            assert same(figures(instrument), instrument_class(name)().figures())
            for part in instrument.locator("td, th, label, output, legend, .lab-notes").all():
                if part.inner_text():
                    assert part.evaluate(CONTRAST) >= 4.5, (theme, name, part.inner_text())
            instrument.screenshot(path=tmp_path / f"{name}-{light}.png")

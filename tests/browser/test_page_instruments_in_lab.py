"""The page's instruments in JupyterLab: keys, mouse and finger reach the kernel, it the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from labpage import LabPage
from playwright.sync_api import Locator, Page, expect
from test_instruments import CONTRAST
from test_page_instruments import same

from labs_lib.widgets.page import module_names
from labs_lib.widgets.page.instrument import instrument_class

NAMES = module_names()
Find = Callable[[Locator], Locator]
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


def button(name: str) -> Find:
    return lambda instrument: instrument.get_by_role("button", name=name)


def token(at: int) -> Find:
    return lambda instrument: instrument.get_by_role("option").nth(at)


def handle(instrument: Locator) -> Locator:
    return instrument.locator(".lab-handle")


# A key on one control, the mouse on a second and a finger on a third: the trait that each sets.
MOVES: dict[str, list[tuple[str, Find, str, Any]]] = {
    "lora_layer": [
        ("ArrowRight", lambda i: i.get_by_label("rank r"), "rank", 2),
        ("mouse", button("one step"), "steps", 1),
        ("finger", button("merge"), "merged", True),
    ],
    "loss_tokens": [
        ("Home", lambda i: i.get_by_role("listbox"), "token", 0),
        ("mouse", token(3), "token", 3),
        ("finger", lambda i: i.get_by_label("chat template"), "template", False),
    ],
    "nf4_line": [
        ("End", handle, "weight", 0.5),
        ("drag", handle, "weight", 0.4),
        ("finger", lambda i: i.get_by_role("radio", name="equal distances"), "book", "int4"),
    ],
    "outer_products": [
        ("Home", lambda i: i.get_by_label("terms added"), "rank", 0),
        ("mouse", button("+ one term"), "rank", 1),
        ("finger", button("+ one term"), "rank", 2),
    ],
    "qlora_step": [
        ("End", lambda i: i.get_by_role("slider", name="Moment"), "moment", 15),
        ("mouse", button("Back"), "moment", 14),
        ("finger", lambda i: i.get_by_label("gradient checkpointing"), "checkpointing", True),
    ],
}


def middle_of(part: Locator) -> tuple[float, float]:
    part.scroll_into_view_if_needed()
    box = part.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def move(page: Page, how: str, part: Locator) -> None:
    """Move a control by the mouse, by a finger or by a key."""
    x, y = middle_of(part)
    if how == "mouse":
        part.click()
    elif how == "finger":
        page.touchscreen.tap(x, y)
    elif how == "drag":  # to the left
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 60, y, steps=4)
        page.mouse.up()
    else:
        part.focus()
        page.keyboard.press(how)
        expect(part).to_be_focused()  # JupyterLab has a meaning of its own for many keys


@pytest.mark.browser_context_args(has_touch=True)
def test_keys_mouse_and_finger_reach_the_kernel(page: LabPage):
    assert set(MOVES) == set(NAMES)
    for name, moves in MOVES.items():
        instrument = found(page, name)
        for how, find, trait, value in moves:
            move(page.page, how, find(instrument))
            held = kernels_state(page, name)
            for _ in range(50):  # the last message may still be on its way to the kernel
                if near(held["state"][trait], value) and same(figures(instrument), held["figures"]):
                    break
                page.page.wait_for_timeout(100)
                held = kernels_state(page, name)
            assert near(held["state"][trait], value), (name, how, trait, held["state"][trait])
            assert same(figures(instrument), held["figures"])


def near(found: Any, expected: Any) -> bool:
    """Return whether a trait is what was expected; a dragged weight to a twentieth."""
    is_dragged = isinstance(expected, float)
    return abs(found - expected) < 0.05 if is_dragged else found == expected


def test_the_kernels_values_reach_the_page(page: LabPage):
    layer = found(page, "lora_layer")
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

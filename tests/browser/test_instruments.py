"""The instruments by hand, in JupyterLab: keyboard, mouse, bad values, dark theme, how quick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from labpage import LabPage
from playwright.sync_api import Locator, expect

from labs_lib.memory import cards
from labs_lib.widgets import (
    ByteBar,
    KnobEffects,
    MemoryPlanner,
    NF4Explorer,
    RankAlpha,
)

SECONDS = 60
KEY_PRESSES = 40
RIGHT = 25  # of them; the others go back, so that no round ends at a slider's end
# Instrument → the slider that is moved, and the trait behind it.
SLIDERS: dict[type, str] = {
    RankAlpha: "rank",
    KnobEffects: "rank",
    NF4Explorer: "outlier",
    MemoryPlanner: "batch",
}
MADE: dict[type, dict[str, Any]] = {
    MemoryPlanner: {"tracing": False},
    ByteBar: {"tracing": False},
}
# From a key to the picture that it led to, in milliseconds.  The picture is drawn last: a key
# pressed between the table and it would be counted as answered by the picture of the key before.
WATCH = """
(instrument) => {
    const delays = window.delays = [];
    const picture = instrument.querySelector('.lab-picture');
    let pressed = null, before = null;
    document.addEventListener('keydown', () => {
        pressed = performance.now();
        before = picture.innerHTML;
    }, true);
    new MutationObserver(() => {
        if (pressed === null || picture.innerHTML === before) return;
        delays.push(performance.now() - pressed);
        pressed = null;
    }).observe(picture, {childList: true, subtree: true, characterData: true});
}
"""
CONTRAST = """
(element) => {
    const channels = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = (color) => {
        const [r, g, b] = channels(color).map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let ground = element;
    while (getComputedStyle(ground).backgroundColor.match(/^rgba\\(.*, 0\\)$|transparent/)) {
        ground = ground.parentElement;
    }
    const pair = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
    const [low, high] = pair.map(light).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}
"""


@pytest.fixture(scope="module")
def cells() -> list[str]:
    names = [kind.__name__ for kind in (*SLIDERS, ByteBar)]
    return [
        f"from labs_lib.widgets import {', '.join(names)}",
        *(
            f"{kind.__name__}({', '.join(f'{key}={value}' for key, value in made.items())})"
            for kind, made in ((kind, MADE.get(kind, {})) for kind in (*SLIDERS, ByteBar))
        ),
    ]


@pytest.fixture
def page(lab: LabPage, cells: list[str]) -> Iterator[LabPage]:
    """A notebook with every instrument, run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = lab.server.folder / "instruments.ipynb"
    nbformat.write(notebook, path)
    lab.open("instruments.ipynb")
    lab.run_all(300)
    yield lab
    path.unlink()


def found(page: LabPage, kind: type) -> Locator:
    """Return the instrument on the page."""
    return page.page.locator(f".{kind.css_class}")  # pyright: ignore[reportAttributeAccessIssue]


def values(kind: type, **state: Any) -> list[str]:
    """Return the figures that the instrument's pure function gives for a state, as text."""
    made = kind(**MADE.get(kind, {}), **state)
    assert not made.trouble
    return [value for _, value in made.rows(made.figures)]


def shown(instrument: Locator) -> Locator:
    """Return the values of the instrument's table."""
    return instrument.locator(".lab-figures td:nth-child(2)")


def handle(instrument: Locator, trait: str) -> Locator:
    return instrument.locator(f".lab-{trait} .noUi-handle")


def press_keys(page: LabPage, instrument: Locator) -> float:
    """Press arrow keys on the slider in focus; return the p95 from key to page in milliseconds."""
    page.page.evaluate(WATCH, instrument.element_handle())
    for press in range(KEY_PRESSES):
        page.page.keyboard.press("ArrowRight" if press < RIGHT else "ArrowLeft")
        page.page.wait_for_function(
            "(count) => window.delays.length >= count", arg=press + 1, timeout=SECONDS * 1000
        )
    return p95(page.page.evaluate("() => window.delays"))


def p95(numbers: list[float]) -> float:
    return sorted(numbers)[int(0.95 * (len(numbers) - 1))]


def test_by_keyboard_and_mouse_the_page_shows_the_pure_functions_figures(
    page: LabPage, record_property: Callable[[str, object], None]
):
    """The delays that it notes, `benchmarks/waiting.py` records."""
    for kind, trait in SLIDERS.items():
        instrument = found(page, kind)
        instrument.scroll_into_view_if_needed()
        slider = handle(instrument, trait)
        start = int(float(slider.get_attribute("aria-valuenow") or 0))
        expect(shown(instrument)).to_have_text(values(kind, **{trait: start}))

        slider.focus()
        delay = press_keys(page, instrument)
        moved = start + 2 * RIGHT - KEY_PRESSES
        expect(shown(instrument)).to_have_text(values(kind, **{trait: moved}))
        record_property(f"{kind.__name__}_key_to_page_p95_ms", round(delay, 1))
        print(f"{kind.__name__}: key to page, p95 of {KEY_PRESSES}: {delay:.0f} ms")

        track = instrument.locator(f".lab-{trait} .noUi-base").bounding_box()
        assert track
        page.page.mouse.click(track["x"] + 0.7 * track["width"], track["y"] + track["height"] / 2)
        expect(slider).not_to_have_attribute("aria-valuenow", f"{moved}.0")
        clicked = int(float(slider.get_attribute("aria-valuenow") or 0))
        expect(shown(instrument)).to_have_text(values(kind, **{trait: clicked}))


def test_the_byte_bar_follows_its_choices(page: LabPage):
    instrument = found(page, ByteBar)
    card = instrument.locator(".lab-card select")
    card.focus()
    page.page.keyboard.press("ArrowDown")
    chosen = list(cards())[card.evaluate("(box) => box.selectedIndex")]
    expect(shown(instrument)).to_have_text(values(ByteBar, card=chosen))
    instrument.locator(".lab-method select").select_option("QLoRA")
    expect(shown(instrument)).to_have_text(values(ByteBar, card=chosen, method="qlora"))


def test_a_bad_value_is_explained_and_the_instrument_goes_on(page: LabPage):
    instrument = found(page, RankAlpha)
    typed = (
        instrument.get_by_label("or names")
        .or_(instrument.locator(".lab-targets-typed input"))
        .first
    )
    typed.fill("q_porj")
    typed.press("Enter")
    alert = instrument.get_by_role("alert")
    expect(alert).to_contain_text("q_porj")
    expect(alert).to_contain_text("q_proj")
    typed.fill("q_proj")
    typed.press("Enter")
    expect(alert).to_have_count(0)
    expect(shown(instrument)).to_have_text(values(RankAlpha, targets="q_proj"))

    alpha = handle(instrument, "alpha")
    alpha.focus()
    page.page.keyboard.press("Home")
    expect(alert).to_contain_text("alpha")
    page.page.keyboard.press("ArrowRight")
    expect(alert).to_have_count(0)

    instrument.locator(".lab-model select").select_option("one matrix")
    inputs = instrument.locator(".lab-d-in input")
    inputs.fill("4")
    inputs.press("Enter")
    expect(alert).to_contain_text("rank")
    inputs.fill("400")
    inputs.press("Enter")
    expect(alert).to_have_count(0)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_every_figure_reads_in_both_themes(page: LabPage, theme: str, tmp_path: Path):
    page.page.evaluate(
        "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    wanted = "false" if "Dark" in theme else "true"
    expect(page.page.locator("body")).to_have_attribute("data-jp-theme-light", wanted)
    for kind in (*SLIDERS, ByteBar):
        instrument = found(page, kind)
        for cell in instrument.locator(".lab-figures td").all():
            assert cell.evaluate(CONTRAST) >= 4.5, (kind.__name__, cell.inner_text())
        instrument.scroll_into_view_if_needed()
        box = instrument.locator("svg").first.bounding_box()
        whole = instrument.bounding_box()
        assert box
        assert whole
        assert box["x"] + box["width"] <= whole["x"] + whole["width"] + 1, "the picture is cut off"
        instrument.screenshot(path=tmp_path / f"{kind.__name__}-{theme[-5:].strip()}.png")

"""The instruments on a static page, without a kernel: the page's figures are Python's."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from instrument_page import InstrumentPage
from playwright.sync_api import Browser, Page, expect

from labs_lib.widgets import OuterProducts
from labs_lib.widgets.page import module_names, page_html
from labs_lib.widgets.page.instrument import instrument_class

DRAW = random.Random(20)


def lora_layer_state() -> dict[str, Any]:
    merged = DRAW.random() < 0.3
    return {
        "rank": DRAW.randint(1, 6),
        "steps": DRAW.choice([0, 1, 2, DRAW.randint(3, 60)]),
        "merged": merged,
        "on": merged or DRAW.random() < 0.6,
        "width": DRAW.choice([6, 576, 4096]),
    }


def outer_products_state() -> dict[str, Any]:
    source, most = DRAW.choice([("6 × 6", 6), ("a picture", 48)])
    return {"source": source, "rank": DRAW.randint(0, most)}


# Instrument → what draws one of its states.
STATES: dict[str, Any] = {
    "lora_layer": lora_layer_state,
    "outer_products": outer_products_state,
}


@pytest.fixture
def shown(page: Page, tmp_path: Path) -> InstrumentPage:
    return InstrumentPage(page, tmp_path)


def same(page: Any, python: Any) -> bool:
    """Tell whether two figures agree to what rounding in another order of terms changes."""
    if isinstance(python, dict):
        return page.keys() == python.keys() and all(same(page[k], python[k]) for k in python)
    if isinstance(python, (list, tuple)):
        return len(page) == len(python) and all(map(same, page, python))
    if isinstance(python, (int, float)) and not isinstance(python, bool):
        return page == pytest.approx(python, rel=1e-6, abs=1e-8)
    return page == python


@pytest.mark.parametrize("name", STATES)
def test_the_page_computes_what_python_computes(shown: InstrumentPage, name: str):
    shown.open(name)
    assert same(shown.figures(), instrument_class(name)().figures())
    for _ in range(30):
        state = STATES[name]()
        shown.put(**state)
        python = instrument_class(name)(**state).figures()
        assert same(shown.figures(), python), (state, shown.figures(), python)
    shown.check()


@pytest.mark.parametrize("name", module_names())
def test_two_on_one_page_go_their_own_ways(shown: InstrumentPage, name: str):
    shown.open(name, {}, {})
    assert shown.page.locator(".lab-page").count() == 2
    names = shown.page.locator("input[id]").evaluate_all("(inputs) => inputs.map(i => i.id)")
    assert len(names) == len(set(names))
    second = shown.page.locator(".lab-page").nth(1)
    assert second.get_attribute("data-figures") == shown.root.get_attribute("data-figures")
    before = second.get_attribute("data-figures")
    slider = shown.root.locator("input[type=range]").first
    slider.focus()
    shown.page.keyboard.press("ArrowRight")
    expect(slider).to_be_focused()
    assert second.get_attribute("data-figures") == before
    shown.check()


@pytest.mark.parametrize("name", module_names())
def test_without_scripts_the_still_is_there(browser: Browser, tmp_path: Path, name: str):
    path = tmp_path / "still.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{page_html(name, {})}", "utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    still = page.get_by_role("img")
    expect(still).to_be_visible()
    assert instrument_class(name)().line() == still.get_attribute("aria-label")
    context.close()


def test_the_layer_by_mouse(shown: InstrumentPage):
    shown.open("lora_layer", {"rank": 2})
    base = shown.figures()
    button = shown.page.get_by_role("button", name="one step")
    button.click()
    assert shown.figures()["loss"] < base["loss"]
    expect(shown.root).to_contain_text("The first step changed B alone")
    shown.page.get_by_role("button", name="merge").click()
    merged = shown.figures()
    assert merged["update"] == [0] * 6
    assert merged["weight"] != base["weight"]
    expect(button).to_be_disabled()
    expect(shown.page.get_by_role("button", name="switch off")).to_be_disabled()
    shown.page.get_by_role("button", name="merge").click()
    shown.page.get_by_role("button", name="switch off").click()
    assert shown.figures()["y"] == base["y"]
    shown.page.get_by_role("button", name="start (B = 0)").click()
    assert shown.figures() == base
    track = shown.page.get_by_label("rank r").bounding_box()
    assert track
    shown.page.mouse.click(track["x"] + track["width"] - 6, track["y"] + track["height"] / 2)
    assert shown.trait("rank") == 6
    shown.check()


def test_the_layer_by_keyboard_alone(shown: InstrumentPage):
    shown.open("lora_layer")
    press = shown.page.keyboard.press
    press("Tab")
    expect(shown.page.get_by_label("rank r")).to_be_focused()
    press("ArrowRight")
    press("Tab")
    press("Tab")
    press("Enter")
    press("Space")
    assert (shown.trait("rank"), shown.trait("steps")) == (2, 2)
    press("Tab")
    press("Space")
    press("Tab")
    press("Enter")
    assert (shown.trait("steps"), shown.trait("merged")) == (12, True)
    shown.check()


def test_the_layer_by_touch_on_a_phone(browser: Browser, tmp_path: Path):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    shown = InstrumentPage(context.new_page(), tmp_path)
    shown.open("lora_layer")
    shown.page.get_by_role("button", name="one step").tap()
    assert shown.trait("steps") == 1
    box = shown.page.get_by_label("rank r").bounding_box()
    assert box
    shown.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert shown.trait("rank") in (3, 4)
    wide = shown.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    shown.check()
    context.close()


@pytest.fixture(scope="module")
def updates() -> dict[str, Any]:
    """The instrument's state with a matrix that is too large to be drawn row by row."""
    draw = np.random.default_rng(3)
    large = draw.normal(size=(300, 4)) @ draw.normal(size=(4, 200)) + draw.normal(size=(300, 200))
    return OuterProducts({"an update": large}, source="an update", rank=4).page_state


def test_terms_are_added_by_mouse_and_keyboard(shown: InstrumentPage, updates: dict[str, Any]):
    shown.open("outer_products", updates)
    assert same(shown.figures(), OuterProducts(**updates).figures())
    expect(shown.root).to_contain_text("one row and one column in 7")
    shown.page.get_by_role("button", name="+ one term").click()
    assert shown.trait("rank") == 5
    shown.page.get_by_role("radio", name="6 × 6").check()
    expect(shown.page.get_by_role("radio", name="6 × 6")).to_be_checked()
    shown.page.keyboard.press("Tab")
    expect(shown.page.get_by_label("terms added")).to_be_focused()
    shown.page.keyboard.press("Home")
    assert shown.figures()["kept"] == 0
    for _ in range(3):
        shown.page.keyboard.press("ArrowRight")
    expect(shown.root).to_contain_text("Nothing is left")
    shown.check()


def test_terms_take_a_finger_on_a_phone(browser: Browser, tmp_path: Path, updates: dict[str, Any]):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    shown = InstrumentPage(context.new_page(), tmp_path)
    shown.open("outer_products", updates)
    shown.page.get_by_role("button", name="+ one term").tap()
    assert shown.trait("rank") == 5
    shown.page.get_by_role("radio", name="6 × 6").tap()
    assert shown.trait("source") == "6 × 6"
    box = shown.page.get_by_label("terms added").bounding_box()
    assert box
    shown.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert shown.trait("rank") == 3
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    shown.check()
    context.close()


def test_a_source_of_fewer_terms_lowers_the_rank(shown: InstrumentPage, updates: dict[str, Any]):
    shown.open("outer_products", {**updates, "rank": 40})
    shown.page.get_by_role("radio", name="6 × 6").check()
    assert shown.trait("rank") == 6
    assert shown.figures()["matrix_numbers"] == 36
    shown.check()


@pytest.mark.parametrize("name", module_names())
def test_a_move_is_drawn_within_a_frame(shown: InstrumentPage, name: str, updates: dict[str, Any]):
    """By the processor time of the page's thread, which a busy machine stretches least."""
    shown.open(name, updates if name == "outer_products" else {})
    work = sorted(work for work, _ in shown.frames(40))
    assert work[len(work) * 95 // 100] < 2 * 16

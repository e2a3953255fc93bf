"""The NF4 line, the loss's tokens and a QLoRA step on a static page: figures, hands, speed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from instrument_page import InstrumentPage
from playwright.sync_api import Browser, Locator, Page, expect

from labs_lib.quantization import codebook
from labs_lib.widgets.page.instrument import instrument_class

DRAW = random.Random(17)
ABSMAX = 0.5
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}


def nf4_line_state() -> dict[str, Any]:
    book = DRAW.choice(["nf4", "int4"])
    # On a border between two codes too, where a tie is decided.
    low, high = DRAW.choice(list(zip(codebook(book), codebook(book)[1:], strict=False)))
    weight = DRAW.choice([DRAW.uniform(-ABSMAX, ABSMAX), (low + high).item() / 2 * ABSMAX])
    update = DRAW.choice([0.0, DRAW.uniform(-0.01, 0.01), DRAW.uniform(-0.15, 0.15)])
    return {"book": book, "weight": weight, "update": update, "merging": True}


def loss_tokens_state() -> dict[str, Any]:
    def row() -> dict[str, Any]:
        prompt, answer, end = DRAW.randint(1, 9), DRAW.randint(1, 9), DRAW.randint(1, 2)
        ids = [DRAW.choice([2, *range(10, 20)]) for _ in range(prompt + answer)] + [2, 198][:end]
        texts = [f"t{each}" for each in ids]
        return {"texts": texts, "ids": ids, "prompt_tokens": prompt, "end_tokens": end, "end_id": 2}

    return {
        "rows": {"template": row(), "plain": row()},
        "template": DRAW.random() < 0.5,
        "mask_prompt": DRAW.random() < 0.6,
        "end_mark": DRAW.choice(["learned", "masked", "missing"]),
        "max_length": DRAW.randint(1, 22),
        "token": DRAW.randint(0, 19),
    }


def qlora_step_state() -> dict[str, Any]:
    return {
        "moment": DRAW.randint(0, 20),
        "checkpointing": DRAW.random() < 0.5,
        "tokens": DRAW.choice([1, 64, 512, DRAW.randint(1, 9000)]),
        "rank": DRAW.randint(1, 256),
        "width": DRAW.choice([63, 576, 4096]),
        "inner": DRAW.choice([65, 1536, 11008]),
    }


STATES: dict[str, Any] = {
    "nf4_line": nf4_line_state,
    "loss_tokens": loss_tokens_state,
    "qlora_step": qlora_step_state,
}


@pytest.fixture
def shown(page: Page, tmp_path: Path) -> InstrumentPage:
    return InstrumentPage(page, tmp_path)


@pytest.mark.parametrize("name", STATES)
def test_the_page_computes_what_python_computes_to_the_last_digit(shown: InstrumentPage, name: str):
    states = [STATES[name]() for _ in range(60)]
    shown.open(name, states[0])
    for state in states:
        shown.put(**state)
        assert shown.figures() == instrument_class(name)(**state).figures(), state
    shown.check()


def slider_of(shown: InstrumentPage, name: str) -> Locator:
    return shown.page.get_by_role("slider", name=name)


def radio(shown: InstrumentPage, name: str) -> Locator:
    return shown.page.get_by_role("radio", name=name)


# The NF4 line -----------------------------------------------------------------------------


def handle(shown: InstrumentPage) -> Locator:
    return shown.root.locator(".lab-handle")


def middle_of(part: Locator) -> tuple[float, float]:
    box = part.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_weight_is_dragged_by_the_mouse_and_snaps(shown: InstrumentPage):
    shown.open("nf4_line", {"weight": 0.0})
    x, y = middle_of(handle(shown))
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    shown.page.mouse.move(x + 40, y + 30, steps=4)
    shown.page.mouse.move(x + 150, y, steps=4)
    shown.page.mouse.up()
    assert shown.trait("weight") > 0.15
    assert middle_of(handle(shown))[0] == pytest.approx(x + 150, abs=2)
    assert shown.figures()["before"]["code"] > 10
    shown.page.mouse.move(x, y)
    assert shown.trait("weight") > 0.15, "the button is up"
    shown.check()


def test_a_weight_is_moved_by_keys_and_keeps_the_focus(shown: InstrumentPage):
    shown.open("nf4_line", {"weight": 0.0})
    handle(shown).focus()
    for key, weight in (
        ("ArrowRight", 0.001),
        ("PageUp", 0.011),
        ("ArrowDown", 0.01),
        ("End", 0.5),
    ):
        shown.page.keyboard.press(key)
        assert shown.trait("weight") == pytest.approx(weight)
        expect(handle(shown)).to_be_focused()
    expect(handle(shown)).to_have_attribute("aria-valuetext", "0.500, code 15")
    radio(shown, "equal distances").click()
    assert shown.figures()["before"]["code"] == 14
    expect(shown.root).to_contain_text("2.43 % to 10.4 %")
    shown.check()


def test_an_update_is_lost_until_it_reaches_the_border(shown: InstrumentPage):
    shown.open("nf4_line", {"merging": True, "update": 0.004})
    expect(shown.root).to_contain_text("The update of 0.0040 is lost: the border is 0.0230 away")
    assert shown.figures()["kept"] == 0
    slider = slider_of(shown, "Update")
    slider.focus()
    for _ in range(39):  # of half a thousandth
        shown.page.keyboard.press("ArrowRight")
    assert shown.trait("update") == pytest.approx(0.0235)
    expect(shown.root).to_contain_text("goes beyond the border")
    assert shown.figures()["kept"] == pytest.approx(0.0459, abs=1e-4)
    shown.check()


def test_a_weight_is_dragged_by_touch_on_a_phone(browser: Browser, tmp_path: Path):
    context = browser.new_context(**PHONE)
    shown = InstrumentPage(context.new_page(), tmp_path)
    shown.open("nf4_line", {"weight": 0.0})
    x, y = middle_of(handle(shown))
    touch = context.new_cdp_session(shown.page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x - 30, "y": y}]),
        ("touchMove", [{"x": x - 80, "y": y}]),
        ("touchEnd", []),
    ):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    shown.page.wait_for_function(
        "document.querySelector('[data-instrument]').model.get('weight') < -0.2"
    )
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    shown.check()
    context.close()


# What the loss sees -----------------------------------------------------------------------


def test_tokens_are_looked_at_by_mouse_and_by_keys(shown: InstrumentPage):
    shown.open("loss_tokens")
    expect(shown.root).to_contain_text("Token 37, “Arr”, id 40909, label 40909")
    shown.page.get_by_role("option").nth(3).click()
    expect(shown.root).to_contain_text("“You”, id 2683, label −100: the model reads it")
    tokens = shown.page.get_by_role("listbox")
    tokens.focus()
    for key, at in (("ArrowRight", 4), ("Home", 0), ("ArrowLeft", 0), ("End", 47)):
        shown.page.keyboard.press(key)
        assert shown.trait("token") == at
        chosen = shown.page.get_by_role("option", selected=True)
        assert tokens.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    shown.check()


def test_the_four_switches_change_what_counts(shown: InstrumentPage):
    shown.open("loss_tokens")
    expect(shown.root).to_contain_text("The loss counts the answer and its end, and nothing else.")
    mask, template = (
        shown.page.get_by_label("mask the prompt"),
        shown.page.get_by_label("chat template"),
    )
    mask.click()
    assert shown.figures()["terms"] == 47, "all tokens but the first"
    expect(shown.root).to_contain_text("the model also learns to write questions")
    mask.focus()
    shown.page.keyboard.press("Space")
    radio(shown, "masked").click()
    assert (shown.figures()["terms"], shown.figures()["learns_end"]) == (11, False)
    expect(shown.root).to_contain_text("the model does not learn to stop")
    radio(shown, "missing").click()
    assert shown.figures()["tokens"] == 46
    template.click()
    assert shown.figures()["tokens"] == 16
    template.click()
    cut = slider_of(shown, "max_length")
    cut.focus()
    for _ in range(12):
        shown.page.keyboard.press("ArrowLeft")
    assert (shown.figures()["terms"], shown.figures()["lost"]) == (0, 10)
    expect(shown.root).to_contain_text("this row teaches nothing")
    shown.check()


def test_tokens_and_switches_take_a_finger(browser: Browser, tmp_path: Path):
    context = browser.new_context(**PHONE)
    shown = InstrumentPage(context.new_page(), tmp_path)
    shown.open("loss_tokens")
    shown.page.get_by_role("option").nth(40).tap()
    assert shown.trait("token") == 40
    shown.page.get_by_label("chat template").tap()
    assert shown.figures()["tokens"] == 17
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    shown.check()
    context.close()


# A QLoRA step -----------------------------------------------------------------------------


def test_the_copy_appears_and_goes_from_moment_to_moment(shown: InstrumentPage):
    shown.open("qlora_step")
    following = shown.page.get_by_role("button", name="Next")
    following.focus()
    shown.page.keyboard.press("Enter")
    assert "W_up_16" not in shown.figures()["live"]
    shown.page.keyboard.press("Enter")
    assert shown.figures()["live"]["W_up_16"] == 2 * 4096 * 11008
    expect(shown.root.locator(".box.copy.alive")).to_have_text("W_up, copy90.2 MB")
    following.click()
    expect(shown.root.locator(".box.copy.alive")).to_have_count(0)
    shown.page.get_by_role("button", name="Back").click()
    assert shown.trait("moment") == 2
    shown.root.locator(".column").nth(10).click()
    assert shown.trait("moment") == 10
    expect(shown.root).to_contain_text("11 of 16 · backward · Restore W_down for its gradient")
    shown.check()


def test_checkpointing_lets_less_wait_and_restores_once_more(shown: InstrumentPage):
    shown.open("qlora_step", {"moment": 15})
    expect(shown.page.get_by_role("button", name="Next")).to_be_disabled()
    plain = shown.figures()
    shown.page.get_by_label("gradient checkpointing").click()
    again = shown.figures()
    assert (plain["restored"], again["restored"]) == (2, 3)
    assert again["kept"] < plain["kept"] / 6
    expect(shown.root).to_contain_text("16 of 21 · backward")
    slider = slider_of(shown, "Moment")
    slider.focus()
    shown.page.keyboard.press("End")
    assert shown.trait("moment") == 20
    shown.page.get_by_label("gradient checkpointing").click()
    expect(shown.root).to_contain_text("16 of 16 · optimizer · Optimizer step")
    shown.check()


def test_moments_and_sizes_take_a_finger(browser: Browser, tmp_path: Path):
    context = browser.new_context(**PHONE)
    shown = InstrumentPage(context.new_page(), tmp_path)
    shown.open("qlora_step")
    shown.page.get_by_role("button", name="Next").tap()
    assert shown.trait("moment") == 1
    x, y = middle_of(slider_of(shown, "Tokens"))
    shown.page.touchscreen.tap(x, y)
    assert 1800 < shown.trait("tokens") < 2400
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    shown.check()
    context.close()

"""The reading edition in Chromium: opened as files, on a phone's and on a laptop's window."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, ViewportSize, expect

from tools import notebooks
from tools.site.building import FILM, build, settings

MOST_SECONDS = 120
PHONE: ViewportSize = {"width": 390, "height": 844}
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
THEMES = ("light", "dark")
LESSONS = [source.stem for source in notebooks.sources()]
PAGES = ["index", *LESSONS, "ledger", "search", *(["film"] if FILM.exists() else [])]
# The cards of claims are alike: of these, some stand for all.
OPEN = """document.querySelectorAll('details:not(.lab-claim), .lab-claim:nth-of-type(5n)')
    .forEach((each) => { each.open = true; })"""
# A fold that opens fades in, and half faded text has too little contrast.
FADED_IN = """Promise.allSettled(document.getAnimations()
    .filter((each) => each.effect.getComputedTiming().endTime < Infinity)
    .map((each) => each.finished))"""
# Three of four letters are code, colored alike on every page: one page stands for all.
CODE_PAGE = "00_start_here"
ALIKE = [["pre"], [".bd-sidebar-primary"], [".bd-sidebar-secondary"]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The site and the seconds that it took."""
    started = time.perf_counter()
    folder = tmp_path_factory.mktemp("reading") / "site"
    build(folder, settings("https://example.org/OWNER/lora-lab"))
    return folder, time.perf_counter() - started


@pytest.fixture(scope="module", params=THEMES)
def themed(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page in one of the themes."""
    context = browser.new_context(viewport=LAPTOP, color_scheme=request.param)
    yield context.new_page()
    context.close()


def opened(page: Page, built: tuple[Path, float], name: str) -> list[str]:
    """Open a page; return what goes wrong on it from now on, requests that leave it included."""
    wrong: list[str] = []

    def note_request(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(f"asks for {request.url}")

    page.on("request", note_request)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{built[0].as_uri()}/{name}.html")
    return wrong


def width_beyond(page: Page, size: ViewportSize) -> int:
    """Return by how many pixels a page is wider than its window."""
    page.set_viewport_size(size)
    return page.evaluate("document.scrollingElement.scrollWidth - innerWidth")


def serious(page: Page, theme: str, colors_left_out: list[list[str]]) -> list[str]:
    """Return axe's serious and critical faults; what does not depend on a theme is asked once."""
    page.evaluate(FADED_IN)
    common: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    contrast = {**common, "runOnly": ["color-contrast"]}
    context = {"exclude": colors_left_out} if colors_left_out else None
    found = Axe().run(page, context=context, options=contrast).response["violations"]
    if theme == THEMES[0]:
        rest = {**common, "rules": {"color-contrast": {"enabled": False}}}
        found += Axe().run(page, options=rest).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_it_is_built_in_two_minutes(built: tuple[Path, float], record_property: Any):
    folder, seconds = built
    record_property("seconds", round(seconds, 1))
    assert seconds < MOST_SECONDS
    assert {f"{name}.html" for name in PAGES} == {path.name for path in folder.glob("*.html")}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_stays_here_and_has_no_serious_fault(
    themed: Page, built: tuple[Path, float], name: str
):
    wrong = opened(themed, built, name)
    theme = themed.locator("html").get_attribute("data-theme")
    assert theme in THEMES
    for size in (PHONE, LAPTOP):
        assert width_beyond(themed, size) <= 0, "folds closed"
    themed.evaluate(OPEN)
    for size in (PHONE, LAPTOP):
        assert width_beyond(themed, size) <= 0, "folds open"
    assert serious(themed, theme, [] if name == CODE_PAGE else ALIKE) == []
    assert wrong == []


def test_an_outcome_shows_only_when_it_is_opened(page: Page, built: tuple[Path, float]):
    opened(page, built, "02_lora_math")
    outcome = page.get_by_text("Outcome: 2,222.")
    expect(outcome).to_be_hidden()
    page.get_by_text("Show what happened").first.click()
    expect(outcome).to_be_visible()


def test_the_parts_of_one_outcome_open_together(page: Page, built: tuple[Path, float]):
    opened(page, built, "00_start_here")
    outcomes = page.locator("details.lab-fold", has=page.get_by_text("Show what happened"))
    groups = outcomes.evaluate_all("all => all.map(each => each.dataset.group)")
    twice = next(group for group in groups if groups.count(group) == 2)
    parts = page.locator(f'details.lab-fold[data-group="{twice}"]')
    parts.first.locator("summary").first.click()
    expect(parts.nth(1)).to_have_attribute("open", "")


def test_on_paper_every_outcome_is_open(page: Page, built: tuple[Path, float]):
    opened(page, built, "02_lora_math")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.get_by_text("Outcome: 2,222.")).to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.get_by_text("Outcome: 2,222.")).to_be_hidden()


def test_the_search_needs_no_server(page: Page, built: tuple[Path, float]):
    page.goto(f"{built[0].as_uri()}/search.html?q=absmax")
    expect(page.locator("#search-results a", has_text="QLoRA").first).to_be_visible()


def test_a_lesson_opens_in_a_hosted_notebook(page: Page, built: tuple[Path, float]):
    opened(page, built, "05_qlora")
    address = page.get_by_role("link", name="Open in a hosted notebook").get_attribute("href")
    assert address is not None
    assert "https%3A%2F%2Fexample.org%2FOWNER%2Flora-lab" in address
    assert address.endswith("workbook/05_qlora.ipynb")


@pytest.mark.skipif(not FILM.exists(), reason="the film is not here")
def test_the_film_plays_with_its_captions(page: Page, built: tuple[Path, float]):
    assert opened(page, built, "film") == []
    film = page.locator("video")
    film.evaluate("(film) => { film.muted = true; return film.play(); }")
    page.wait_for_function("document.querySelector('video').currentTime > 0.2")
    assert film.evaluate("(film) => film.textTracks[0].cues.length") > 10

"""An instrument on a static page, in Chromium, that a test can drive and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from labs_lib.widgets.page import page_html

PUT = """([place, state]) => {
    for (const [key, value] of Object.entries(state)) place.model.set(key, value);
    return new Promise(done => setTimeout(done));
}"""

# Moves the first slider, lets the instrument draw, and waits for the frame that shows it.
MOVE = """([place, turn]) => {
    const input = place.querySelector('input[type=range]');
    const [low, high] = [Number(input.min), Number(input.max)];
    const choices = Math.round((high - low) / Number(input.step)) + 1;
    const before = input.value;
    input.value = low + (turn * 5) % choices * Number(input.step);
    if (input.value === before) input.value = low;
    const started = performance.now();
    input.dispatchEvent(new Event('input', {bubbles: true}));
    const ended = (done) => done(performance.now() - started);
    return new Promise(done => requestAnimationFrame(() => setTimeout(ended, 0, done)));
}"""


class InstrumentPage:
    """A page with one instrument; nothing on it may ask for anything or report an error."""

    def __init__(self, page: Page, folder: Path):
        self.page, self.folder = page, folder
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)

    def open(self, name: str, *states: dict[str, Any], theme: str = "") -> None:
        """Show the instrument from each state; `theme` is light, dark or the system's."""
        body = "\n".join(page_html(name, state) for state in states or ({},))
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        chosen = f' data-theme="{theme}"' if theme else ""
        path = self.folder / f"{name}.html"
        path.write_text(f"<!doctype html><html{chosen}>{head}<body>{body}</body></html>", "utf-8")
        self.requests.clear()
        self.page.goto(path.as_uri())

    @property
    def root(self) -> Locator:
        """The first instrument's frame."""
        return self.page.locator(".lab-page").first

    def put(self, **state: Any) -> None:
        """Set traits of the first instrument, and wait until they are drawn."""
        place = self.page.locator("[data-instrument]").first.element_handle()
        self.page.evaluate(PUT, [place, state])

    def trait(self, key: str) -> Any:
        """Return a trait of the first instrument as the page holds it."""
        place = self.page.locator("[data-instrument]").first
        return place.evaluate("(place, key) => place.model.get(key)", key)

    def figures(self) -> dict[str, Any]:
        """Return the figures that the first instrument shows."""
        return self.root.evaluate("(root) => JSON.parse(root.dataset.figures)")

    def frames(self, moves: int) -> list[tuple[float, float]]:
        """Move the first slider; return (work, wait) of each move in milliseconds.

        The work is the processor time of all that the page's main thread does, from the event to
        the painted frame; the wait is the time that passes until then, up to 17 ms of it for the
        frame's turn.
        """
        session = self.page.context.new_cdp_session(self.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return next(1e3 * m["value"] for m in metrics if m["name"] == "TaskDuration")

        place = self.page.locator("[data-instrument]").first.element_handle()
        times = []
        for turn in range(moves + 3):
            before = spent()
            wait = self.page.evaluate(MOVE, [place, turn])
            times.append((spent() - before, wait))
        return times[3:]  # the first ones warm up

    def check(self) -> None:
        """Fail if the page asked for anything but itself, or reported an error."""
        assert len(self.requests) == 1, self.requests
        assert self.errors == []

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

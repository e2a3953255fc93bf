"""The film plays in Chromium: from a page of its own, and from lesson 00 in JupyterLab."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from labpage import LabPage
from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parent.parent.parent / "film"
PAGE = """<!doctype html><meta charset="utf-8"><title>The film</title>
<video controls muted src="lora.webm" width="640"
><track default kind="captions" srclang="en" src="lora.vtt"></video>"""
# Plays for a moment; says how it went, and which caption was there.
PLAY = """async () => {
    const video = document.querySelector('video[src*="lora.webm"]');
    video.muted = true;
    const track = video.textTracks[0];
    track.mode = 'showing';
    const until = async (ready, what) => {
        const end = Date.now() + 30000;
        while (!ready()) {
            if (video.error) throw new Error(video.error.message || `error ${video.error.code}`);
            if (Date.now() > end) throw new Error(`waited for ${what}`);
            await new Promise(done => setTimeout(done, 50));
        }
    };
    await until(() => video.readyState >= 2, 'a frame');
    await until(() => track.cues && track.cues.length, 'captions');
    const from = video.currentTime;
    await video.play();
    await until(() => video.currentTime > from + 0.5, 'time to move');
    video.pause();
    const size = [video.videoWidth, video.videoHeight];
    return {from, to: video.currentTime, size, seconds: video.duration, cues: track.cues.length,
            caption: track.activeCues.length ? track.activeCues[0].text : ''};
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, *_: Any):
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """A server of the film's folder, with a plain page that shows it."""
    handler = functools.partial(_Quiet, directory=str(FOLDER))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def holds(played: dict[str, Any]) -> None:
    """Check what was seen of the film."""
    assert played["to"] > played["from"] + 0.5
    assert played["size"] == [1280, 720]
    assert abs(played["seconds"] - 270) <= 5
    assert played["cues"] > 30
    assert played["caption"]


def test_it_plays_on_a_plain_page(page: Page, address: str):
    page.goto(address)
    holds(page.evaluate(PLAY))


# Runs the cell that shows the film, and none before it.
SHOW = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    const cells = panel.content.model.toJSON().cells;
    panel.content.activeCellIndex = cells.findIndex(cell =>
        cell.cell_type === 'code' && String(cell.source).includes('lora.webm'));
    return window.jupyterapp.commands.execute('notebook:run-cell');
}"""


@pytest.mark.timeout(400)
def test_it_plays_in_lesson_00(lab: LabPage):
    lab.open("workbook/00_start_here.ipynb", seconds=180)
    lab.page.evaluate(SHOW)
    lab.page.locator('video[src*="lora.webm"]').scroll_into_view_if_needed()
    holds(lab.page.evaluate(PLAY))

"""The committed film: it is what the script gives, of the right length, and no frame is empty."""

from __future__ import annotations

import itertools
from typing import Any

import av
import numpy as np
import pytest

from tools.film import made
from tools.film.captions import webvtt
from tools.film.drawing import Canvas
from tools.film.frames import shapes_at
from tools.film.script import FRAMES_PER_SECOND, duration, scenes
from tools.film.shapes import HEIGHT, WIDTH

SPREAD = [6.5 + 11.5 * number for number in range(23)]
MOMENTS = [*SPREAD, *(scene.end - 1.0 for scene in scenes())]


@pytest.fixture(scope="module")
def frames() -> dict[float, np.ndarray]:
    """The film's frame at each of some moments, decoded: (720, 1280, 3), 8-bit."""
    found: dict[float, np.ndarray] = {}
    with av.open(str(made.FILM)) as container:
        stream = container.streams.video[0]
        for second in MOMENTS:
            container.seek(round(second / stream.time_base), stream=stream)
            found[second] = _first_from(container, second).to_ndarray(format="rgb24")
    return found


def _first_from(container: Any, second: float) -> Any:
    """Return the frame that is seen at a second, decoding from where the container is."""
    return next(
        frame for frame in container.decode(video=0)
        if frame.time + 0.5 / FRAMES_PER_SECOND >= second
    )  # fmt: skip


def test_the_film_is_the_one_that_the_script_gives():
    assert made.out_of_date() == []


def test_a_changed_figure_or_picture_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(made, "webvtt", lambda: webvtt().replace("LoRA", "Lora", 1))
    assert [fault.partition(" ")[0] for fault in made.out_of_date()] == ["lora.vtt", "lora.webm"]


def test_it_is_a_small_vp9_of_four_and_a_half_minutes():
    assert made.FILM.stat().st_size < 10e6
    with av.open(str(made.FILM)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name in ("vp9", "libvpx-vp9")
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert stream.average_rate == FRAMES_PER_SECOND
        assert container.duration == pytest.approx(duration() * av.time_base, abs=av.time_base / 4)


def test_no_frame_is_black_or_empty(frames):
    for second, frame in frames.items():
        assert frame.mean() > 150, second  # the page is white
        drawn = (np.abs(frame.astype(int) - 255).max(axis=2) > 60).mean()
        assert drawn > 0.01, (second, drawn)


def test_nothing_touches_the_border(frames):
    for second, frame in frames.items():
        for edge in (frame[:6], frame[-20:], frame[:, :8], frame[:, -8:]):
            assert edge.min() > 200, second


def test_the_pictures_change(frames):
    # Below the strip that says how far the film is.
    seen = [frames[second][40:].astype(int) for second in SPREAD]
    for one, other in itertools.pairwise(seen):
        assert (np.abs(one - other).max(axis=2) > 60).sum() > 500


def test_a_frame_of_the_file_is_the_frame_that_is_drawn_now(frames):
    canvas = Canvas()
    for second in MOMENTS[::4]:
        gap = np.abs(canvas.pixels(shapes_at(second)).astype(int) - frames[second])
        assert gap.mean() < 3, second

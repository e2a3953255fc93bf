"""A frame of the film at a moment: the scene's drawing, its head line, how far the film is."""

from __future__ import annotations

from labs_lib.colors import MEMORY_COLORS
from tools.film.facts import facts
from tools.film.scenes import DRAWINGS
from tools.film.script import FRAMES_PER_SECOND, Scene, duration, scenes
from tools.film.shapes import MARGIN, WIDTH, Shape, Words, box, ease, faded, tint

HEAD_Y, STRIP_Y, STRIP_HIGH, GAP = 652, 700, 8, 8


def frame_count() -> int:
    """Return how many frames the film has."""
    return round(duration() * FRAMES_PER_SECOND)


def frame(number: int) -> tuple[Shape, ...]:
    """Return the shapes of the frame with this number, from 0."""
    return shapes_at(number / FRAMES_PER_SECOND)


def shapes_at(second: float) -> tuple[Shape, ...]:
    """Return what is seen at a second of the film."""
    scene = next(each for each in reversed(scenes()) if each.start <= second)
    now = second - scene.start
    drawn = DRAWINGS[scene.name](now, scene.moments(), facts())
    last = scene is scenes()[-1]
    leaving = 0.0 if last else ease(second, scene.end - 0.4, 0.4)
    return (*_strip(second), *_head(scene, second, leaving), *faded(drawn, 1 - leaving))


def _strip(second: float) -> list[Shape]:
    """Return four bars at the upper edge, one a scene, filled as far as the film has run."""
    whole = WIDTH - 2 * MARGIN - GAP * (len(scenes()) - 1)
    shapes: list[Shape] = []
    x = float(MARGIN)
    for scene in scenes():
        wide = whole * (scene.end - scene.start) / duration()
        done = min(max((second - scene.start) / (scene.end - scene.start), 0.0), 1.0)
        grey = MEMORY_COLORS["weights"]
        shapes.append(box(x, STRIP_Y, wide, STRIP_HIGH, tint(grey, 0.3), tint(grey, 0.3), line=0))
        # In whole pixels: a frame in which nothing else moves is then drawn and stored once.
        shapes.append(box(x, STRIP_Y, round(wide * done), STRIP_HIGH, grey, grey, line=0))
        x += wide + GAP
    return shapes


def _head(scene: Scene, second: float, leaving: float) -> list[Shape]:
    cue = next(each for each in reversed(scene.cues) if each.start <= second)
    if not cue.head or (scene is scenes()[-1] and cue.mark == "end"):
        return []
    begin = min(each.start for each in scene.cues if each.head == cue.head)
    return faded(
        [Words(MARGIN + 12, HEAD_Y, cue.head, 42, bold=True, across="left")],
        ease(second, begin - 0.2, 0.4) * (1 - leaving),
    )

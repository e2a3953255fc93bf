"""Single frames as PNG: the poster, and what an author looks at."""

from __future__ import annotations

from pathlib import Path

from labs_lib.files import written_aside
from tools.film.drawing import Canvas
from tools.film.frames import shapes_at


def still(path: Path, second: float) -> None:
    """Write the frame of a second of the film."""
    from PIL import Image

    with written_aside(path) as aside:
        Image.fromarray(Canvas().pixels(shapes_at(second))).save(aside, format="PNG")


def save_stills(folder: Path, seconds: list[float]) -> list[Path]:
    """Write the frame at each second into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{second:06.1f}.png" for second in seconds]
    for path, second in zip(written, seconds, strict=True):
        still(path, second)
    return written

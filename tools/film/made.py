"""Whether the committed film is the one that the script, the figures and the drawing make."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from labs_lib.paths import PACKAGE
from tools.film import drawing
from tools.film.captions import transcript, webvtt
from tools.film.frames import shapes_at
from tools.film.script import duration

FOLDER = PACKAGE.parent / "film"
FILM, CAPTIONS, TRANSCRIPT, POSTER, RECORD = (
    FOLDER / name for name in ("lora.webm", "lora.vtt", "transcript.md", "poster.png", "made.json")
)  # fmt: skip
_EVERY = 0.25  # seconds between the moments that are compared


def content() -> str:
    """Return a hash of all that the film shows: its shapes four times a second, its captions.

    Places count to a tenth of a pixel, so that another machine's last digit changes nothing.
    """
    told = hashlib.sha256(webvtt().encode())
    told.update(Path(drawing.__file__).read_bytes())
    for number in range(int(duration() / _EVERY)):
        for shape in shapes_at(number * _EVERY):
            told.update(repr((type(shape).__name__, _rounded(vars(shape)))).encode())
    return told.hexdigest()


def record() -> dict[str, Any]:
    """Return what is written beside a film that was just made."""
    return {
        "content": content(),
        "seconds": duration(),
        "film": hashlib.sha256(FILM.read_bytes()).hexdigest(),
    }


def out_of_date() -> list[str]:
    """Return what of the committed film is not as it would be made now, in words."""
    faults = [
        f"{path.name} is not what the script gives"
        for path, text in ((CAPTIONS, webvtt()), (TRANSCRIPT, transcript()))
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if not RECORD.is_file() or not FILM.is_file():
        return [*faults, f"{FILM.name} was not made yet"]
    noted, now = json.loads(RECORD.read_text(encoding="utf-8")), record()
    if noted["content"] != now["content"]:
        faults.append(f"{FILM.name} shows other figures or pictures than the script gives now")
    if noted["film"] != now["film"]:
        faults.append(f"{FILM.name} is not the file that {RECORD.name} was written for")
    return faults


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_rounded(each) for each in value]
    return round(value, 1) + 0.0 if isinstance(value, float) else value

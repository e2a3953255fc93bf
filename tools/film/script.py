"""The script as data: scenes, cues and times, with the figures filled in."""

from __future__ import annotations

import functools
import textwrap
from dataclasses import dataclass
from pathlib import Path

from labs_lib.errors import LabError
from labs_lib.yamls import read_yaml
from tools.film.facts import facts

FILE = Path(__file__).with_name("script.yaml")
FRAMES_PER_SECOND = 20
MOST_ON_A_LINE = 42  # characters of a caption's line, of which there are at most two


@dataclass(frozen=True)
class Cue:
    """What is said from one moment to another, in seconds of the film.

    `mark` names the moment to the drawing; `head` is the line on the screen from then on.
    """

    mark: str
    start: float
    end: float
    says: str
    head: str

    @property
    def lines(self) -> list[str]:
        """Return the caption in lines, two of about equal length where one is too short."""
        if len(self.says) <= MOST_ON_A_LINE:
            return [self.says]
        for width in range(len(self.says) // 2, MOST_ON_A_LINE + 1):
            lines = textwrap.wrap(self.says, width)
            if len(lines) == 2:
                return lines
        raise LabError(f"caption {self.mark!r}: {len(self.says)} characters do not fit two lines")


@dataclass(frozen=True)
class Scene:
    """A scene: its cues, what it `shows` in words, its start and end in seconds of the film."""

    name: str
    title: str
    shows: str
    start: float
    end: float
    cues: tuple[Cue, ...]

    def moments(self) -> dict[str, float]:
        """Return mark → seconds since the scene began, with its "end of scene"."""
        marks = {cue.mark: cue.start - self.start for cue in self.cues}
        return {**marks, "over": self.end - self.start}


@functools.cache
def scenes() -> tuple[Scene, ...]:
    """Return the film's scenes in order; LabError for a figure that facts.py does not have."""
    found, start = [], 0.0
    for row in read_yaml(FILE):
        end = start + row["seconds"]
        starts = [start + cue["at"] for cue in row["cues"]]
        cues, head = [], ""
        for cue, begin, stop in zip(row["cues"], starts, [*starts[1:], end], strict=True):
            head = cue.get("head", head)
            cues.append(Cue(cue["mark"], begin, stop, _filled(cue["says"]), head))
        found.append(
            Scene(row["scene"], row["title"], _filled(row["shows"]), start, end, tuple(cues))
        )
        start = end
    return tuple(found)


def duration() -> float:
    """Return the film's length in seconds."""
    return scenes()[-1].end


def _filled(words: str) -> str:
    try:
        return words.format(**facts().words)
    except KeyError as error:
        raise LabError(f"script.yaml: no figure {error} among those of facts.py") from None

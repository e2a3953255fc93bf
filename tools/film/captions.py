"""What is said, as WebVTT for a player and as a transcript for a reader."""

from __future__ import annotations

from tools.film.script import Cue, scenes

# A caption leaves a moment before the next one comes, so that the eye sees the change.
PAUSE = 0.1


def cues() -> list[Cue]:
    """Return the captions of the film in order."""
    return [cue for scene in scenes() for cue in scene.cues]


def webvtt() -> str:
    """Return the captions in the form that browsers read."""
    blocks = ["WEBVTT"]
    for number, cue in enumerate(cues(), 1):
        span = f"{_clock(cue.start)} --> {_clock(cue.end - PAUSE)}"
        blocks.append("\n".join([str(number), span, *cue.lines]))
    return "\n\n".join(blocks) + "\n"


def transcript() -> str:
    """Return what is said and what is seen, scene by scene, as Markdown."""
    lines = [
        "# LoRA and QLoRA in four and a half minutes: the transcript",
        "",
        "The film [lora.webm](lora.webm) has no sound; its captions are the text below. Figures",
        "are computed by the course's own code. Memory is that of one step on one sequence of 512",
        "tokens, in GB of 10⁹ bytes, by the formula of lesson 01. 7B and 70B are Llama 2.",
    ]
    for number, scene in enumerate(scenes(), 1):
        start, end = _clock(scene.start)[3:8], _clock(scene.end)[3:8]
        lines += ["", f"## {number}. {scene.title} ({start} to {end})", "", f"*{scene.shows}*", ""]
        lines += [f"- {cue.says}" for cue in scene.cues]
    return "\n".join(lines) + "\n"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"00:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"

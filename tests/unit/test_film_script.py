"""The film's script and drawing: figures, captions, and what is seen in each frame."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from labs_lib import colors
from labs_lib.ledger import claims, evidence
from tools.film import captions, made, shapes
from tools.film.drawing import Canvas
from tools.film.facts import facts
from tools.film.frames import frame_count, shapes_at
from tools.film.script import FRAMES_PER_SECOND, MOST_ON_A_LINE, duration, scenes
from tools.film.shapes import CAPTION_ZONE, HEIGHT, LEAST_SIZE, WIDTH, Area, Dot, Line, Words

# Moments two seconds apart, and the changes from one stage to the next.
MOMENTS = sorted(
    {2.0 * number + 1 for number in range(135)}
    | {cue.start + shift for cue in captions.cues() for shift in (0.3, 1.5)}
)
# A figure of the film -> the claim of the ledger whose evidence states it, and how it does.
FIGURES = {
    "full": ("memory.full-needs-massive", "llama-2-7b {} GB"),
    "small": ("memory.full-needs-massive", "smollm2-1.7b-instruct {} GB"),
    "mixed": ("memory.full-7b-40-50", "AdamW in mixed precision {} GB"),
    "lora": ("memory.consumer-gpu", "7B LoRA {} GB"),
    "qlora": ("memory.consumer-gpu", ", QLoRA {} GB"),
    "saved": ("memory.consumer-gpu", ", QLoRA with checkpointing {} GB"),
    "seventy": ("memory.seventy-b-single-gpu", "{} GB"),
    "base": ("memory.frozen-lower-precision", "{} GB in bf16"),
    "four_bit_base": ("memory.frozen-lower-precision", "{} GB in NF4"),
    "adapter": ("memory.only-adapter", "the adapter {} GB"),
    "few_count": ("parameters.four-million-at-r16", "r=8 {} "),
    "twice_count": ("parameters.four-million-at-r16", "r=16 {} "),
    "few_percent": ("parameters.tenth-of-a-percent", "q and v, r=8 {}"),
    "twice_percent": ("parameters.tenth-of-a-percent", "q and v, r=16 {}"),
    "many_percent": ("parameters.tenth-of-a-percent", "llama-2-7b, all-linear, r=16 {}"),
    "as_models": ("parameters.many-variants", "{} GB as models"),
    "as_adapters": ("parameters.many-variants", "{} GB as one model with adapters of r=16"),
    "right_full": ("quality_and_forgetting.as-good-as-full", "exactly right: full {}"),
    "right_lora": ("quality_and_forgetting.as-good-as-full", "lora {}"),
    "right_qlora": ("quality_and_forgetting.as-good-as-full", "qlora {}"),
}


@pytest.fixture(scope="module")
def words_seen() -> list[tuple[float, list[tuple[Words, Any]]]]:
    """Each moment, and the words that are on the screen with the boxes that they take."""
    canvas = Canvas()
    return [(second, canvas.boxes(shapes_at(second))) for second in MOMENTS]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_ledgers(name: str):
    claim, form = FIGURES[name]
    stated = evidence(claim).figure.replace(" %", "%")
    assert form.format(facts().words[name].replace(" %", "%")) in stated


def test_the_other_figures_follow_from_shapes():
    words = facts().words
    assert float(words["bits"]) == 4 + 32 / 64
    assert float(words["double_bits"]) == pytest.approx(4 + 8 / 64 + 32 / (64 * 256), abs=5e-4)
    assert int(words["square"].replace(",", "")) == 4096**2
    assert int(words["strips"].replace(",", "")) == 8 * (4096 + 4096)
    assert float(words["strips_percent"].split()[0]) == pytest.approx(100 * 16 / 4096, abs=5e-3)
    assert float(words["over"]) == pytest.approx(facts().peak("full") / facts().room[24], abs=0.05)


def test_no_figure_is_typed_into_the_script():
    from tools.film.script import FILE

    said = re.findall(r"(?:says|shows): (.*)", FILE.read_text(encoding="utf-8"))
    typed = {each for line in said for each in re.findall(r"\d+\.\d+|\d{3,}", line)}
    assert typed <= {"1.7"}  # a model's name


def test_verdicts_are_those_of_the_ledger():
    """What the film says without a condition is ruled true, what it corrects is not."""
    verdicts = {each.id: each.verdict for each in claims()}
    assert verdicts["memory.why-lora-saves"] == "true"
    assert verdicts["merging_and_inference.adapters-switch"] == "true"
    assert verdicts["methods_and_use.base-frozen"] == "true"
    assert verdicts["memory.only-adapter"] == "false"
    room = facts().room
    assert [size for size in room if facts().peak("seventy") > room[size]] == [24, 32]


def test_the_film_lasts_four_and_a_half_minutes():
    assert abs(duration() - 270) <= 5
    assert frame_count() == duration() * FRAMES_PER_SECOND
    assert len(scenes()) == 4


def test_captions_can_be_read():
    for cue in captions.cues():
        assert 1 <= len(cue.lines) <= 2
        assert all(len(line) <= MOST_ON_A_LINE for line in cue.lines), cue.lines
        assert " ".join(cue.lines) == cue.says
        assert len(cue.says) / (cue.end - captions.PAUSE - cue.start) <= 17, cue.says
        assert "{" not in cue.says


def test_captions_cover_the_film():
    cues = captions.cues()
    assert cues[0].start == 0
    assert cues[-1].end == duration()
    assert all(one.end == other.start for one, other in itertools.pairwise(cues))
    spans = re.findall(r"(\S+) --> (\S+)", captions.webvtt())
    assert len(spans) == len(cues)
    assert spans == sorted(spans)
    assert max(cue.end - cue.start for cue in cues) < 12


def test_words_are_large_and_clear_of_the_border_and_of_the_captions(words_seen):
    faults = []
    for second, seen in words_seen:
        for words, extent in seen:
            if words.size < LEAST_SIZE:
                faults.append((second, words.text, "small"))
            if extent.x0 < 12 or extent.x1 > WIDTH - 12 or extent.y1 > HEIGHT - 6:
                faults.append((second, words.text, "border"))
            if extent.y0 < CAPTION_ZONE - 4:
                faults.append((second, words.text, "captions"))
    assert faults == []


def test_words_do_not_overlap(words_seen):
    faults = set()
    for second, seen in words_seen:
        drawn = [each for each in seen if each[0].alpha > 0.15]  # the rest has all but faded away
        for (one, here), (other, there) in itertools.combinations(drawn, 2):
            across = min(here.x1, there.x1) - max(here.x0, there.x0)
            up = min(here.y1, there.y1) - max(here.y0, there.y0)
            if across > 1 and up > 6:  # an extent has room for letters that reach low and high
                faults.add((second, one.text, other.text))
    assert faults == set()


def test_shapes_are_whole_in_the_frame():
    for second in MOMENTS:
        for shape in shapes_at(second):
            if isinstance(shape, Area | Line):
                assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in shape.points), shape
            elif isinstance(shape, Dot):
                assert shape.radius <= shape.x <= WIDTH - shape.radius, shape


def test_colors_are_those_of_the_course():
    """The base is grey and the adapter has its color, in the film as in the figures."""
    own = {*colors.MEMORY_COLORS.values(), colors.INK, colors.PAPER}
    tints = {shapes.tint(color, step / 120) for color in own for step in range(121)} | own
    seen = set()
    for second in MOMENTS:
        for shape in shapes_at(second):
            seen |= {shape.color} if isinstance(shape, Words | Line) else {shape.fill}
    assert seen <= tints
    assert {colors.MEMORY_COLORS["weights"], colors.MEMORY_COLORS["adapter"]} <= seen


def test_each_scene_moves():
    """Something moves in each four seconds, apart from the strip that says how far the film is."""
    still = [
        second
        for second in range(2, int(duration()) - 4, 4)
        if shapes_at(second)[8:] == shapes_at(second + 2)[8:] == shapes_at(second + 3.9)[8:]
    ]
    assert len(still) < 12, still


def test_the_transcript_says_all():
    told = made.TRANSCRIPT.read_text(encoding="utf-8")
    assert told == captions.transcript()
    assert all(cue.says in told for cue in captions.cues())

"""The method chooser by value: it shows what `decide` says, and refuses in one line."""

import statistics
import time
import xml.etree.ElementTree as ElementTree
from typing import Any

from labs_lib.memory import decide
from labs_lib.widgets import MethodChooser


def test_it_shows_what_decide_says():
    chooser = MethodChooser(model="llama-2-7b", card="H100")
    assert chooser.figures == decide("llama-2-7b", "H100")
    chooser.capacity = True
    assert chooser.figures.method == "full"
    chooser.variants = True
    assert chooser.figures.method == "lora"
    assert "pull two ways" in chooser._table.value
    assert chooser.figures.answer in chooser.text


def test_ticking_a_box_changes_the_state():
    chooser = MethodChooser()
    ticks: Any = chooser.children[2]
    boxes = {each.description: each for each in ticks.children}
    boxes["texts as long as possible"].value = True
    assert chooser.length is True
    assert chooser.figures.priorities == ("length",)
    assert all(each.tooltip for each in boxes.values())


def test_nothing_fits_is_an_answer():
    chooser = MethodChooser(model="llama-2-70b", card="T4")
    assert chooser.trouble == ""
    assert "no method fits" in chooser.text
    assert "<ol" in chooser._table.value
    assert "A100 40GB" in chooser.still()


def test_a_mistake_is_shown_and_the_controls_go_on():
    chooser = MethodChooser()
    chooser.model = "lama-2-13b"
    assert "did you mean" in chooser.trouble
    chooser.set(model="gpt2", seq_len=4096)
    assert "beyond gpt2's 1,024 positions" in chooser.trouble
    chooser.seq_len = 512
    assert chooser.trouble == ""


def test_its_plain_text_is_one_stable_line_and_the_still_stands_alone():
    first, second = MethodChooser(), MethodChooser()
    assert first.text == second.text
    assert first.text == (
        "MethodChooser: llama-2-13b on RTX 4090: QLoRA, peak 10.89 GiB, 512 tokens"
    )
    bundle = first._repr_mimebundle_()
    assert bundle["text/plain"] == first.text
    assert "<img alt=" in bundle["text/html"]


def test_the_picture_has_a_bar_for_each_way():
    chooser = MethodChooser(model="llama-2-70b", card="T4", capacity=True)
    root = ElementTree.fromstring(chooser.picture(chooser.figures))
    bars = [each for each in root if each.tag.endswith("rect")]
    assert len(bars) == len(chooser.figures.options) == 6
    assert all(float(each.attrib["x"]) + float(each.attrib["width"]) < 600 for each in bars)


def test_a_length_between_the_slider_s_steps_is_kept():
    chooser = MethodChooser(seq_len=1000)
    assert "1000 tokens" in chooser.text
    chooser.seq_len = 700
    assert (chooser.seq_len, chooser.trouble) == (700, "")


def test_a_change_is_answered_at_once():
    chooser = MethodChooser()
    taken = []
    for turn in range(20):
        start = time.thread_time()
        chooser.seq_len = 256 + turn
        taken.append(time.thread_time() - start)
    # Five forecasts and a search for the longest text; a tick of a box or a drop-down, no drag.
    assert statistics.median(taken) < 0.1

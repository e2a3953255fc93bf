"""What every instrument promises: it follows its state, explains bad values, leaves a still."""

import base64
import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import ipywidgets
import numpy as np
import pytest
import traitlets
from PIL import Image

from labs_lib.errors import LabError
from labs_lib.widgets.instrument import (
    Instrument,
    human_bytes,
    label,
    png_bytes,
    rect,
    svg,
    table_html,
)


class Doubler(Instrument):
    heading = "Doubler"
    css_class = "lab-doubler"
    state = ("rank", "kind")
    rank = traitlets.Int(4)
    kind = traitlets.Unicode("a")

    def controls(self):
        self.slider = self.bind("rank", ipywidgets.IntSlider(min=1, max=64, description="rank"))
        self.choice = self.bind("kind", ipywidgets.Dropdown(options=["a", "b"], description="kind"))
        return [self.slider, self.choice]

    def compute(self):
        self.computed = getattr(self, "computed", 0) + 1
        if self.rank < 1:
            raise LabError(f"rank: {self.rank} is not legal; 1 or more")
        return 2 * 64 // (64 - self.rank)  # divides by zero at 64

    def rows(self, figures):
        return [("twice <it>", str(figures))]

    def picture(self, figures):
        return svg(40, 20, rect(0, 0, figures, 9, "red") + label(0, 9, "a & b"), "bar")

    def line(self, figures):
        return f"twice {figures}"


def test_moving_a_control_changes_state_figures_and_page():
    shown = Doubler()
    shown.slider.value = 32
    assert shown.rank == 32
    assert shown.figures == 4
    assert "<b>4</b>" in shown._table.value
    assert "twice &lt;it&gt;" in shown._table.value
    assert 'width="4"' in shown._picture.value
    shown.rank = 48
    assert shown.slider.value == 48
    assert shown.figures == 8


def test_a_bad_value_is_explained_and_the_instrument_goes_on():
    shown = Doubler()
    good = shown._picture.value
    shown.rank = 0
    assert shown.trouble == "rank: 0 is not legal; 1 or more"
    assert shown.slider.value == 4  # the slider cannot show 0 and must not turn it into 1
    assert 'role="alert"' in shown._trouble.value
    assert "rank: 0" in shown._trouble.value
    assert shown._picture.value == f'<div style="opacity:0.35">{good}</div>'
    assert shown.text == "Doubler: rank: 0 is not legal; 1 or more"
    shown.slider.value = 32
    assert shown.trouble == ""
    assert shown._trouble.value == ""
    assert shown.figures == 4
    assert "opacity" not in shown._picture.value


def test_a_fault_in_the_drawing_is_a_line_not_a_crash():
    shown = Doubler()
    shown.rank = 64
    assert "fault in this instrument: ZeroDivisionError" in shown.trouble
    shown.rank = 32
    assert shown.trouble == ""


def test_a_value_outside_the_choices_leaves_the_choice_empty_and_usable():
    shown = Doubler()
    shown.kind = "z"
    assert shown.choice.value is None
    assert shown.kind == "z"
    shown.choice.value = "a"
    assert shown.kind == "a"


def test_a_bad_start_is_explained_too():
    shown = Doubler(rank=-1)
    assert "rank: -1" in shown.trouble
    assert shown.figures is None
    assert "rank: -1" in shown.still()
    shown.rank = 32
    assert shown.trouble == ""
    assert shown.figures == 4


def test_an_unknown_state_name_names_the_nearest():
    with pytest.raises(LabError, match="did you mean 'rank'"):
        Doubler(rnk=3)


def test_set_draws_once():
    shown = Doubler()
    shown.computed = 0
    shown.set(rank=32, kind="b")
    assert shown.computed == 1
    assert shown.figures == 4
    assert shown.choice.value == "b"


def test_the_bundle_holds_the_widget_a_stable_line_and_a_still():
    bundle = Doubler(rank=32)._repr_mimebundle_()
    assert bundle["text/plain"] == "Doubler: twice 4" == Doubler(rank=32).text
    assert "application/vnd.jupyter.widget-view+json" in bundle
    data = re.search(r"data:image/svg\+xml;base64,([^\"]+)", bundle["text/html"])
    assert data
    assert "<script" not in bundle["text/html"]
    root = ElementTree.fromstring(base64.b64decode(data[1]))
    assert root.attrib["aria-label"] == "bar"
    assert "".join(root.itertext()) == "a & b"


def test_controls_carry_labels_tooltips_and_classes():
    shown = Doubler()
    assert shown.slider.description == shown.slider.tooltip == "rank"
    assert "lab-rank" in shown.slider._dom_classes
    assert {"lab-instrument", "lab-doubler"} <= set(shown._dom_classes)


@pytest.mark.parametrize("palette", [b"", bytes(range(256)) * 3])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3), (1, 1)])
def test_png_bytes_reads_back_as_drawn(shape, palette):
    if palette and len(shape) == 3:
        shape = shape[:2]
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) * 5
    read = np.array(Image.open(io.BytesIO(png_bytes(pixels, palette))))
    assert np.array_equal(read, pixels)


def test_sizes_are_named_in_powers_of_1024():
    assert [human_bytes(n) for n in (12, 1024, 4_194_304 * 4, 25 * 2**30)] == [
        "12 bytes",
        "1.00 KiB",
        "16.0 MiB",
        "25.0 GiB",
    ]


def test_text_is_escaped():
    assert "&lt;b&gt;" in table_html([("<b>", "<b>")])
    assert "<b><b>" not in table_html([("<b>", "x")])


@pytest.mark.parametrize("name", ["rank_alpha", "outer_products", "knob_effects"])
def test_an_instrument_loads_neither_torch_nor_matplotlib(name):
    code = (
        f"import sys, importlib; importlib.import_module('labs_lib.widgets.{name}');"
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

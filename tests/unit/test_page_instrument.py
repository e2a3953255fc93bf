"""What every instrument in the page promises in Python: its bundle, its refusals, its fragment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from xml.etree import ElementTree

import pytest

from labs_lib.errors import LabError
from labs_lib.widgets.page import INSTRUMENT, module_names, module_text, page_html, style_text
from labs_lib.widgets.page.instrument import instrument_class
from labs_lib.widgets.page.modules import EXPORT

NAMES = module_names()


@pytest.mark.parametrize("name", NAMES)
def test_the_bundle_holds_the_view_a_line_a_still_and_the_state(name: str):
    shown = instrument_class(name)()
    bundle, _ = shown._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == shown.text == instrument_class(name)().text
    assert len(bundle["text/plain"].splitlines()) <= 2
    assert re.search(r'<img role="img" alt="[^"]+" src="data:image/svg', bundle["text/html"])
    held = json.loads(json.dumps(bundle[INSTRUMENT]))
    assert held["name"] == name
    assert instrument_class(name)(**held["state"]).figures() == shown.figures()
    json.dumps(shown.figures(), allow_nan=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_still_is_sound_svg_with_a_name(name: str):
    root = ElementTree.fromstring(instrument_class(name)().picture())
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]


@pytest.mark.parametrize("name", NAMES)
def test_a_fragment_is_one_piece_that_names_no_address(name: str):
    fragment = page_html(name, {})
    assert EXPORT not in fragment
    assert f'startOnPage("{name}", render);' in fragment
    assert set(re.findall(r"https?://[^\s\"')]+", fragment)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|innerHTML|eval)\b\s*[({]", fragment)
    assert fragment.count("</script>") == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_module_ends_with_its_export_and_names_no_color(name: str):
    assert module_text(name).rstrip().endswith(EXPORT)
    room = resources.files("labs_lib.widgets.page")
    for file in ("shared.js", "shared.css", f"{name}.js", f"{name}.css"):
        if (room / file).is_file():
            text = (room / file).read_text(encoding="utf-8")
            assert re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", text) == []
            used = set(re.findall(r"var\(--lab-([a-z]+)\)", text))
            assert used <= set(re.findall(r"--lab-([a-z]+):", style_text(name)))


def test_a_name_or_a_value_that_is_not_legal_is_refused_in_one_line():
    kind = instrument_class("lora_layer")
    for state, expected in (
        ({"rnk": 1}, "LoRALayer: 'rnk' is not one of .*; did you mean 'rank'"),
        ({"rank": "two"}, "rank: 'two' is not legal; a whole number from 1 to 6"),
        ({"rank": 7}, "rank: 7 is above 6"),
        ({"width": 2}, "width: 2 is not legal"),
    ):
        with pytest.raises(LabError, match=expected):
            kind(**state)
    with pytest.raises(LabError, match="did you mean 'lora_layer'"):
        page_html("lora_lyer", {})


def test_a_value_that_is_refused_later_leaves_the_old_one():
    shown = instrument_class("lora_layer")(rank=2)
    with pytest.raises(LabError, match="rank: 9 is above 6"):
        shown.rank = 9
    assert shown.rank == 2
    shown.rank = 3
    assert shown.figures()["trained"] == 36


def test_a_state_cannot_end_its_own_element():
    shown = page_html(
        "lora_layer", {"layer": {**instrument_class("lora_layer")().layer, "note": "</script>"}}
    )
    assert shown.count("</script>") == 2


def test_each_theme_has_every_color():
    rules = re.findall(r"\{(--lab-[^}]+)\}", style_text(NAMES[0]))
    names = [re.findall(r"--lab-([a-z]+):", rule) for rule in rules]
    assert len(rules) == 4
    assert all(each == names[0] for each in names)


def test_an_instrument_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys; from labs_lib.widgets import LoRALayer; LoRALayer();"
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

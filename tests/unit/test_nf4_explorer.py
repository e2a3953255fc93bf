"""The NF4 explorer by value: what it computes, shows, refuses, and how fast."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import torch

from labs_lib.errors import LabError
from labs_lib.quantization import dequantize, quantization_error, quantize, with_outlier
from labs_lib.widgets.nf4_explorer import BLOCK_SIZES, NF4Explorer, explore, explorer_svg


@pytest.fixture(scope="module")
def weights() -> torch.Tensor:
    return 0.02 * torch.randn(16384, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("quant_type", ["nf4", "fp4", "int4"])
@pytest.mark.parametrize("double_quant", [False, True])
def test_figures_equal_the_room_s_own(weights, quant_type, double_quant):
    shown = explore(weights, quant_type, 64, 0, double_quant)
    error = quantization_error(weights, quant_type, 64, double_quant)
    assert shown.relative_error == pytest.approx(error.relative, rel=1e-5)
    assert shown.max_error == error.max_error
    assert shown.bits_per_parameter == error.bits_per_parameter
    assert sum(shown.histogram) == pytest.approx(1)
    assert sum(shown.shares) == pytest.approx(1)
    assert list(shown.codes) == sorted(shown.codes)


def test_an_outlier_in_one_large_block_leaves_few_codes_in_use(weights):
    alone = explore(weights, "nf4", 16384, 0)
    spoilt = explore(weights, "nf4", 16384, 100)
    saved = explore(weights, "nf4", 64, 100)
    assert alone.codes_in_use >= 14
    assert spoilt.codes_in_use <= 3
    assert spoilt.relative_error > 0.9
    assert saved.relative_error < 0.12


def test_the_error_is_relative_to_the_weights_without_the_outlier(weights):
    shown = explore(weights, "nf4", 64, 100)
    changed = with_outlier(weights, 100)
    error = dequantize(quantize(changed)) - changed
    assert error[8192] == 0, "the absmax of a block is stored exactly"
    changed[8192] = 0
    assert shown.relative_error == pytest.approx((error.norm() / changed.norm()).item(), rel=1e-5)


def named_controls(explorer: NF4Explorer) -> dict[str, Any]:
    children: list[Any] = list(explorer.children)
    return {child.description: child for child in children if getattr(child, "description", "")}


def test_moving_a_control_changes_the_figures_and_the_picture():
    explorer = NF4Explorer()
    before = explorer._picture.value
    controls = named_controls(explorer)
    controls["Code type"].value = "fp4"
    controls["Block size (weights)"].value = 256
    controls["One outlier (standard deviations)"].value = 20
    controls["Quantize the scales too"].value = True
    assert explorer.text == (
        "NF4Explorer: " + explorer.line(explore(explorer._weights, "fp4", 256, 20, True))
    )
    assert explorer._picture.value != before


def test_the_one_line_is_stable_and_the_still_stands_alone():
    first, second = NF4Explorer(), NF4Explorer()
    assert first.text == second.text
    assert first.text == (
        "NF4Explorer: nf4, blocks of 64: error 9.2%, 4.500 bits per weight, 16 of 16 codes in use"
    )
    bundle = first._repr_mimebundle_()
    assert bundle["text/plain"] == first.text
    assert "<img alt=" in bundle["text/html"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"quant_type": "nf5"}, ("quant_type", "'nf5'", "did you mean 'nf4'")),
        ({"block_size": 48}, ("block_size", "48", "power of two")),
        ({"block_size": "sixty-four"}, ("block_size", "power of two")),
        ({"outlier": -5}, ("outlier", "-5", "0 to 1000")),
        ({"outlier": float("nan")}, ("outlier", "nan")),
    ],
)
def test_a_bad_value_is_explained_inside_and_it_goes_on_working(state, words):
    explorer = NF4Explorer()
    good = explorer.figures
    explorer.set(**state)
    assert all(word in explorer.trouble for word in words), explorer.trouble
    assert 'role="alert"' in explorer._trouble.value
    assert explorer.figures == good
    explorer.set(quant_type="int4", block_size=32, outlier=0)
    assert explorer.trouble == ""
    assert "int4, blocks of 32" in explorer.text


def test_weights_of_your_own_are_shown(weights):
    explorer = NF4Explorer(weights.view(128, 128).bfloat16())
    assert explorer.figures.weights == 16384
    with pytest.raises(LabError, match="fewer than 2 values"):
        NF4Explorer(torch.ones(1))


def test_the_picture_is_sound_xml_with_a_name(weights):
    for quant_type in ("nf4", "fp4", "int4"):
        figures = explore(weights, quant_type, 64, 30)
        root = ElementTree.fromstring(explorer_svg(figures, "a < b & c"))
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == "a < b & c"
        bars = [e for e in root if e.tag.endswith("rect")]
        assert len(bars) == 80 + len(figures.codes)


def test_every_control_has_a_name_and_takes_the_keyboard():
    explorer = NF4Explorer()
    controls = named_controls(explorer)
    assert len(controls) == 4
    assert all(control.tabbable is not False for control in controls.values())


def test_a_change_takes_less_than_16_ms_of_the_kernel():
    explorer = NF4Explorer()
    times = []
    for turn in range(90):
        start = time.thread_time()
        if turn % 3:
            explorer.outlier = float(turn)
        else:
            explorer.block_size = BLOCK_SIZES[turn // 3 % len(BLOCK_SIZES)]
        times.append(time.thread_time() - start)
    assert sorted(times)[int(0.95 * len(times))] < 0.016

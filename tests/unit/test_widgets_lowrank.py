"""The instruments of the low-rank lessons: figures by value, drawings by their text."""

import io
from typing import Any
from xml.etree import ElementTree

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from labs_lib.lowrank import count_lora_parameters, factorise
from labs_lib.models import catalogue, entry
from labs_lib.widgets.heatmap import Thumbnail, grey_png, heat_png
from labs_lib.widgets.knob_effects import KnobEffects, knob_effects, short_count
from labs_lib.widgets.rank_alpha import ONE_MATRIX, RankAlpha, percent, rank_alpha

MATRIX = np.random.default_rng(5).normal(size=(24, 40))
ALL: list[Any] = [RankAlpha, KnobEffects]


def control(instrument, name):
    """The control whose class is `lab-name`, wherever it is nested."""

    def walk(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from walk(child)

    return next(w for w in walk(instrument) if f"lab-{name}" in w._dom_classes)


def words(drawing):
    return " ".join("".join(part.itertext()) for part in ElementTree.fromstring(drawing).iter())


@pytest.mark.parametrize("make", ALL)
def test_each_draws_sound_svg_and_one_stable_line(make):
    shown = make()
    assert shown.trouble == ""
    root = ElementTree.fromstring(shown._picture.value)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == shown.line(shown.figures)
    assert shown.text == make().text
    assert "\n" not in shown.text
    assert "data:image/svg+xml;base64" in shown.still()


@pytest.mark.parametrize("make", ALL)
def test_each_uses_core_widgets_with_labels(make):
    shown = make()

    def walk(widget):
        for child in getattr(widget, "children", ()):
            yield child
            yield from walk(child)

    for part in walk(shown):
        assert type(part).__module__.startswith("ipywidgets.")
        if hasattr(part, "value") and not isinstance(part, ipywidgets.HTML):
            assert part.description
            assert part.tooltip


# --- rank and alpha


def test_rank_alpha_by_hand():
    figures = rank_alpha("llama-2-7b", "q_proj,v_proj", 8, 16)
    assert figures.parameters == 4_194_304
    assert figures.disk_bytes == 16 * 2**20
    assert figures.share == pytest.approx(4_194_304 / (6_738_415_616 + 4_194_304))
    assert (figures.scaling, figures.scaling_doubled) == (2, 1)
    rooted = rank_alpha("llama-2-7b", "q,v", 16, 16, use_rslora=True)
    assert rooted.scaling == 4
    assert rooted.scaling_doubled == pytest.approx(4 / 2**0.5)
    one = rank_alpha(ONE_MATRIX, "", 8, 8, d_in=4000, d_out=5000)
    assert one.parameters == 8 * 9000
    assert one.base_parameters == 20_000_000
    kept = rank_alpha(ONE_MATRIX, "", 4, 8, update=factorise(MATRIX)).kept
    assert kept == pytest.approx(factorise(MATRIX).energy_kept(4))


def test_rank_alpha_follows_its_sliders():
    shown = RankAlpha(update=MATRIX)
    control(shown, "rank").value = 16
    control(shown, "alpha").value = 64
    assert shown.figures == rank_alpha("llama-2-7b", "q,v", 16, 64, update=factorise(MATRIX))
    assert "8,388,608" in shown._table.value
    assert "scaling alpha/r" in shown._table.value
    assert "best of rank 16" in words(shown._picture.value)
    assert "your ΔW" in words(shown._picture.value)
    control(shown, "use-rslora").value = True
    assert shown.figures.scaling == 16
    assert "alpha/√r" in shown._table.value
    control(shown, "model").value = "gpt2"
    assert "'c_attn' holds q, k and v" in shown.trouble
    control(shown, "targets-typed").value = "c_attn"
    assert shown.trouble == ""
    assert shown.figures.parameters == count_lora_parameters("gpt2", "c_attn", 16)
    assert control(shown, "targets").value is None  # none of the usual ones
    control(shown, "targets").value = "all-linear"
    assert control(shown, "targets-typed").value == "all-linear"
    assert shown.figures.parameters == count_lora_parameters("gpt2", "all-linear", 16)


def test_rank_alpha_one_matrix_shows_its_sizes():
    shown = RankAlpha(model=ONE_MATRIX, d_in=64, d_out=48, rank=40)
    assert shown.figures.parameters == 40 * 112
    assert "48 × 64" in shown.text
    control(shown, "d-out").value = 32
    assert "rank: 40 is above 32, the smaller dimension of the matrix (32 × 64)" in shown.trouble
    control(shown, "d-out").value = -2
    assert "d_out: -2 is not legal" in shown.trouble
    control(shown, "d-out").value = 48
    assert shown.trouble == ""


@pytest.mark.parametrize("rank", [1, 7, 64, 100, 128, 256])
def test_rank_alpha_draws_at_any_rank(rank):
    drawn = words(RankAlpha(rank=rank, alpha=0.5)._picture.value)
    assert f"r = {rank}" in drawn
    assert f"{2 * rank}" in drawn


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"alpha": 0}, "alpha 0 multiplies the update by nothing"),
        ({"alpha": -1}, "alpha: -1.0 is not legal"),
        ({"rank": 0}, "rank: 0 is not legal"),
        ({"model": "smollm2-135m-instruct", "rank": 200}, "rank: 200 is above 192"),
        ({"model": "llama-2-7c"}, "did you mean 'llama-2-7b'?"),
        ({"targets": "q_prj"}, "did you mean 'q_proj'?"),
        ({"targets": ""}, "empty"),
    ],
)
def test_rank_alpha_explains_bad_values_and_goes_on(state, expected):
    shown = RankAlpha()
    good = {name: getattr(shown, name) for name in state}
    shown.set(**state)
    assert expected in shown.trouble
    assert "\n" not in shown.text
    shown.set(**good)
    assert shown.trouble == ""
    assert shown.text == RankAlpha().text


def test_thumbnail_is_the_approximation_on_a_grid():
    parts = factorise(MATRIX)
    seen = Thumbnail(parts, pixels=10)
    assert seen.step == 4
    for rank in (1, 5, 8, 9, 16, 23, 24):
        assert np.allclose(seen.at(rank), parts.approximation(rank)[::4, ::4], atol=1e-5)
    assert np.array_equal(seen.at(99), seen.full)
    assert np.allclose(seen.full, MATRIX[::4, ::4], atol=1e-5)


def test_heat_runs_from_blue_over_white_to_orange():
    png = heat_png(np.array([[-9.0, -1.0, 0.0, 1.0, 9.0]]), limit=1.0)
    pixels = np.array(Image.open(io.BytesIO(png)).convert("RGB"))[0].astype(int)
    assert abs(pixels[0] - pixels[1]).max() <= 2
    assert pixels[0][2] > pixels[0][0]
    assert (pixels[2] >= 245).all()
    assert pixels[3][0] > pixels[3][2]
    assert abs(pixels[3] - pixels[4]).max() <= 2
    grey = np.array(Image.open(io.BytesIO(grey_png(np.array([[-1.0, 0.5, 2.0]])))))
    assert grey.tolist() == [[0, 127, 255]]


# --- the knobs


@pytest.mark.parametrize(
    "name", [name for name, model in catalogue().items() if not model.family.experts]
)
def test_the_block_of_every_model_names_all_its_maps(name):
    shown = KnobEffects(model=name, targets="all-linear", bias="all")
    assert shown.trouble == ""
    drawn = words(shown._picture.value)
    for linear in entry(name).linears:
        assert linear.name in drawn
    assert drawn.count("B·A") == 2 * len(entry(name).linears)  # once itself, once in its parent
    assert "frozen" not in drawn.replace("frozen weight", "")


def test_only_the_targeted_boxes_get_an_adapter_and_the_bill_is_right():
    shown = KnobEffects(targets="mlp", rank=16)
    assert sorted(shown.figures.adapted) == ["mlp.down_proj", "mlp.gate_proj", "mlp.up_proj"]
    expected = count_lora_parameters("smollm2-135m-instruct", "mlp", 16)
    assert shown.figures.adapter_parameters == expected
    assert sum(shown.figures.adapted.values()) * 30 == expected
    assert f"{expected:,}" in shown._table.value
    control(shown, "targets").value = "q,v"
    assert sorted(shown.figures.adapted) == ["self_attn.q_proj", "self_attn.v_proj"]


def test_bias_and_dropout_say_what_they_do():
    shown = KnobEffects(model="gpt2", targets="attention")
    control(shown, "bias").value = "lora_only"
    assert shown.figures.bias_parameters == 12 * (2304 + 768)
    assert "the base changes too" in shown._table.value
    shown.set(model="smollm2-135m-instruct", bias="all")
    assert shown.figures.bias_parameters == 0
    assert "this model has none" in shown._table.value
    control(shown, "dropout").value = 0.2
    assert "80 of 100 on average, each × 1.25" in shown._table.value
    before = shown.figures.adapter_parameters
    control(shown, "dropout").value = 0.0
    assert "all of them" in shown._table.value
    assert shown.figures.adapter_parameters == before


def test_the_head_is_billed_apart():
    figures = knob_effects("gpt2", "c_attn,lm_head", rank=4)
    assert figures.head_parameters == 4 * (768 + 50257)
    assert figures.adapter_parameters == 12 * 4 * (768 + 2304) + figures.head_parameters


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"dropout": 1.0}, "dropout: 1.0 is not legal"),
        ({"rank": 193}, "rank: 193 is above 192"),
        ({"targets": "c_attn"}, "'c_attn' is not one of q_proj"),
        ({"bias": "lora"}, "did you mean 'lora_only'?"),
        ({"model": "gpt3"}, "did you mean 'gpt2'?"),
    ],
)
def test_knobs_explain_bad_values_and_go_on(state, expected):
    shown = KnobEffects()
    good = {name: getattr(shown, name) for name in state}
    shown.set(**state)
    assert expected in shown.trouble
    shown.set(**good)
    assert shown.trouble == ""
    assert shown.text == KnobEffects().text


def test_short_counts_and_per_cent():
    assert [short_count(n) for n in (9216, 24_576, 1_050_000)] == ["9,216", "24.6 k", "1.05 M"]
    shares = (0.000622, 0.5, 0.99999, 1, 1.04)
    shown = ["0.0622 %", "50.0 %", "99.999 %", "100 %", "104 %"]
    assert [percent(share) for share in shares] == shown

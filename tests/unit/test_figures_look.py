"""Every figure of the lessons has one look: titles that fit, one legend, units, clear words.

Each is drawn as its lesson draws it, with numbers of the same kind.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from matplotlib.ticker import FixedFormatter, FuncFormatter
from PIL import Image
from test_colors import contrast

from labs_lib import colors, figures, lowrank, memory
from labs_lib.training import (
    comparison_figure,
    draw_lines,
    draw_losses,
    draw_scores,
    draw_seeds,
    recorded,
    recorded_comparison,
)

GIB = 2**30
LONG = "Rank 8 on q and v: 24 GB take LoRA up to llama-2-13b and even more, QLoRA up to llama-33b"
WAYS = {
    "full (bf16, fused)": {"method": "full"}, "LoRA": {"method": "lora"},
    "QLoRA": {"method": "qlora"},
    "QLoRA, checkpointing": {"method": "qlora", "checkpointing": True},
}  # fmt: skip
SMALL = {"precision": "fp32", "batch": 1, "seq_len": 64}
UNITS = {
    r"loss": r"nats", r"peak|live|memory": r"GiB|MB|GB", r"seconds": r"step",
    r"right|kept|answers|share \(": r"%|held-out|share",
}  # fmt: skip


def peaks() -> Any:
    lengths = [128 * step for step in range(1, 33)]
    curves = {
        name: [memory.forecast("llama-2-7b", seq_len=n, **way).peak_bytes for n in lengths]
        for name, way in WAYS.items()
    }
    title = "Longest sequence of a 7B on 24 GB: LoRA 1,893, QLoRA 3,594, full none"
    return memory.draw_peaks(curves, lengths, title=title, room=memory.card("RTX 4090"))


def ranges() -> Any:
    spans: dict[str, Any] = {}
    for model, method in itertools.product(
        ("llama-2-7b", "llama-2-13b", "llama-33b", "llama-2-70b"), ("lora", "qlora")
    ):
        spans[f"{model}, {method}"] = sorted(
            memory.forecast(model, method=method, checkpointing=on).peak_bytes
            for on in (True, False)
        )
    cards = [memory.card(n) for n in ("RTX 4080", "RTX 4090", "A100 40GB", "L40S", "H100")]
    return memory.draw_ranges(spans, cards, title=LONG)


def parts() -> Any:
    rows = {
        way: memory.forecast("smollm2-135m-instruct", method=way, **SMALL).at_peak
        for way in ("full", "lora", "qlora")
    }
    title = "LoRA needs 3.7 times less memory than full fine-tuning, QLoRA 8.7"
    label = "alive at the peak of one step (MB)"
    return memory.draw_parts(rows, title=title, label=label, unit=1e6)


def timeline() -> Any:
    step = memory.timeline(
        "smollm2-135m-instruct", method="full", precision="fp32", batch=4, seq_len=256
    )
    figure, words = memory.timeline_figure(step, "Full fine-tuning of SmolLM2, one step")
    return figures.show(figure, alt=words)


def run() -> Any:
    score = {"before": 0.0, "after": 1.0}
    return SimpleNamespace(
        losses=[3.9, 2.2, 0.8, 0.6, 0.55, 0.3, 0.2, 0.1, 0.0009],
        before=SimpleNamespace(loss=0.7), after=SimpleNamespace(loss=0.03, prompts=["?"] * 40),
        validation_curve=SimpleNamespace(kept_step=9, losses=[(3, 0.7), (6, 0.2), (9, 0.03)]),
        scores=lambda: {"in_voice": score, "fact_right": score},
    )  # fmt: skip


@pytest.mark.parametrize(("loss", "text"), [(0.14, "0.1"), (0.097, "0.1"), (0.058, "0.06")])
def test_a_title_tells_a_small_loss_from_one_nearly_twice_as_large(loss: float, text: str):
    ended = run()
    ended.after.loss = loss
    assert draw_losses(ended).alt.endswith(f"the held-out loss from 0.7 to {text}.")


def energies() -> Any:
    kinds = {"ΔW": 3.0, "W": 0.6, "random": 0.3}
    each = {kind: 1 - np.exp(-power * np.arange(1, 300) / 30) for kind, power in kinds.items()}
    return lowrank.draw_energy([each, each])


def comparison() -> Any:
    figure, words = comparison_figure(recorded_comparison("compare"))
    return figures.show(figure, alt=words)


def lines() -> Any:
    grid = recorded("rank-alpha").lines("rank", "alpha")
    named = {f"rank {rank}": line for rank, line in grid.items()}
    title = "At equal alpha the ranks are within 17%; alpha itself decides"
    return draw_lines(title, "alpha", named, before=4.0)


CASES: dict[str, Callable[[], Any]] = {
    "layer": lambda: lowrank.draw_layer(576, 576, rank=8),
    "methods": lowrank.draw_methods,
    "places": lowrank.draw_places,
    "capacity": lambda: lowrank.draw_capacity(
        {
            rank: [
                lowrank.Memorized(rank, 592 * rank, pairs, min(4 * pairs, 580 * rank), 0.5)
                for pairs in (64, 256, 1024)
            ]
            for rank in (1, 4)
        }
    ),
    "knobs": lowrank.draw_knobs,
    "factors": lambda: lowrank.draw_factors(5000, 4000, rank=8),
    "starts": lambda: lowrank.draw_starts(
        {"A random, B zero": [4.3, 3.6, 2.3], "both random": [4.2, 3.2, 1.9], "zero": [4.3] * 3}
    ),
    "ranks": lambda: lowrank.draw_at_ranks(np.outer(range(40), range(40)) / 1600, (1, 4, 16, 40)),
    "energy": energies,
    "descent": lambda: lowrank.draw_descent([1 / (1 + n) + 0.05 for n in range(200)], 0.05, 8),
    "effect": lambda: lowrank.draw_effect(
        {1: 0.87, 8: 0.98, 64: 0.99}, {1: 0.24, 8: 0.67, 64: 0.91}
    ),
    "parts": parts,
    "peaks": peaks,
    "ranges": ranges,
    "timeline": timeline,
    "scores": lambda: draw_scores(
        run(), {"in_voice": "in the captain's voice", "fact_right": "fact right"}
    ),
    "losses": lambda: draw_losses(run()),
    "comparison": comparison,
    "seeds": lambda: draw_seeds(
        {"full": [30.0, 37], "lora": [25, 27, 80.0], "qlora": [28, 50, 63.0]},
        title="In the second record the seeds of one method are up to 54 points apart",
        label="kept (% of what the base knew)",
    ),
    "lines": lines,
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Any, figures.Picture]]:
    """Each figure as it is after it was shown, and its picture."""
    found, kept = {}, []
    once = figures.png_bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "png_bytes", lambda fig: (kept.append(fig), once(fig))[1])
        for name, draw in CASES.items():
            picture = draw()
            found[name] = kept.pop(), picture
            found[name][0].draw_without_rendering()  # saving has left places of its own
    return found


def titles(figure: Any) -> list[Any]:
    """Return the titles that are drawn, those of panels and that of the figure."""
    found = [axes._left_title for axes in figure.axes]
    return [each for each in [*found, figure._suptitle] if each is not None and each.get_text()]


@pytest.mark.seconds
@pytest.mark.parametrize("name", CASES)
def test_it_fits_the_page_of_a_notebook(drawn, name: str):
    figure, picture = drawn[name]
    width = Image.open(io.BytesIO(picture.png)).width
    assert width <= figures.WIDTH_INCHES * figures.DOTS_PER_INCH * 1.03
    for axes in figure.axes:
        right = axes.bbox.x1 if len(figure.axes) > 1 else figure.bbox.x1
        assert axes._left_title.get_window_extent().x1 <= right + 1, axes._left_title.get_text()


@pytest.mark.seconds
@pytest.mark.parametrize("name", CASES)
def test_a_title_says_the_finding_and_a_text_replaces_the_picture(drawn, name: str):
    figure, picture = drawn[name]
    assert titles(figure) or name == "comparison"  # its lesson says the finding above it
    assert len(picture.alt) > 5


@pytest.mark.parametrize("name", CASES)
def test_a_panel_has_one_legend_at_most(drawn, name: str):
    for axes in drawn[name][0].axes:
        assert sum(isinstance(each, Legend) for each in axes.get_children()) <= 1


@pytest.mark.parametrize("name", CASES)
def test_an_axis_of_numbers_says_what_it_counts_and_in_which_unit(drawn, name: str):
    for axes in drawn[name][0].axes:
        if not axes.axison:
            continue
        for axis in (axes.xaxis, axes.yaxis):
            named = isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)
            ticks = [each.get_text() for each in axis.get_ticklabels()]
            words = any(re.search(r"[A-Za-z]{2}", each) for each in ticks)
            label = axis.get_label_text()
            assert label or words or named, (name, ticks)
            for word, unit in UNITS.items():
                if label and re.search(word, label):
                    assert re.search(unit, label), label


def written(figure: Any) -> list[tuple[str, Any]]:
    """Return every text that is seen, with its box."""
    texts = [*titles(figure), *figure.texts]
    for axes in figure.axes:
        texts += axes.texts
        if axes.axison:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                places = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
                texts += [label for place, label in places if low <= place <= high]
                texts.append(axis.label)
        if axes.get_legend() is not None:
            texts += axes.get_legend().get_texts()
    return [
        (each.get_text(), each.get_window_extent())
        for each in dict.fromkeys(texts)
        if each.get_text().strip() and each.get_visible()
    ]


@pytest.mark.parametrize("name", CASES)
def test_words_do_not_cross(drawn, name: str):
    for (one, here), (other, there) in itertools.combinations(written(drawn[name][0]), 2):
        across = min(here.x1, there.x1) - max(here.x0, there.x0)
        up = min(here.y1, there.y1) - max(here.y0, there.y0)
        assert across <= 1 or up <= 2, (one, other)


@pytest.mark.parametrize("name", CASES)
def test_lines_and_bars_are_seen_on_the_page(drawn, name: str):
    """A line by its color, an area by its own or its edge's."""
    faint = []
    for axes in drawn[name][0].axes:
        seen = [(line.get_color(),) for line in axes.get_lines()]
        seen += [(patch.get_facecolor(), patch.get_edgecolor()) for patch in axes.patches]
        for looks in seen:
            if max(contrast(to_hex(each), colors.PAPER) for each in looks) < 3:
                faint.append(looks)
    assert faint == []


def test_a_method_and_a_part_have_one_color_everywhere(drawn):
    base, adapter = colors.MEMORY_COLORS["weights"], colors.MEMORY_COLORS["adapter"]

    def patches(name: str) -> list[str]:
        return [to_hex(each.get_edgecolor()) for each in drawn[name][0].axes[0].patches]

    assert patches("layer") == [base, adapter, adapter]
    assert set(patches("factors")) == {adapter}
    lora = [to_hex(drawn["peaks"][0].axes[0].get_lines()[1].get_color())]
    lora.append(to_hex(drawn["ranges"][0].axes[0].get_lines()[0].get_color()))
    lora.append(to_hex(drawn["seeds"][0].axes[0].get_lines()[2].get_color()))
    assert set(lora) == {colors.METHOD_COLORS["lora"]}
    assert colors.of_method("QLoRA, checkpointing") == colors.METHOD_COLORS["qlora"]
    assert colors.of_method("before training") == colors.INK


def test_a_long_title_is_broken_and_a_short_one_stays(drawn):
    assert "\n" in drawn["ranges"][0].axes[0].get_title(loc="left")
    assert "\n" not in drawn["peaks"][0].axes[0].get_title(loc="left")

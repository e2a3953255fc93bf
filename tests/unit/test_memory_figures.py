"""The house style: solid pages, words beside pictures, the step's timeline."""

from labs_lib import figures
from labs_lib.memory import timeline_figure, trace
from labs_lib.memory.result import KINDS


def test_a_picture_carries_its_words_and_a_solid_page():
    fig, ax = figures.new_figure("Twice the length, twice the memory", "tokens", "GiB")
    ax.plot([1, 2], [1, 2])
    bundle = figures.show(fig, alt="A line from 1 to 2 <GiB>.")._repr_mimebundle_()
    assert bundle["text/plain"] == "A line from 1 to 2 <GiB>."
    assert 'alt="A line from 1 to 2 &lt;GiB&gt;."' in bundle["text/html"]
    assert fig.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    assert ax.get_title(loc="left") == "Twice the length, twice the memory"


def test_a_figure_is_not_left_open_in_pyplot():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    figures.new_figure("A finding", "x", "y", columns=2)
    assert pyplot.get_fignums() == before


def test_each_kind_of_bytes_has_a_color_of_its_own():
    assert set(figures.MEMORY_COLORS) == set(KINDS)
    assert len(set(figures.MEMORY_COLORS.values())) == len(KINDS)


def test_saving_leaves_nothing_half_written(tmp_path):
    fig, _ = figures.new_figure("A finding", "x", "y")
    figures.save(fig, tmp_path / "sub" / "a.png")
    assert [file.name for file in (tmp_path / "sub").iterdir()] == ["a.png"]


def test_the_timeline_marks_the_peak_and_names_what_is_alive():
    timeline = trace("gpt2", whole=True, seq_len=64).timeline
    assert timeline is not None
    fig, alt = timeline_figure(timeline, "GPT-2")
    assert "backward pass, at the loss and the output head" in alt
    words = " ".join(text.get_text() for text in fig.texts)
    assert "log_softmax" in words
    assert figures.png_bytes(fig).startswith(b"\x89PNG")

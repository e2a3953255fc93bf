"""The pages of the reading edition before Sphinx sees them, and the faults of finished ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from labs_lib.errors import LabError
from labs_lib.ledger.reading import claims
from tools.site import checking, pages
from tools.site.building import badges, settings
from tools.site.cells import kind_of
from tools.site.findings import recorded_findings
from tools.site.folding import OUTCOME, VERDICT, folds
from tools.site.lessons import INSTRUMENT, reading_page

code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
ADDRESS = "https://example.org/OWNER/NAME"


def shown(**data: Any) -> Any:
    """Return an output of a cell with the kinds of data, named without their slash."""
    return nbformat.v4.new_output("display_data", data=data.pop("data", data))


def page_of(*cells: Any, fragment: Any = None) -> list[Any]:
    """Return the cells of the page of a lesson with these cells after its title."""
    notebook = nbformat.v4.new_notebook(cells=[text("# Lesson\n\nAfter it you can"), *cells])
    return reading_page(notebook, "BADGES", fragment).cells


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (text("## Merge\n\nwords"), "heading"),
        (text("```\n# a comment\n```"), "prose"),
        (code("import torch\nfrom peft import PeftModel"), "imports"),
        (code('predict("02.x", ...)  # "a" or "b"'), "predict"),
        (code('share = 3\ncompare_prediction("02.x", share)'), "compare"),
        (code('claim("memory.only-adapter")'), "claim"),
        (code('ask("02.x.y")'), "task"),
        (code("from labs_lib.widgets import review\n\nreview()"), "kernel only"),
        (code("%timeit x"), "code"),
        (code("x = predict"), "code"),
    ],
)
def test_a_cell_is_known_by_its_text(cell: Any, kind: str):
    assert kind_of(cell) == kind


def test_an_outcome_lies_between_its_prediction_and_the_next_heading():
    found = folds(["heading", "predict", "code", "compare", "code", "prose", "heading", "prose"])
    assert [(fold.start, fold.end, fold.summary) for fold in found] == [(2, 6, OUTCOME)]


def test_the_question_of_the_next_prediction_stays_open():
    found = folds(["predict", "compare", "prose", "prose", "predict", "compare"])
    assert [(fold.start, fold.end) for fold in found] == [(1, 3), (5, 6)]


def test_headings_and_tasks_part_an_outcome_that_opens_together():
    found = folds(["predict", "predict", "code", "heading", "code", "compare", "compare", "task"])
    assert [(fold.start, fold.end) for fold in found] == [(2, 3), (4, 7)]
    assert found[0].group == found[1].group


def test_a_verdict_is_folded_unless_its_outcome_is():
    found = folds(["claim", "prose", "predict", "compare", "claim", "heading"])
    assert [(fold.start, fold.end, fold.summary) for fold in found] == [
        (0, 1, VERDICT),
        (3, 5, OUTCOME),
    ]


def test_a_page_has_no_trace_of_a_missing_kernel():
    output = shown(data={"text/html": "You made no prediction. Outcome: 7 %."})
    cells = page_of(
        code("load_in_background()"),
        text("## Before you start\n\nQuestions that are due"),
        code("from labs_lib.widgets import review\n\nreview()"),
        code('predict("02.x", ...)  # "a" or "b"'),
        code("# NBVAL_CHECK_OUTPUT\nx = 1"),
        code('compare_prediction("02.x", 7)', outputs=[output]),
    )
    first, field, opening, shown_code, compared, closing = cells
    assert first.source == "# Lesson\n\nBADGES\n\nAfter it you can"
    assert "Your prediction <input" in field.source
    assert "&quot;a&quot; or &quot;b&quot;" in field.source
    assert opening.source.startswith("<details")
    assert OUTCOME in opening.source
    assert shown_code.source == "x = 1"
    assert compared.outputs[0].data == {"text/html": "Outcome: 7 %."}
    assert compared.metadata["tags"] == ["remove-input"]
    assert closing.source == "</details>"


def test_predictions_that_follow_each_other_are_numbered():
    _, one, two, *_ = page_of(code('predict("a", ...)'), code('predict("b", ...)'))
    assert ("prediction 1 <" in one.source, "prediction 2 <" in two.source) == (True, True)


def test_an_instrument_is_alive_in_the_page():
    data = {
        INSTRUMENT: {"name": "layer", "state": {"rank": 4}},
        "text/html": "<svg></svg>",
        "text/plain": "still",
    }
    cells = page_of(
        code("LoRALayer()", outputs=[shown(data=data)]),
        fragment=lambda name, state: f"<div>{name} {state['rank']}</div>",
    )
    assert cells[1].outputs[0].data == {"text/html": "<div>layer 4</div>"}


def test_the_film_has_a_page_of_its_own():
    cells = page_of(
        text("Read [the transcript](../film/transcript.md)."),
        code("HTML(film)", outputs=[shown(data={"text/html": '<video src="../film/lora.webm">'})]),
    )
    assert cells[1].source == "Read [the transcript](film.md)."
    assert '<a href="film.html">' in cells[2].outputs[0].data["text/html"]
    assert cells[2].metadata["tags"] == ["remove-input"]


def test_the_badge_opens_the_students_copy():
    line = badges("05_qlora", settings(ADDRESS))
    assert "example.org%2FOWNER%2FNAME/HEAD?urlpath=lab/tree/workbook/05_qlora.ipynb" in line
    assert "href" not in badges("05_qlora", settings(""))


def test_a_repository_has_an_address():
    with pytest.raises(LabError, match="repository: 'OWNER/NAME' is no address"):
        settings("OWNER/NAME")


def test_the_start_is_the_readmes_first_part(root: Path):
    page = pages.start_page((root / "README.md").read_text(encoding="utf-8"), ["00_start_here"])
    assert "](00_start_here.ipynb)" in page
    assert "<!--" not in page
    assert "course.py site" not in page
    assert "labs doctor" not in page


def test_recorded_evidence_gives_each_verdict():
    findings = recorded_findings()
    for each in claims():
        if each.check:
            assert findings[each.id].verdict == each.verdict, each.id


def test_the_ledger_shows_recorded_figures(root: Path):
    findings = recorded_findings()
    page = pages.ledger_page(root / "claims", findings)
    assert page.count("<details") == len(claims())
    assert "Computed now" not in page


def test_a_film_has_a_page_with_its_transcript(tmp_path: Path):
    assert pages.film_page(tmp_path) is None
    for name in pages.FILM:
        (tmp_path / name).write_text("# Film\n\n## Scene 1\n\nWords.\n", encoding="utf-8")
    page = pages.film_page(tmp_path)
    assert page is not None
    assert page.count("\n# ") == 0
    assert "### Scene 1" in page


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
        ('<a href="other.html#gone">x</a>', "that page has no 'gone'"),
        ('<img src="data:image/png;base64,">', "a picture without words"),
        ('<script src="https://cdn.example.org/x.js"></script>', "from elsewhere"),
        ('<img alt="x" src="//example.org/x.png">', "from elsewhere"),
        ('<a href="other.html#here">x</a><a href="https://example.org">y</a><a href="#">z</a>', ""),
    ],
)
def test_faults_of_a_page(tmp_path: Path, body: str, fault: str):
    (tmp_path / "page.html").write_text(body, encoding="utf-8")
    (tmp_path / "other.html").write_text('<p id="here">x</p>', encoding="utf-8")
    found = checking.faults(tmp_path)
    assert len(found) == bool(fault)
    assert fault in "".join(found)

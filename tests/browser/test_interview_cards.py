"""The interview by hand, in JupyterLab: an answer taken apart, an interview to its last page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from labpage import LabPage
from playwright.sync_api import expect

SECONDS = 90
CELLS = (
    "from labs_lib.widgets import mock_interview, take_apart",
    'take_apart("alpha-over-r")',
    'mock_interview(minutes=5, seed=1, lessons=["05"])',
)


@pytest.fixture
def interview(lab: LabPage) -> Iterator[LabPage]:
    """A notebook with an answer's card and an interview, run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = lab.server.folder / "interview.ipynb"
    nbformat.write(notebook, path)
    lab.open("interview.ipynb")
    lab.run_all(300)
    expect.set_options(timeout=SECONDS * 1000)
    yield lab
    expect.set_options(timeout=5_000)
    path.unlink()


def test_an_answer_is_taken_apart_ticked_and_recorded(
    interview: LabPage, labs_home: Path, tmp_path: Path
):
    card = interview.page.locator(".labs-interview-answer")
    card.get_by_role("textbox").fill("The scaling is alpha. I never tune it.")
    card.get_by_role("button", name="Take apart").click()
    expect(card.locator("mark")).to_have_text("The scaling is alpha")
    expect(card).to_contain_text("Nobody has judged your answer")
    expect(card).to_contain_text("the factor with rsLoRA")
    boxes = card.get_by_role("checkbox")
    expect(boxes).to_have_count(5)
    boxes.nth(0).check()
    boxes.nth(2).check()
    card.get_by_role("button", name="Record ticks").click()
    expect(card).to_contain_text("Recorded: 2 of 5 points ticked.")
    interview.screenshot(tmp_path / "answer.png")
    lines = (labs_home / "data" / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    (event,) = [e for e in map(json.loads, lines) if e["id"] == "interview.alpha-over-r"]
    assert (event["ticked"], event["slips"]) == ([1, 3], ["alpha-is-scaling"])


def test_an_interview_runs_against_its_clock_to_the_last_page(interview: LabPage, tmp_path: Path):
    card = interview.page.locator(".labs-interview")
    clock = card.get_by_role("timer")
    expect(clock).to_have_text("5:00 left")
    card.get_by_role("button", name="Start").click()
    expect(clock).to_have_text(re.compile(r"4:5\d left"))  # it runs by itself
    card.get_by_role("textbox").fill("The weights are stored in NF4 and restored for each product.")
    card.get_by_role("button", name="Answer").click()
    expect(card.get_by_role("button", name="Answer")).to_have_count(0)
    card.get_by_role("checkbox").nth(0).check()
    interview.screenshot(tmp_path / "interview.png")
    card.get_by_role("button", name="Next question").click()
    expect(card).to_contain_text("Question 2")
    card.get_by_role("button", name="Next question").click()
    expect(card).to_contain_text("Question 3")
    card.get_by_role("button", name="End").click()
    expect(card).to_contain_text("look again at")
    expect(card).to_contain_text("1 of ")
    expect(card).to_contain_text("skipped")
    interview.screenshot(tmp_path / "summary.png")

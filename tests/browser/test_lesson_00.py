"""Lesson 00 as a student meets it: opened, run from top to bottom, the voice has changed."""

from __future__ import annotations

import re

import pytest
from labpage import LabPage

from tools.notebooks import TRAINS

IN_VOICE = re.compile(r"\b(arr+|matey|aye|ahoy)\b", re.IGNORECASE)


@pytest.mark.timeout(600)
def test_the_fine_tuned_answer_is_on_the_page(lab: LabPage):
    lab.open("workbook/00_start_here.ipynb")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in lab.cells())
    assert lab.page.locator(".jp-OutputArea-output").count() == 0
    lab.run_all(480)
    cells = lab.cells()
    training = next(
        number for number, cell in enumerate(cells) if TRAINS in cell["metadata"].get("tags", ())
    )
    drawn = lab.page.locator(".jp-Cell")
    assert drawn.count() == len(cells)
    answers = [
        drawn.nth(number).locator(".jp-OutputArea-output").filter(has_text=IN_VOICE)
        for number in range(training + 1, len(cells))
    ]
    assert any(answer.count() and answer.first.is_visible() for answer in answers)

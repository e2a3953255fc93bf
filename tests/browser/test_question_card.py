"""A question card by hand, in JupyterLab: wrong, feedback, hint, right, reload, still there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from labpage import LabPage
from playwright.sync_api import Locator, expect

from labs_lib.assessment.banks import find_question
from labs_lib.assessment.grading import right_answer
from labs_lib.assessment.kinds import SingleChoice

SINGLE = "00.frozen.what-changed"
MULTIPLE = "04.adapters.saved"
ORDER = "00.course.rhythm"
LINES = "02.prepare"
SECONDS = 90
CELLS = (
    "from labs_lib.widgets import arrange, ask, show_progress",
    *(f'ask("{question_id}")' for question_id in (SINGLE, MULTIPLE, ORDER)),
    f'arrange("{LINES}")',
    "show_progress()",
)
BUSY = """() => {
    const session = window.jupyterapp.shell.currentWidget.sessionContext.session;
    session.kernel.requestExecute({code: "import time; time.sleep(3)"});
}"""


@pytest.fixture
def cards(lab: LabPage) -> Iterator[LabPage]:
    """A notebook with three questions' cards, one of lines, and the progress, run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = lab.server.folder / "cards.ipynb"
    nbformat.write(notebook, path)
    lab.open("cards.ipynb")
    lab.run_all(300)
    expect.set_options(timeout=SECONDS * 1000)  # a page of JupyterLab may take its time
    yield lab
    expect.set_options(timeout=5_000)
    path.unlink()


def card(lab: LabPage, question_id: str) -> Locator:
    return lab.page.locator(".labs-card-" + question_id.replace(".", "-"))


def feedback(found: Locator, text: str | re.Pattern[str]) -> None:
    expect(found.locator(".labs-feedback")).to_contain_text(text, timeout=SECONDS * 1000)


def first_words(text: str | None) -> str:
    assert text
    return " ".join(text.split()[:5])


def saved(lab: LabPage, labs_home: Path) -> list[dict]:
    path = labs_home / "data" / "progress.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def test_wrong_hint_right_reload_still_there(cards: LabPage, labs_home: Path, tmp_path: Path):
    _, question = find_question(SINGLE)
    assert isinstance(question, SingleChoice)
    found = card(cards, SINGLE)
    expect(found.locator(".labs-options").get_by_role("radio")).to_have_count(4)

    found.get_by_label(re.compile(r"^b\)")).check()
    found.get_by_role("button", name="Submit").click()
    feedback(found, first_words(question.options[1].feedback))

    found.get_by_role("button", name="Hint").click()
    expect(found.locator(".labs-hint-text")).to_contain_text(question.hint)

    found.get_by_label(re.compile(r"^c\)")).check()
    found.get_by_role("button", name="Submit again").click()
    feedback(found, first_words(question.explanation))

    events = [event for event in saved(cards, labs_home) if event["id"] == SINGLE]
    assert [event.get("outcome") for event in events[-3:]] == ["incorrect", None, "correct"]

    # The page is loaded again: the kernel still holds the card.
    cards.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    cards.page.reload(wait_until="domcontentloaded")
    found = card(cards, SINGLE)
    feedback(found, first_words(question.explanation))
    expect(found.get_by_label(re.compile(r"^c\)"))).to_be_checked()

    # The notebook is opened anew and run: the card is made from the progress file.
    cards.open("cards.ipynb")
    cards.page.evaluate(
        "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    cards.run_all(300)
    found = card(cards, SINGLE)
    feedback(found, first_words(question.explanation))
    expect(found.get_by_label(re.compile(r"^c\)"))).to_be_checked()
    cards.screenshot(tmp_path / "cards.png")


def test_by_keyboard_alone(cards: LabPage, labs_home: Path):
    keyboard = cards.page.keyboard
    found = card(cards, MULTIPLE)
    boxes = found.get_by_role("checkbox")
    boxes.nth(0).focus()
    for place in range(4):
        if place in (1, 2):
            keyboard.press("Space")
        keyboard.press("Tab")
    for step in ("not said", "guess", "unsure", "fairly sure"):
        expect(found.get_by_label(step, exact=True)).to_be_focused()
        if step == "fairly sure":
            keyboard.press("Space")
        keyboard.press("Tab")
    keyboard.press("Tab")
    expect(found.get_by_role("button", name="Submit")).to_be_focused()
    keyboard.press("Enter")
    feedback(found, "Correct")
    (event,) = [event for event in saved(cards, labs_home) if event["id"] == MULTIPLE]
    assert event["confidence"] == "fairly sure"


def test_enter_submits_a_typed_answer(cards: LabPage):
    found = card(cards, ORDER)
    field = found.get_by_label("Your answer")
    field.fill("a,b,c,d")
    field.press("Enter")
    feedback(found, "is not right")
    _, question = find_question(ORDER)
    field.fill(right_answer(question))
    field.press("Enter")
    feedback(found, "Correct")


def test_a_busy_kernel_grades_all_that_was_typed(cards: LabPage, labs_home: Path):
    """A page holds letters back while an earlier one waits for the kernel, but no click."""
    found = card(cards, ORDER)
    field = found.get_by_label("Your answer")
    for answer, end in (
        ("b,a,d,c", lambda: field.press("Enter")),
        ("a,c,b,d", found.get_by_role("button", name="Submit").click),
    ):
        before = len(saved(cards, labs_home))
        cards.page.evaluate(BUSY)
        field.fill("")
        field.press_sequentially(answer)
        end()
        deadline = time.monotonic() + SECONDS
        while len(saved(cards, labs_home)) == before and time.monotonic() < deadline:
            cards.page.wait_for_timeout(100)
        assert [event["response"] for event in saved(cards, labs_home)[before:]] == [answer]


def test_a_key_that_moves_a_line_moves_it_on(cards: LabPage):
    found = cards.page.locator(".labs-arrange")
    field, down = found.get_by_label("Order"), found.get_by_role("button", name="↓")
    first, second, third, *rest = field.input_value().split(",")
    down.first.focus()
    for place, order in ((1, (second, first, third)), (2, (second, third, first))):
        cards.page.keyboard.press("Enter")
        expect(down.nth(place)).to_be_focused()
        expect(field).to_have_value(",".join([*order, *rest]))


def test_long_options_do_not_overlap(cards: LabPage):
    for question_id, kind in ((SINGLE, "radio"), (MULTIPLE, "checkbox")):
        options = card(cards, question_id).locator(".labs-options")
        labels = options.locator(f'label:has(input[type="{kind}"])')
        boxes = [labels.nth(place).bounding_box() for place in range(labels.count())]
        assert len(boxes) == 4
        assert all(boxes)
        for above, below in pairwise(boxes):
            assert above
            assert below
            assert above["y"] + above["height"] <= below["y"] + 1

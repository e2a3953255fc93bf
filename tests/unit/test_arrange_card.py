"""Lines to be put in order: any order that works is right, and it is help, not the exercise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labs_lib.assessment.exercises import all_exercises
from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception
from labs_lib.assessment.exercises.code import CodeText
from labs_lib.assessment.exercises.lines import WORKS, lines_of, statements
from labs_lib.assessment.letters import LETTERS
from labs_lib.assessment.progress import item_states, read_events, record_answer, standing
from labs_lib.errors import LabError
from labs_lib.widgets import arrange, arrange_card, show_progress
from tools import notebooks

SOLUTION = """\
import math  # for the root


def size(rank, sides):
    # both factors
    d_in, d_out = sides
    shapes = [
        (rank, d_in),

        (d_out, rank),
    ]
    if rank < 1:  # no adapter
        return 0
    return sum(math.prod(shape) for shape in shapes)
"""
BODY = {
    "sides": "    d_in, d_out = sides",
    "shapes": "    shapes = [\n        (rank, d_in),\n        (d_out, rank),\n    ]",
    "if": "    if rank < 1:",
    "zero": "        return 0",
    "sum": "    return sum(math.prod(shape) for shape in shapes)",
}
DECOY = "    d_out, d_in = rank"
SIZE = Exercise(
    id="97.size", title="The size", objective="o", task="t", answer="size", hints=(),
    check=FunctionCheck(
        cases=lambda random: [(random.randint(0, 9), (3, random.randint(1, 9))) for _ in range(9)],
        reference=lambda rank, sides: rank * sum(sides) if rank else 0,
        misconceptions=(
            Misconception("always-zero", "It is 0 at every rank.", wrong=lambda *_: 0),
        ),
    ),
    code=CodeText("def size(rank, sides):\n    ...\n", SOLUTION),
    decoys=(DECOY,),
)  # fmt: skip
LINES = lines_of(SIZE)
FUNCTIONS = [each for each in all_exercises() if isinstance(each.check, FunctionCheck)]
VALUES = [each for each in all_exercises() if not isinstance(each.check, FunctionCheck)]


def can_be_arranged(exercise: Exercise) -> bool:
    """Return whether an exercise has lines enough."""
    try:
        return bool(lines_of(exercise))
    except LabError:
        return False


ARRANGED = [each for each in FUNCTIONS if can_be_arranged(each)]
# One of the course's own, whichever there is.
OWN = ARRANGED[0]
RIGHT = ("sides", "shapes", "if", "zero", "sum")


def letters(*names: str) -> str:
    """Return the letters of lines of `BODY` in this order."""
    return ",".join(LETTERS[LINES.shown.index(BODY.get(name, name))] for name in names)


@pytest.fixture
def card(own_home, monkeypatch):
    """A function that makes the card of `SIZE`, anew each time."""
    monkeypatch.setattr(arrange_card, "find_exercise", lambda _: SIZE)
    return lambda: arrange("97.size")


def test_a_line_is_a_whole_statement_without_comments():
    assert statements(SOLUTION) == ["import math", "def size(rank, sides):", *BODY.values()]


def test_a_decorator_stays_with_what_it_decorates():
    source = "class A:\n    @staticmethod\n    @cache\n    def f():\n        return 1\n"
    assert statements(source)[1] == "    @staticmethod\n    @cache\n    def f():"


def test_the_lines_are_shuffled_the_same_each_time_with_the_decoy():
    assert LINES.given == "import math\ndef size(rank, sides):"
    assert sorted(LINES.shown) == sorted([*BODY.values(), DECOY])
    assert list(LINES.shown)[:5] != list(BODY.values())
    assert lines_of(SIZE).shown == LINES.shown


@pytest.mark.parametrize(
    ("names", "status", "said"),
    [
        (RIGHT, "correct", WORKS),
        (("if", "zero", "sides", "shapes", "sum"), "correct", WORKS),  # in another order
        (("shapes", "sides", "if", "zero", "sum"), "error", "d_in"),
        (("sides", "shapes", "if", "sum", "zero"), "error", "Indentation"),
        (("sides", "shapes", "sum"), "correct", WORKS),  # 0 · (d_in + d_out) is 0 as well
        (("sides", "shapes"), "incorrect", "return"),
        ((DECOY, "shapes", "if", "zero", "sum"), "error", "TypeError"),
    ],
)
def test_any_order_that_works_is_right(card, names, status, said):
    panel = card().submit(letters(*names))
    assert panel.look == status, panel.plain
    assert said in panel.text, panel.plain


@pytest.mark.parametrize("answer", [None, "", "...", LINES.letters, ",".join(LINES.letters)])
def test_the_order_as_shown_is_no_attempt(card, answer):
    made = card()
    panel = made.submit(... if answer == "..." else answer)
    assert panel.look == "not attempted"
    assert read_events()[0] == []


@pytest.mark.parametrize("answer", [None, "", [], ...])
def test_an_empty_order_is_told_from_the_one_shown(card, answer):
    assert card().submit(answer).text == arrange_card.EMPTY
    assert card().submit(LINES.letters).text == arrange_card.START


def test_an_order_that_can_be_read_only_once_is_judged_and_kept(card):
    made = card()
    assert made.submit(iter(letters(*RIGHT).split(","))).look == "correct"
    assert made.order == letters(*RIGHT) == read_events()[0][-1]["response"]


@pytest.mark.parametrize(
    ("answer", "said"), [("a,a,b", "twice"), ("a,z", "'z' is not one of"), (7, "an int was given")]
)
def test_what_is_no_order_is_said_and_not_recorded(card, answer, said):
    panel = card().submit(answer)
    assert panel.look == "error"
    assert said in panel.text
    assert read_events()[0] == []


def test_it_is_recorded_as_help_and_restored(card):
    made = card()
    made.submit(letters(*reversed(RIGHT)))
    made.submit(letters(*RIGHT))
    first, second = read_events()[0]
    assert first["event"] == second["event"] == "arranged"
    assert (second["id"], second["outcome"]) == ("97.size", "correct")
    state = item_states([first, second])["97.size"]
    assert state.arranged
    assert not state.ever_correct
    assert (state.attempts, state.wrong, state.status) == (0, 0, "not attempted")
    again = card()
    assert again.order == letters(*RIGHT)
    assert "Correct" in again._feedback.value
    assert item_states([first])["97.size"].arranged is False


def test_other_lines_than_those_recorded_are_not_restored(card, monkeypatch):
    card().submit(letters(*RIGHT))
    changed = replace(SIZE, code=CodeText(SIZE.starter, SOLUTION.replace("return 0", "return 0.0")))
    monkeypatch.setattr(arrange_card, "find_exercise", lambda _: changed)
    again = card()
    assert again.order == ",".join(LINES.letters)
    assert again._feedback.value == ""


def test_progress_tells_help_from_done(own_home):
    arrange(OWN.id).submit(",".join(in_order(OWN)))
    (event,) = read_events()[0]
    assert event["outcome"] == "correct", event
    now = standing()
    assert now.to_write == (OWN.id,)
    assert sum(lesson.correct + lesson.attempted for lesson in now.lessons) == 0
    assert now.revisit == ()
    assert f"Put in order, to be written yet: {OWN.id}" in show_progress().text
    record_answer(OWN.id, OWN.solution, bank="x", outcome="correct", misconception="")
    assert standing().to_write == ()


def in_order(exercise: Exercise) -> list[str]:
    """Return the letters of an exercise's lines in the order of its solution."""
    lines = lines_of(exercise)
    letters_of: dict[str, list[str]] = {}
    for letter, line in zip(LETTERS, lines.shown, strict=False):
        letters_of.setdefault(line, []).append(letter)
    return [letters_of[line].pop(0) for line in statements(exercise.solution) if line in letters_of]


def test_by_buttons(card):
    made = card()
    start = made.order.split(",")
    made._rows[1]._up.click()
    assert made.order.split(",") == [start[1], start[0], *start[2:]]
    made._rows[0]._up.click()
    made._rows[5]._down.click()
    assert made.order.split(",") == [start[1], start[0], *start[2:]]
    made._rows[0]._down.click()
    assert made.order.split(",") == start
    made._rows[2]._out.click()
    assert made.order.split(",") == start[:2] + start[3:]
    assert made._rows[5]._out.description == "put back"
    assert made._rows[5]._up.disabled
    made._rows[4]._out.click()
    made._rows[5]._out.click()  # the one left out first is the last row again
    assert made.order.split(",") == [*start[:2], *start[3:5], start[2]]
    assert made._typed.answer == made.order


def test_the_buttons_reach_every_order(card):
    made = card()
    wanted = letters(*RIGHT).split(",")
    made._rows[made._order.index(letters(DECOY))]._out.click()
    for target, letter in enumerate(wanted):
        for place in range(made._order.index(letter), target, -1):
            made._rows[place]._up.click()
    made._check.click()
    assert "Correct" in made._feedback.value


def test_an_order_is_typed_and_entered(card):
    made = card()
    (field,) = made._typed.parts
    field.value = letters(*RIGHT).replace(",", " ")
    field._handle_custom_msg({"event": "submit"}, [])
    assert "Correct" in made._feedback.value
    assert made.order == letters(*RIGHT)
    assert BODY["sides"] in made._rows[0]._code.value


def test_nothing_of_the_solution_is_stored(card):
    made = card()
    made.submit(letters(*RIGHT))
    bundle = made._repr_mimebundle_()
    assert bundle["text/plain"] == "The lines of 97.size, to be put in order: in the live page."
    told = json.dumps({kind: part for kind, part in bundle.items() if kind.startswith("text/")})
    for line in SOLUTION.splitlines():
        assert not line.strip() or line.strip() not in told


def test_the_executed_edition_holds_no_line(tmp_path: Path):
    source = tmp_path / "notebooks" / "source" / "00_tiny.py"
    source.parent.mkdir(parents=True)
    text = f'# %%\nfrom labs_lib.widgets import arrange\n\n# %%\narrange("{OWN.id}")\n'
    source.write_text(text, encoding="utf-8")
    notebooks.renew(source)
    stored = notebooks.notebook_of(source).read_text(encoding="utf-8")
    assert f"The lines of {OWN.id}" in stored
    for line in statements(OWN.solution):
        assert line.strip() not in stored


def test_an_exercise_that_asks_for_no_function_is_refused():
    with pytest.raises(LabError, match=f"^arrange: {VALUES[0].id} asks for no function"):
        arrange(VALUES[0].id)


def test_a_function_of_one_line_is_refused():
    short = CodeText("", "def size(rank, sides):\n    return rank * sum(sides)\n")
    with pytest.raises(LabError, match=r"97\.size has no 2 lines"):
        lines_of(replace(SIZE, code=short))


@pytest.mark.parametrize("exercise", ARRANGED, ids=lambda exercise: exercise.id)
def test_the_lines_of_an_exercise_in_their_order_are_its_solution(exercise):
    lines = lines_of(exercise)
    assert statements(lines.assembled(in_order(exercise))) == statements(exercise.solution)
    assert len(lines.shown) <= len(LETTERS)
    assert not set(exercise.decoys) & set(statements(exercise.solution))

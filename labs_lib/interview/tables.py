"""Tables of the interview questions, and of what other numbers do to one of them."""

from __future__ import annotations

from collections.abc import Sequence

from labs_lib.errors import LabError, choice_error
from labs_lib.interview.questions import TOPICS, find, questions
from labs_lib.tables import Table


def questions_table(topic: str | None = None) -> Table:
    """Return the questions of a topic, or all of them: id, question, lessons."""
    if topic is not None and topic not in TOPICS:
        raise choice_error("topic", topic, TOPICS)
    rows = [
        (each.id, each.draw().question, ", ".join(each.lessons))
        for each in questions().values()
        if topic in (None, each.topic)
    ]
    return Table.of(("id", "question", "lessons"), rows)


def draws_table(
    question_id: str, seeds: Sequence[int], figures: Sequence[str] | None = None
) -> Table:
    """Return what each seed draws for a question, and its figures, or those named.

    Raises `LabError` for a question that has no numbers to draw, and for an unknown figure.
    """
    question = find(question_id)
    if not question.has_variants:
        raise LabError(f"seeds: {question_id} has no numbers to draw")
    shown = list(question.figures if figures is None else figures)
    for name in shown:
        if name not in question.figures:
            raise choice_error("figure", name, question.figures)
    names = [name for name, values in question.numbers.items() if len(values) > 1]
    rows = []
    for seed in seeds:
        numbers, computed = question.drawn(seed), question.computed(seed)
        cells = [*(numbers[name] for name in names), *(computed[name] for name in shown)]
        rows.append((seed, *cells))
    return Table.of(("seed", *names, *(name.replace("-", " ") for name in shown)), rows)

"""Interview questions: their form, where they are kept, and the draw of other numbers."""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from labs_lib.assessment.lesson_ids import lesson_id
from labs_lib.assessment.records import Lesson, Record, Slug, Text
from labs_lib.errors import LabError, choice_error, explain_validation, shorten
from labs_lib.interview.figures import FIGURES
from labs_lib.yamls import read_yaml

BANK = Path(__file__).resolve().parent / "bank"
TOPICS = ("basics", "mathematics", "memory", "training", "serving", "judgment")
_PLACEHOLDER = re.compile(r"\{(\w+)(:,)?\}")
_Value = int | float | str | bool
_Phrases = Annotated[tuple[Text, ...], Field(min_length=1)]
# What a student's own work has a number for, and how the number is called there.
RunFigure = Literal["trained", "loss", "held_out_loss", "score", "kept", "peak", "pace", "file"]


class Slip(Record):
    """Something that answers often get wrong, as a rule that looks for words.

    A clause is marked that has a phrase of each list in `says`, that does not deny it, and whose
    sentence has none of the phrases in `unless`.
    """

    id: Slug
    says: Annotated[tuple[_Phrases, ...], Field(min_length=1)]
    unless: tuple[Text, ...] = ()
    check: Text


class Source(Record):
    """Where a student's own number for an answer comes from; one of these is given.

    `exercise` and `question` name one of the course, `prediction` the id of a prediction; `run` is
    a figure of the student's training runs, by one of `methods` where any are named; `figure` is
    one of the question's own, computed.
    """

    shows: Text
    exercise: Text | None = None
    question: Text | None = None
    prediction: Text | None = None
    run: RunFigure | None = None
    figure: Slug | None = None
    methods: tuple[str, ...] = ()
    lesson: Lesson | None = None

    @model_validator(mode="after")
    def _is_one_of_these(self) -> Source:
        given = [self.exercise, self.question, self.prediction, self.run, self.figure]
        if sum(each is not None for each in given) != 1:
            raise ValueError("give one of exercise, question, prediction, run, figure")
        if self.run is not None and self.lesson is None:
            raise ValueError("a run needs the lesson that makes it")
        return self

    @property
    def made_in(self) -> str:
        """Return the lesson that makes the number; empty for one that is computed."""
        return self.lesson or lesson_id(self.exercise or self.question or self.prediction or "")


class InterviewQuestion(Record):
    """A question, what an answer to it needs, slips, what is asked next, and evidence.

    `numbers` are the values from which `draw` takes one each, the first ones without a seed;
    `figures` are computed from them by the functions of `interview.figures`. Texts name both as
    `{rank}` or `{count:,}`.
    """

    id: Slug
    topic: Literal["basics", "mathematics", "memory", "training", "serving", "judgment"]
    lessons: Annotated[tuple[Lesson, ...], Field(min_length=1)]
    question: Text
    points: Annotated[tuple[Text, ...], Field(min_length=3, max_length=6)]
    slips: tuple[Slip, ...] = ()
    next: Annotated[tuple[Text, ...], Field(min_length=1)]
    evidence: Annotated[tuple[Source, ...], Field(min_length=1)]
    source: Text
    numbers: dict[str, Annotated[tuple[_Value, ...], Field(min_length=1)]] = Field({})
    figures: dict[Slug, dict[str, Any]] = Field({})
    seed: int | None = None

    @field_validator("figures")
    @classmethod
    def _figures_are_known(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, how in value.items():
            if how.get("compute") not in FIGURES:
                raise ValueError(str(choice_error(f"{name}.compute", how.get("compute"), FIGURES)))
        return value

    @model_validator(mode="after")
    def _names_are_known(self) -> InterviewQuestion:
        known = {*self.numbers, *(name.replace("-", "_") for name in self.figures)}
        texts = (self.question, *self.points, *self.next, *(slip.check for slip in self.slips))
        used = {name for text in texts for name, _ in _PLACEHOLDER.findall(text)}
        if self.seed is None and not used <= known:
            raise ValueError(str(choice_error("placeholder", min(used - known), known)))
        for each in self.evidence:
            if each.figure is not None and each.figure not in self.figures:
                raise ValueError(str(choice_error("figure", each.figure, self.figures)))
        return self

    @property
    def event_id(self) -> str:
        """Return the id under which answers are recorded."""
        return f"interview.{self.id}"

    @property
    def has_variants(self) -> bool:
        """Return whether another seed may ask for other numbers."""
        return any(len(values) > 1 for values in self.numbers.values())

    def drawn(self, seed: int | None = None) -> dict[str, Any]:
        """Return the numbers that a seed draws; the first of each without a seed."""
        generator = random.Random(f"{self.id}:{seed}")
        return {
            name: values[0] if seed is None else generator.choice(values)
            for name, values in self.numbers.items()
        }

    def computed(self, seed: int | None = None) -> dict[str, str]:
        """Return each figure of the question for the numbers that a seed draws, as a text."""
        numbers = self.drawn(seed)
        return {name: _computed(how, numbers) for name, how in self.figures.items()}

    def draw(self, seed: int | None = None) -> InterviewQuestion:
        """Return the question with its numbers and figures in its texts.

        The same seed draws the same numbers everywhere. Raises `LabError` for no whole number.
        """
        if seed is not None and type(seed) is not int:
            raise LabError(f"seed: {shorten(seed)} is not a whole number")
        figures = self.computed(seed)
        values = {**self.drawn(seed), **{n.replace("-", "_"): text for n, text in figures.items()}}

        def filled(text: str) -> str:
            return _PLACEHOLDER.sub(lambda m: format(values[m[1]], (m[2] or "").lstrip(":")), text)

        return self.model_copy(
            update={
                "seed": -1 if seed is None else seed,
                "question": filled(self.question),
                "points": tuple(map(filled, self.points)),
                "next": tuple(map(filled, self.next)),
                "slips": tuple(
                    slip.model_copy(update={"check": filled(slip.check)}) for slip in self.slips
                ),
            }
        )


@functools.cache
def questions() -> dict[str, InterviewQuestion]:
    """Return id → question, in the order of the topics.

    Raises `LabError` with the file and the question for one that is not well formed.
    """
    found: dict[str, InterviewQuestion] = {}
    for topic in TOPICS:
        path = BANK / f"{topic}.yaml"
        for place, entry in enumerate(read_yaml(path), start=1):
            where = f"{path.name}, question {place}"
            try:
                question = InterviewQuestion.model_validate({"topic": topic, **entry})
            except ValidationError as error:
                raise explain_validation(error, InterviewQuestion, where) from None
            if question.id in found:
                raise LabError(f"{where}: the id {question.id} is used twice")
            found[question.id] = question
    return found


def find(question_id: str) -> InterviewQuestion:
    """Return the question with this id; `LabError` names the nearest one otherwise."""
    known = questions()
    if not isinstance(question_id, str) or question_id not in known:
        raise choice_error("interview question", question_id, known)
    return known[question_id]


def _computed(how: dict[str, Any], numbers: dict[str, Any]) -> str:
    fixed = {name: value for name, value in how.items() if name != "compute"}
    return FIGURES[how["compute"]](**{**numbers, **fixed})

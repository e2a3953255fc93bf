"""One pure function: `grade(question, response)` → `Outcome`, for card, tests and instructor."""

from __future__ import annotations

import re
import types
import unicodedata
from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises import find_exercise
from labs_lib.assessment.exercises.base import judge as judge_exercise
from labs_lib.assessment.letters import read_letters
from labs_lib.assessment.outcomes import (
    BLANK,
    CORRECT,
    ERROR,
    INCORRECT,
    Outcome,
    Response,
    is_blank,
)
from labs_lib.assessment.questions import (
    LETTERS,
    CodeQuestion,
    MultipleChoice,
    NumericQuestion,
    OrderingQuestion,
    ParameterisedQuestion,
    Question,
    SingleChoice,
    TextQuestion,
)
from labs_lib.assessment.units import (
    AmbiguousNumberError,
    NumberError,
    ascii_digits,
    byte_confusion,
    parse_quantity,
)
from labs_lib.errors import kind_of, shorten

Grader = Callable[[Any], Outcome]

LONGEST_TEXT = 10_000
_ONE_HYPHEN = str.maketrans({
    **dict.fromkeys("‐‑‒–—−﹣", "-"), **dict.fromkeys("\u200b\u200e\u200f\u2060\ufeff\u00ad", ""),
})  # fmt: skip


def grade(question: Question, response: Response) -> Outcome:
    """Judge a response to a question; pure, and it raises nothing whatever the response holds.

    A blank (None, `...`, white space, an empty list) is "not attempted"; what cannot be read as
    an answer to this question is an "error", which counts as no attempt either. A code question
    runs the student's function in a process of its own.
    """
    asked = response.question_id
    if type(asked) is not str or asked != question.id:
        named = shorten(asked) if type(asked) is str else kind_of(asked)
        return Outcome(ERROR, f"This is an answer to question {named}, not to {question.id}.")
    value = response.value
    if value is None and isinstance(question, TextQuestion) and _accepts_none(question):
        value = "none"
    if is_blank(value):
        return BLANK
    if isinstance(question, ParameterisedQuestion):
        seed = response.seed
        if type(seed) is not int:
            return Outcome(ERROR, f"seed: {kind_of(seed)} is not a whole number.")
        question = question.draw(seed)
    return _grader(question)(value)


def right_answer(question: Question, seed: int = 0) -> Any:
    """Return a response value that grades as correct, in the form in which a student types it.

    For the solved run of a notebook and for exports; a code question gives its solution's source.
    """
    if isinstance(question, ParameterisedQuestion):
        question = question.draw(seed)
    if isinstance(question, SingleChoice):
        return next(iter(question.right_letters))
    if isinstance(question, MultipleChoice):
        return ",".join(sorted(question.right_letters))
    if isinstance(question, OrderingQuestion):
        return ",".join(question.right_letters)
    if isinstance(question, NumericQuestion):
        return question.answer
    if isinstance(question, TextQuestion):
        return question.accept[0]
    return find_exercise(question.exercise).solution


def normal_form(text: str, case_sensitive: bool = False) -> str:
    """Return the form in which short texts are compared.

    One width of letters (NFKC), ASCII digits, one kind of hyphen, single spaces, no quotes,
    back-ticks or full stop around it, and no case unless it counts.
    """
    plain = text
    if not text.isascii():
        plain = ascii_digits(unicodedata.normalize("NFKC", text.translate(_ONE_HYPHEN)))
    plain = " ".join(plain.split()).strip("`'\"“”‘’«».!?;:, ")
    return plain if case_sensitive else plain.casefold()


def loose_form(text: str, case_sensitive: bool = False) -> str:
    """Return the form in which a short text is looked up if its normal form is not expected.

    Without an article or "it is" before it, brackets after it, or any space, hyphen or
    underscore inside it.
    """
    plain = normal_form(text, case_sensitive)
    plain = re.sub(r"^(?:(?:it is|it's|its|the|an?|answer:?)\s+)+", "", plain, flags=re.I)
    plain = re.sub(r"\s*\([^()]{0,40}\)$", "", plain)
    return re.sub(r"[\s_\-`'\"]", "", plain)


def _grader(question: Any) -> Grader:
    known = question.__dict__.get("_grader")
    if known is None:
        known = _BUILDERS[type(question)](question)
        # Beside the fields, as functools.cached_property does: the model stays frozen.
        question.__dict__["_grader"] = known
    return known


def _single(question: SingleChoice) -> Grader:
    outcomes: dict[str, Outcome] = {}
    texts = [normal_form(option.text) for option in question.options]
    for letter, option in zip(LETTERS, question.options, strict=False):
        if option.correct:
            outcomes[letter] = Outcome(CORRECT, question.explanation)
        else:
            outcomes[letter] = Outcome(
                INCORRECT, option.feedback or "", option.misconception or letter
            )

    def judge(value: Any) -> Outcome:
        if type(value) is str:
            found = outcomes.get(value)
            if found is not None:
                return found
        letters = read_letters(value, texts)
        if isinstance(letters, str):
            return Outcome(ERROR, letters)
        if len(letters) != 1:
            return Outcome(ERROR, f"Choose one option; {len(letters)} were given.")
        return outcomes[letters[0]]

    return judge


def _multiple(question: MultipleChoice) -> Grader:
    right = question.right_letters
    options = dict(zip(LETTERS, question.options, strict=False))
    texts = [normal_form(option.text) for option in question.options]

    def judge(value: Any) -> Outcome:
        letters = read_letters(value, texts)
        if isinstance(letters, str):
            return Outcome(ERROR, letters)
        chosen = frozenset(letters)
        if chosen == right:
            return Outcome(CORRECT, question.explanation)
        wrong = sorted(chosen - right)
        if wrong:
            option = options[wrong[0]]
            return Outcome(INCORRECT, option.feedback or "", option.misconception or wrong[0])
        missed = options[min(right - chosen)]
        reason = f" {missed.feedback}" if missed.feedback else ""
        count = len(right) - len(chosen)
        return Outcome(INCORRECT, f"Right so far, but {count} more should be chosen.{reason}")

    return judge


def _ordering(question: OrderingQuestion) -> Grader:
    right = question.right_letters
    texts = [normal_form(question.items[index].text) for index in question.shown]

    def judge(value: Any) -> Outcome:
        letters = read_letters(value, texts, ordered=True)
        if isinstance(letters, str):
            return Outcome(ERROR, letters)
        if sorted(letters) != sorted(right):
            return Outcome(
                ERROR, f"Give each of {', '.join(sorted(right))} once, in order; e.g. b,a,c."
            )
        for place, (given, wanted) in enumerate(zip(letters, right, strict=True), start=1):
            if given != wanted:
                item = question.items[right.index(given)]
                return Outcome(
                    INCORRECT,
                    f"Place {place} ({given}: {item.text}) is not right. {item.feedback}",
                    given,
                )
        return Outcome(CORRECT, question.explanation)

    return judge


def _numeric(question: NumericQuestion) -> Grader:
    answer, unit = question.answer, question.unit
    width = question.tolerance.width(answer)
    correct = Outcome(CORRECT, question.explanation)
    mistakes = [
        (mistake.value, question.tolerance.width(mistake.value), mistake)
        for mistake in question.mistakes
    ]

    def judge(value: Any) -> Outcome:
        try:
            number = parse_quantity(value, unit)
        except AmbiguousNumberError as error:
            # Nobody is marked wrong for a comma: 14,000 is taken if it is right, and else asked.
            if error.likely and abs(error.readings[0] - answer) <= width:
                return correct
            return Outcome(ERROR, f"{_capital(str(error))}.")
        except NumberError as error:
            return Outcome(ERROR, f"{_capital(str(error))}.")
        if abs(number - answer) <= width:
            return correct
        for wrong, wrong_width, mistake in mistakes:
            if abs(number - wrong) <= wrong_width:
                name = mistake.misconception or f"{wrong:g}"
                return Outcome(INCORRECT, mistake.feedback, name)
        confusion = byte_confusion(number, answer, width, unit)
        if confusion:
            return Outcome(INCORRECT, confusion, "gb-gib")
        direction = "small" if number < answer else "large"
        amount = _amount(number, unit)
        return Outcome(INCORRECT, f"{amount} is too {direction}.", f"too-{direction}")

    return judge


def _amount(number: float, unit: str | None) -> str:
    """Return a number for people, with its unit: `18,874,368 parameters`, `0.148148 %`."""
    whole = number.is_integer() and abs(number) < 1e15
    text = f"{number:,.0f}" if whole else f"{number:,g}"
    return f"{text} {unit}" if unit else text


def _text(question: TextQuestion) -> Grader:
    strict = question.case_sensitive
    outcomes: dict[str, Outcome] = {}
    for mistake in question.mistakes:
        for form in mistake.match:
            outcomes[normal_form(form, strict)] = Outcome(
                INCORRECT, mistake.feedback, mistake.misconception or normal_form(form)
            )
    for form in question.accept:
        outcomes[normal_form(form, strict)] = Outcome(CORRECT, question.explanation)
    loosely = {loose_form(form, strict): Outcome(CORRECT, question.explanation)
               for form in question.accept}  # fmt: skip
    for mistake in question.mistakes:
        for form in mistake.match:  # what is told apart by a hyphen alone stays told apart
            loosely.pop(loose_form(form, strict), None)
    loosely.pop("", None)

    def judge(value: Any) -> Outcome:
        if issubclass(type(value), (type, types.FunctionType, types.BuiltinFunctionType)):
            value = getattr(value, "__name__", "")  # the thing itself, where its name is asked
        if not issubclass(type(value), str):
            return Outcome(ERROR, f"Answer in words; {kind_of(value)} was given.")
        if len(value) > LONGEST_TEXT:
            return Outcome(ERROR, f"{len(value):,} characters are too many for a short answer.")
        form = normal_form(value, strict)
        found = outcomes.get(form) or loosely.get(loose_form(value, strict))
        if not found and not form:
            return Outcome(ERROR, f"Answer in words; {shorten(value.strip())} is none.")
        return found or Outcome(INCORRECT, "That is not it. Mind the exact name; try the hint.")

    return judge


def _accepts_none(question: TextQuestion) -> bool:
    return any(normal_form(form) == "none" for form in question.accept)


def _code(question: CodeQuestion) -> Grader:
    def judge(value: Any) -> Outcome:
        return judge_exercise(find_exercise(question.exercise), value)

    return judge


_BUILDERS: dict[type, Callable[[Any], Grader]] = {
    SingleChoice: _single,
    MultipleChoice: _multiple,
    OrderingQuestion: _ordering,
    NumericQuestion: _numeric,
    TextQuestion: _text,
    CodeQuestion: _code,
}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

"""What a bank must keep to beyond its form: coverage, balance, formulas over their range."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from labs_lib.assessment.banks import Bank, Problem, bank_files, bank_name, read_bank
from labs_lib.assessment.exercises import all_exercises
from labs_lib.assessment.formula import Formula
from labs_lib.assessment.questions import (
    LETTERS,
    CodeQuestion,
    NumericQuestion,
    ParameterisedQuestion,
    SingleChoice,
    TextQuestion,
    placeholders,
)
from labs_lib.errors import nearest
from labs_lib.paths import bank_file

# Every combination of a parameterised question's numbers is tried up to this many; beyond it,
# every corner of the range and this many draws.
MOST_COMBINATIONS = 5_000
FEWEST_TO_BALANCE = 4


def check_banks(paths: Iterable[Path] | None = None) -> tuple[list[Bank], list[Problem]]:
    """Return the banks that can be read and everything wrong with any of them."""
    banks: list[Bank] = []
    problems: list[Problem] = []
    for path in map(bank_file, paths) if paths is not None else bank_files():
        bank, found = read_bank(path)
        problems += found
        if bank is not None:
            banks.append(bank)
            problems += check_bank(bank)
    problems += _ids_across(banks)
    return banks, sorted(problems, key=lambda each: (bank_name(each.path), each.line))


def check_bank(bank: Bank) -> list[Problem]:
    """Return what is wrong with one bank whose form is right."""
    exercises = {exercise.id for exercise in all_exercises()}
    found: list[Problem] = []

    def problem(message: str, question_id: str | None = None) -> None:
        line = bank.lines.get(question_id, 1) if question_id else 1
        prefix = f"{question_id}: " if question_id else ""
        found.append(Problem(bank.path, line, prefix + message))

    covered = {question.objective for question in bank.questions}
    for objective in bank.objectives:
        if objective not in covered:
            problem(f"objective {objective!r} has no question")
    for question in bank.questions:
        if isinstance(question, CodeQuestion) and question.exercise not in exercises:
            close = nearest(question.exercise, exercises)
            problem(f"exercise: no {question.exercise!r}{close}", question.id)
        if isinstance(question, NumericQuestion):
            width = question.tolerance.width(question.answer)
            for mistake in question.mistakes:
                if abs(mistake.value - question.answer) <= width:
                    problem(f"the mistake {mistake.value:g} counts as right", question.id)
        if isinstance(question, TextQuestion):
            for message in _text_clashes(question):
                problem(message, question.id)
        if isinstance(question, ParameterisedQuestion):
            for message in _range_problems(question):
                problem(message, question.id)
    singles = [question for question in bank.questions if isinstance(question, SingleChoice)]
    longest = [question for question in singles if _right_is_longest(question)]
    if len(singles) >= FEWEST_TO_BALANCE and 2 * len(longest) > len(singles):
        problem(
            f"the correct option is the longest in {len(longest)} of {len(singles)} single "
            f"choices ({', '.join(question.id for question in longest)}); at most half"
        )
    places = Counter(min(question.right_letters) for question in singles)
    if len(singles) >= FEWEST_TO_BALANCE:
        letter, times = places.most_common(1)[0]
        if 2 * times > len(singles):
            problem(
                f"position {letter} is right in {times} of {len(singles)} single choices; at most "
                f"half (now {', '.join(f'{a}: {places[a]}' for a in sorted(places))})"
            )
    return found


def _right_is_longest(question: SingleChoice) -> bool:
    lengths = [len(option.text) for option in question.options]
    right = lengths[LETTERS.index(min(question.right_letters))]
    return right == max(lengths) and lengths.count(right) == 1


def _text_clashes(question: TextQuestion) -> Iterator[str]:
    from labs_lib.assessment.grading import normal_form

    right = {normal_form(form, question.case_sensitive) for form in question.accept}
    if "" in right:
        yield "an accepted answer is empty once it is normalised"
    for mistake in question.mistakes:
        for form in mistake.match:
            if normal_form(form, question.case_sensitive) in right:
                yield f"the mistake {form!r} is an accepted answer"


def _range_problems(question: ParameterisedQuestion) -> Iterator[str]:
    used = placeholders(question.prompt)
    for name in question.numbers:
        if name not in used:
            yield f"the prompt does not tell the student {{{name}}}"
    for name in sorted(used - set(question.numbers)):
        yield f"the prompt names {{{name}}}, which is no number of the question"
    formula = Formula(question.formula)
    answers = set()
    seen_apart = [False] * len(question.mistakes)
    for numbers in _combinations(question):
        try:
            answer = formula.value(numbers)
            answers.add(answer)
            width = question.tolerance.width(answer)
            for index, mistake in enumerate(question.mistakes):
                value = Formula(mistake.formula).value(numbers)
                seen_apart[index] |= abs(value - answer) > width
        except ValueError as error:
            yield str(error)
            return
    if len(answers) == 1:
        yield "the answer is the same for all numbers"
    for mistake, apart in zip(question.mistakes, seen_apart, strict=True):
        if not apart:
            yield f"the mistake {mistake.formula!r} always counts as right"


def _combinations(question: ParameterisedQuestion) -> Iterator[dict[str, float]]:
    names = list(question.numbers)
    values = [question.numbers[name].values for name in names]
    if math.prod(len(each) for each in values) <= MOST_COMBINATIONS:
        chosen: Iterable[tuple[float, ...]] = itertools.product(*values)
    else:
        generator = random.Random(0)
        corners = itertools.product(*[(min(each), max(each)) for each in values])
        drawn = (tuple(generator.choice(each) for each in values) for _ in range(MOST_COMBINATIONS))
        chosen = itertools.chain(corners, drawn)
    for combination in chosen:
        yield dict(zip(names, combination, strict=True))


def _ids_across(banks: list[Bank]) -> Iterator[Problem]:
    first: dict[str, Bank] = {}
    lessons: dict[str, Bank] = {}
    for bank in banks:
        if bank.lesson in lessons:
            other = lessons[bank.lesson].name
            yield Problem(bank.path, 1, f"lesson {bank.lesson} already has {other}")
        lessons.setdefault(bank.lesson, bank)
        for question_id, line in bank.lines.items():
            if question_id in first:
                other = first[question_id].name
                yield Problem(bank.path, line, f"{question_id}: this id is used in {other} too")
            first.setdefault(question_id, bank)

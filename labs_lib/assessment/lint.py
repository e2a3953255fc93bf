"""What a bank must keep to beyond its form: coverage, unique ids and prompts, its kinds' rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from labs_lib.assessment.banks import Bank, Problem, bank_files, bank_name, read_bank
from labs_lib.assessment.guessing import GuessingScore, guessing_scores
from labs_lib.assessment.kinds import KINDS
from labs_lib.assessment.short_texts import normal_form
from labs_lib.paths import bank_file


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
    problems += _prompts_across(banks)
    problems += _guessed_across(banks)
    return banks, sorted(problems, key=lambda each: (bank_name(each.path), each.line))


def check_bank(bank: Bank) -> list[Problem]:
    """Return what is wrong with one bank whose form is right."""
    problems: list[Problem] = []

    def report(message: str, question_id: str | None = None) -> None:
        line = bank.lines.get(question_id, 1) if question_id else 1
        prefix = f"{question_id}: " if question_id else ""
        problems.append(Problem(bank.path, line, prefix + message))

    covered = {question.objective for question in bank.questions}
    for objective in bank.objectives:
        if objective not in covered:
            report(f"objective {objective!r} has no question")
    for question in bank.questions:
        for message in question.problems():
            report(message, question.id)
    for kind in KINDS.values():
        of_this_kind = [question for question in bank.questions if isinstance(question, kind)]
        for message in kind.problems_together(of_this_kind):
            report(message)
    return problems


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


def guessed(*banks: Bank) -> tuple[GuessingScore, ...]:
    """Return what each way of guessing reaches over the single choices of banks together."""
    asked = (question.as_guessed for bank in banks for question in bank.questions)
    return guessing_scores(options for options in asked if options is not None)


def _prompts_across(banks: list[Bank]) -> Iterator[Problem]:
    """Yield each question that is asked in the words of an earlier one."""
    first: dict[str, str] = {}
    for bank in banks:
        for question in bank.questions:
            prompt = normal_form(re.sub("[`*]", "", question.prompt))
            earlier = first.setdefault(prompt, question.id)
            if earlier != question.id:
                line = bank.lines.get(question.id, 1)
                yield Problem(bank.path, line, f"{question.id}: {earlier} has the same prompt")


def _guessed_across(banks: list[Bank]) -> Iterator[Problem]:
    """Yield the ways of guessing that no bank alone gives away, but all of them do."""
    if len(banks) > 1:
        for score in guessed(*banks):
            if score.gives_away:
                yield Problem(banks[0].path, 1, f"in all {len(banks)} banks, {score}")

"""A class report against drawn students and the rows that it counts."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from classroom_making import a_class, put
from drawn_class import make_class
from test_quiz_export import labs

from labs_lib.classroom.collecting import collect
from labs_lib.classroom.grading import grade_class
from labs_lib.classroom.records import GRADED_FILE, Graded
from labs_lib.classroom.report import class_report, report_page
from labs_lib.classroom.senders import Member


@pytest.fixture(scope="module")
def made():
    return make_class(60, 12, seed=1, missing=2)


@pytest.fixture(scope="module")
def report(made):
    return class_report(made.graded)


def test_items_are_counted_by_first_answers(made, report):
    for item in report.items:
        rows = [row for row in made.graded.answers if row.item == item.id]
        firsts = [row.tries[0] for row in rows]
        assert item.answered == 60
        assert item.right_at_first == sum(each.outcome == "correct" for each in firsts)
        assert item.right_at_last == sum(row.outcome == "correct" for row in rows)
        assert item.right_at_last > item.right_at_first
        assert item.difficulty == item.right_at_first / 60
        assert item.difficulty_interval.low < item.difficulty < item.difficulty_interval.high
        counts = Counter(each.given for each in firsts)
        assert {o.letter: o.chosen for o in item.options if o.chosen} == (
            {letter: count for letter, count in counts.items() if item.kind == "single"}
        )
        assert [o.letter for o in item.options if o.right] == (["b"] if item.options else [])
        wrong = {(w.given, w.students) for w in item.wrong_answers}
        assert wrong <= set(counts.items())
        assert ("8", counts["8"]) not in wrong


def test_a_right_option_draws_the_strong_and_the_wrong_ones_the_weak(report):
    for item in report.items:
        marks = {option.letter: option.point_biserial for option in item.options}
        if marks:
            assert marks["b"].value == pytest.approx(item.discrimination.value)
            assert marks["b"].value > marks["c"].value


def test_misconceptions_are_counted_by_students(made, report):
    for each in report.misconceptions:
        had = {row.student for row in made.graded.answers
               if any(t.misconception == each.name for t in row.tries)}  # fmt: skip
        last = {row.student for row in made.graded.answers
                if row.tries[-1].misconception == each.name}  # fmt: skip
        assert (each.students, each.still) == (len(had), len(last))
        assert each.feedback == "You divide the wrong way."
    counts = [each.students for each in report.misconceptions]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) > 60


def test_a_misconception_that_was_given_up_is_not_still_there(made):
    row = made.graded.answers[0]
    wrong = row.tries[0].model_copy(update={"outcome": "incorrect", "misconception": "early"})
    tries = (wrong, wrong.model_copy(update={"misconception": "late"}))
    rows = (row.model_copy(update={"tries": tries}), *made.graded.answers[1:])
    found = class_report(made.graded.model_copy(update={"answers": rows})).misconceptions
    counts = {each.name: (each.students, each.still) for each in found}
    assert (counts["early"], counts["late"]) == ((1, 0), (1, 1))


def test_confidence_climbs_as_it_was_drawn_and_days_add_up(made, report):
    assert [step.name for step in report.confidence] == ["guess", "unsure", "fairly sure", "sure"]
    shares = [step.share for step in report.confidence]
    assert shares == sorted(shares)
    assert sum(step.answered for step in report.confidence) == 60 * 12
    tries = [each for row in made.graded.answers for each in row.tries]
    assert sum(day.answers for day in report.days) == len(tries)
    assert [day.day for day in report.days] == sorted({each.time[:10] for each in tries})
    so_far = [day.median_right_so_far for day in report.days]
    assert so_far == sorted(so_far)
    points = sorted(student.points for student in made.graded.students if student.handed_in)
    assert so_far[-1] == (points[29] + points[30]) / 2


def changed(graded: Graded, student: str, **fields) -> Graded:
    """Return a grading in which a student's rows have other fields."""
    rows = [row.model_copy(update=fields) if row.student == student else row
            for row in graded.answers]  # fmt: skip
    points = fields.get("points", 0.5) * len(graded.release.items)
    students = [s.model_copy(update={"points": points}) if s.student == student else s
                for s in graded.students]  # fmt: skip
    return graded.model_copy(update={"answers": tuple(rows), "students": tuple(students)})


def reasons(graded: Graded, student: str) -> str:
    return " ".join(
        reason for need in class_report(graded).needs if need.student == student
        for reason in need.reasons
    )  # fmt: skip


def test_who_needs_help_is_told_with_the_reason(made):
    graded = made.graded
    assert reasons(graded, "t001") == "Nothing was handed in."
    strongest = max(graded.students, key=lambda each: each.points).student
    assert reasons(graded, strongest) == ""
    row = next(r for r in graded.answers if r.outcome == "correct" and r.misconception == "")
    right = row.tries[-1]
    wrong = right.model_copy(update={"outcome": "incorrect", "given": "a", "misconception": "x"})
    blank = changed(graded, strongest, tries=(), outcome="not attempted", points=0.0)
    assert "12 of 12 items have no answer." in reasons(blank, strongest)
    assert "0 % of the points, in the lowest quarter" in reasons(blank, strongest)
    stuck = changed(graded, strongest, tries=(wrong,) * 3, outcome="incorrect", points=0.0)
    assert "Tried 3 times or more, and not right yet: 01.item-00," in reasons(stuck, strongest)
    sure = wrong.model_copy(update={"confidence": "sure"})
    certain = changed(graded, strongest, tries=(sure, right), points=1.0)
    assert reasons(certain, strongest) == "Sure of 12 first answers, of which 0 were right."
    named = tuple(
        r.model_copy(update={"tries": (wrong.model_copy(update={"misconception": r.item}),)})
        for r in graded.answers if r.student == strongest
    )  # fmt: skip
    others = tuple(r for r in graded.answers if r.student != strongest)
    mistaken = graded.model_copy(update={"answers": (*others, *named)})
    assert "12 misconceptions in the last answers" in reasons(mistaken, strongest)


def test_an_item_with_the_wrong_key_is_found(made):
    """In a fifth of the items' place, the strong are wrong: its outcomes are turned round."""
    item = made.graded.release.items[1]
    turned = {"correct": "incorrect", "incorrect": "correct"}
    rows = tuple(
        row.model_copy(update={"tries": tuple(
            t.model_copy(update={"outcome": turned[t.outcome]}) for t in row.tries[:1])})
        if row.item == item.id else row
        for row in made.graded.answers
    )  # fmt: skip
    graded = made.graded.model_copy(
        update={
            "answers": rows,
            "release": made.graded.release.model_copy(
                update={
                    "items": tuple(
                        i.model_copy(update={"right": "c"}) if i.id == item.id else i
                        for i in made.graded.release.items
                    )
                }
            ),
        }
    )
    found = next(each for each in class_report(graded).items if each.id == item.id)
    assert "Strong students have it wrong more often than weak ones: check its key." in (
        found.remarks
    )
    assert "Option b is wrong, and strong students choose it." in found.remarks


# The page


class Page(HTMLParser):
    """What a browser would ask for, and how the page is built."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.asked: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.unnamed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags[tag] += 1
        self.asked += [str(found[key]) for key in ("src", "data", "action") if key in found]
        self.asked += [str(found["href"])] if tag == "link" else []
        self.links += [str(found["href"])] if tag == "a" else []
        self.ids += [str(found["id"])] if "id" in found else []
        if tag == "svg" and not (found.get("role") == "img" and found.get("aria-label")):
            self.unnamed.append(tag)
        if tag == "th" and "scope" not in found:
            self.unnamed.append(tag)


def test_the_page_loads_nothing_and_has_names_for_all(report):
    text = report_page(report)
    assert text == report_page(report)
    page = Page(text)
    assert page.asked == []
    assert "url(" not in text
    assert not page.tags["script"]
    assert page.unnamed == []
    assert page.tags["svg"] == 4
    assert page.tags["caption"] == page.tags["table"] > 10
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert re.search(r"@media print", text)
    assert re.search(r"prefers-color-scheme: dark", text)
    for item in report.items:
        assert f"<h3>{item.id}</h3>" in text
    for need in report.needs:
        assert need.name in text


def test_hostile_texts_are_shown_as_they_stand(made):
    bad = '<script>alert(1)</script><img src=x onerror="x()">'
    item = made.graded.release.items[0]
    worse = item.model_copy(update={"prompt": bad, "options": dict.fromkeys("abcd", bad),
                                    "misconceptions": {"wrong-00-c": bad}})  # fmt: skip
    release = made.graded.release.model_copy(
        update={"items": (worse, *made.graded.release.items[1:]), "due": bad}
    )
    students = tuple(s.model_copy(update={"name": bad}) for s in made.graded.students)
    rows = tuple(
        row.model_copy(update={"tries": tuple(t.model_copy(update={"given": bad})
                                              for t in row.tries)})
        if row.kind == "numeric" else row for row in made.graded.answers
    )  # fmt: skip
    graded = made.graded.model_copy(
        update={"release": release, "students": students, "answers": rows, "walls": bad}
    )
    page = Page(report_page(class_report(graded)))
    assert not page.tags["script"]
    assert not page.tags["img"]


def test_without_names_nobody_is_told(made):
    named, hidden = (class_report(made.graded, names=names) for names in (True, False))
    text = report_page(hidden) + json.dumps(hidden.as_json())
    for student in made.graded.students:
        assert student.student not in text
        assert student.name not in text
    assert "Names are left out." in text
    assert hidden.overview == named.overview
    # The numbers are not in the order of the class.
    points = {f"{each.share}" for each in hidden.needs}
    assert points == {f"{each.share}" for each in named.needs}
    assert [item.difficulty for item in hidden.items] == [item.difficulty for item in named.items]
    assert not any(item.wrong_answers for item in hidden.items)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_a_class_of_a_few_or_of_nobody_has_a_page(count):
    graded = make_class(count, 3, missing=1).graded
    report = class_report(graded)
    json.dumps(report.as_json(), allow_nan=False)
    assert "of 0 students" not in report_page(report)
    nothing = graded.model_copy(update={"answers": ()})
    assert report_page(class_report(nothing))


# The verb


def test_the_verb_writes_page_and_json(made, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made.graded.write(tmp_path / "graded" / GRADED_FILE)
    code, out, _ = labs(capsys, "class", "report", "graded")
    assert code == 0
    assert "report.html, report.json: 60 hand-ins" in out
    content = json.loads((tmp_path / "report.json").read_text())
    assert len(content["items"]) == 12
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    code, out, _ = labs(capsys, "class", "report", "graded/graded.json", "--no-names", "--json",
                        "--out", "b.html")  # fmt: skip
    assert json.loads(out)["named"] is False
    assert "Name 1" not in (tmp_path / "b.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing"),
        (["graded", "--out", "a.pdf"], "--out: a.pdf does not end in .html"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, _, err = labs(capsys, "class", "report", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


# What grading itself leaves


def test_a_real_grading_is_reported(tmp_path):
    """Six hand-ins of released lessons, graded: two right in all, the others wrong in some."""
    (tmp_path / "class").mkdir()
    with a_class(tmp_path / "class") as (course, kept):
        for place in range(6):
            student = f"s{place}"
            work = {**course.perfect(student, 50 + place), "cells": []}
            wrong = {"response": "z1"} if place == 2 else {"response": "a"}
            work["responses"] = [
                {**each, **wrong} if place > 1 and number % 3 == 0 else each
                for number, each in enumerate(work["responses"])
            ]
            put(tmp_path / "inbox", f"hand-in-{student}.zip", work)
        members = [Member(f"s{place}", f"Name {place}") for place in range(7)]
        collect([tmp_path / "inbox"], course.release, tmp_path / "in", members)
        graded = grade_class(tmp_path / "in", course.release, kept, tmp_path / "out", None)
    report = class_report(graded)
    assert (report.overview.students, report.overview.handed_in) == (7, 6)
    assert report.needs[0].student == "s6"
    questions = [item for item in report.items if item.kind != "exercise"]
    # What cannot be read is no answer: "z1" to all, and "a" where a number is asked for.
    changed = {item.answered for item in report.items if item.kind == "single"}
    assert changed == {5, 6}
    assert {item.answered for item in questions} <= {2, 5, 6}
    assert {item.right_at_first for item in questions} >= {2, 6}
    assert not any(item.answered for item in report.items if item.kind == "exercise")
    letters = {o.letter for item in report.items for o in item.options if o.right}
    assert letters >= {"a", "b"}
    assert "Name 6" in report_page(report)
    assert "Name 6" not in report_page(class_report(graded, names=False))

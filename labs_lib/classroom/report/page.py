"""The report as one HTML page: it loads nothing, prints, and is read by screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from labs_lib.assessment.show import markdown_html
from labs_lib.classroom.report import pictures
from labs_lib.classroom.report.classical import Estimate
from labs_lib.classroom.report.figures import ClassReport
from labs_lib.classroom.report.item_sections import curves, items, options
from labs_lib.classroom.report.style import STYLE
from labs_lib.classroom.report.tags import figure, percent, section, table, with_interval

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_READINGS = ((0.9, "very high"), (0.8, "good"), (0.7, "fair"), (0.0, "low"))


def report_page(report: ClassReport) -> str:
    """Return the page; the same report gives the same bytes."""
    sections = [
        ("class", "The class", _overview(report)),
        ("help", "Who needs help", _needs(report)),
        ("misconceptions", "Misconceptions", _misconceptions(report)),
        ("items", "Items", items(report)),
        ("options", "Wrong answers, item by item", options(report)),
        ("confidence", "Confidence and correctness", _confidence(report)),
        ("time", "Progress over time", _days(report)),
        ("irt", "Item response theory", curves(report)),
        ("how", "How the figures are computed", _HOW),
    ]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
    body = "".join(section(key, title, inside) for key, title, inside in sections)
    title = f"Class report, lessons {', '.join(report.lessons)}"
    due = f", due {escape(report.due)}" if report.due else ""
    names = "" if report.named else " Names are left out."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        '<a class="skip" href="#main">To the report</a>'
        f'<nav aria-label="Parts of the report"><ul>{links}</ul></nav>'
        f'<main id="main"><h1>{escape(title)}</h1>'
        f'<p class="faint">Release {escape(report.release)}{due}. Students\' code ran behind: '
        f"{escape(report.walls)}.{names}</p>{body}</main></body></html>\n"
    )


def _overview(report: ClassReport) -> str:
    seen = report.overview
    said = [
        f"{seen.handed_in} of {seen.students} students handed in, {seen.late} of them late; "
        f"{seen.items} items."
    ]
    if seen.median_share is not None:
        said.append(f"Half of them have {percent(seen.median_share)} of the points or more.")
    said.append(_alpha_in_words(seen.alpha))
    look = sum(bool(item.remarks) for item in report.items)
    said.append(f"{len(report.needs)} students need help, {look} items are worth a look.")
    told = "".join(f"<p>{each}</p>" for each in said)
    if not seen.shares:
        return told
    middle = percent(seen.median_share)
    label = f"Points of {len(seen.shares)} students, in tenths; the median is {middle}"
    drawn = pictures.histogram(seen.shares, label, "share of all points", "students")
    return told + figure(drawn, "Students by their share of the points.")


def _alpha_in_words(alpha: Estimate | None) -> str:
    if alpha is None:
        return "Cronbach's alpha is not defined for so few students or items."
    reading = next((word for least, word in _READINGS if alpha.value >= least), "none")
    return (
        f"Cronbach's alpha of the first answers is {with_interval(alpha)}: {reading} agreement of "
        "the items with each other."
    )


def _needs(report: ClassReport) -> str:
    if not report.needs:
        return "<p>There is no reason to think so of anybody.</p>"
    rows = [
        [
            escape(f"{need.name} ({need.student})" if need.name else need.student),
            "" if need.share is None else percent(need.share),
            _listed(need.reasons),
        ]
        for need in report.needs
    ]
    return table("Most reasons first.", ("student", "points", "why"), rows, numbers={1}, words={2})


def _listed(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _misconceptions(report: ClassReport) -> str:
    if not report.misconceptions:
        return "<p>None was recognized.</p>"
    rows = [
        [
            escape(each.name),
            str(each.students),
            str(each.still),
            escape(", ".join(each.items)),
            markdown_html(each.feedback),
        ]
        for each in report.misconceptions
    ]
    heads = ("misconception", "students", "still", "items", "what they are told")
    caption = "By the number of students who showed it in any answer; “still”: in their last one."
    return table(caption, heads, rows, numbers={1, 2}, words={4})


def _confidence(report: ClassReport) -> str:
    if not report.confidence:
        return "<p>No answer says how sure its author was.</p>"
    bars = [
        (each.name, each.share, each.interval.low, each.interval.high) for each in report.confidence
    ]
    label = "; ".join(
        f"{each.name}: {each.right} of {each.answered} right" for each in report.confidence
    )
    rows = [
        [escape(each.name), str(each.answered), str(each.right),
         f"{percent(each.share)} ({percent(each.interval.low)} to {percent(each.interval.high)})"]
        for each in report.confidence
    ]  # fmt: skip
    heads = ("said", "first answers", "right", "share (95 %)")
    return figure(
        pictures.intervals(bars, label, "right"), "Share of right first answers by confidence."
    ) + table("A class that knows what it knows climbs from left to right.", heads, rows,
              numbers={1, 2, 3})  # fmt: skip


def _days(report: ClassReport) -> str:
    if not report.days:
        return "<p>No answer has a time.</p>"
    values = [day.median_right_so_far for day in report.days]
    names = [day.day for day in report.days]
    ends = f"{values[0]:g} on {names[0]}, {values[-1]:g} on {names[-1]}"
    label = f"Median of right items a student: {ends}"
    drawn = pictures.line(
        values, names, max(report.overview.items, 1), label, "right items, median"
    )
    rows = [
        [day.day, str(day.students), str(day.answers), str(day.right),
         f"{day.median_right_so_far:g}"]
        for day in report.days
    ]  # fmt: skip
    heads = ("day", "students", "answers", "right", "right items so far (median)")
    return figure(
        drawn, "Items that half of the class has right at the end of each day of work."
    ) + table("Days by the students' own clocks.", heads, rows, numbers={1, 2, 3, 4})


_HOW = """
<ul>
<li><b>First answers.</b> An item is judged by the first answer of each student that was right or
wrong; later ones come after the feedback.</li>
<li><b>Difficulty</b> is the share of right answers among those given, with Wilson's 95 %
interval: a high one is an easy item.</li>
<li><b>Discrimination</b> is the correlation of an item (right 1, else 0) with the sum of all
others, over those who handed in, with Fisher's 95 % interval; for an option, of having chosen
it.</li>
<li><b>Cronbach's alpha</b> has Feldt's 95 % interval.</li>
<li><b>Times and confidence</b> are the students' word; everything else was judged anew.</li>
<li>With few students the intervals are wide. A remark on an item appears from 10 answers on.</li>
</ul>
"""

"""The page's parts on items: the map and table of all, each one's wrong answers, its curve."""

from __future__ import annotations

from html import escape

from labs_lib.assessment.show import markdown_html
from labs_lib.classroom.report import pictures
from labs_lib.classroom.report.figures import ClassReport
from labs_lib.classroom.report.items import ItemFigures
from labs_lib.classroom.report.tags import bar, figure, percent, table, with_interval


def items(report: ClassReport) -> str:
    """Return the map of difficulty and discrimination, and a row for each item."""
    points = [
        (each.difficulty, each.discrimination.value, each.id, bool(each.remarks))
        for each in report.items
        if each.difficulty is not None and each.discrimination is not None
    ]
    drawn = ""
    if points:
        marked = [name for *_, name, is_marked in points if is_marked]
        label = f"{len(points)} items by difficulty and discrimination; {len(marked)} worth a look"
        if marked:
            label += f": {', '.join(marked)}"
        picture = pictures.scatter(points, label, "right at first", "discrimination", (-1.0, 1.0))
        drawn = figure(picture, "Orange items have a remark in the table; upper ones tell most.")
    rows = [
        [
            escape(each.id) + (" (private)" if each.private else ""),
            str(each.answered),
            "–" if each.difficulty is None else percent(each.difficulty) + bar(each.difficulty),
            percent(each.right_at_last / report.overview.handed_in)
            if report.overview.handed_in
            else "–",
            with_interval(each.discrimination),
            "".join(f'<p class="remark">{escape(remark)}</p>' for remark in each.remarks),
        ]
        for each in report.items
    ]
    heads = ("item", "answers", "right at first", "right in the end", "discrimination (95 %)",
             "remarks")  # fmt: skip
    caption = "“Right in the end” is of all who handed in."
    return drawn + table(caption, heads, rows, numbers={1, 2, 3, 4}, words={5})


def options(report: ClassReport) -> str:
    """Return, for each item that was answered, its text and what its wrong answers drew."""
    parts = [_one(each) for each in report.items if each.answered]
    return "".join(parts) or "<p>Nobody answered anything.</p>"


def _one(item: ItemFigures) -> str:
    head = f"<h3>{escape(item.id)}</h3>"
    prompt = f'<div class="prompt">{markdown_html(item.prompt)}</div>'
    if item.options:
        rows = [
            [
                f"{escape(each.letter)}{' (right)' if each.right else ''}",
                markdown_html(each.text),
                str(each.chosen),
                percent(each.share) + bar(each.share),
                with_interval(each.point_biserial),
            ]
            for each in item.options
        ]
        heads = ("option", "text", "students", "share", "point-biserial (95 %)")
        inside = table(f"Options of {item.id}.", heads, rows, numbers={2, 3, 4}, words={1})
    elif item.wrong_answers:
        rows = [
            [f"<code>{escape(each.given)}</code>", str(each.students), escape(each.misconception)]
            for each in item.wrong_answers
        ]
        heads = ("wrong answer", "students", "misconception")
        inside = table(f"Wrong answers to {item.id}.", heads, rows, numbers={1})
    else:
        inside = '<p class="faint">No two students gave the same wrong answer.</p>'
    return f'<div class="options">{head}{prompt}{inside}</div>'


def curves(report: ClassReport) -> str:
    """Return each item's place and slope on the scale of ability, or why there are none."""
    fitted = report.item_response
    if fitted.note:
        return f"<p>{escape(fitted.note)}</p>"
    rows = [
        [
            escape(item.id),
            *(
                ("–", "–")
                if curve is None
                else (
                    f"{curve.difficulty:.2f} ± {1.96 * curve.difficulty_error:.2f}",
                    f"{curve.slope:.2f} ± {1.96 * curve.slope_error:.2f}",
                )
            ),
        ]
        for item, curve in zip(report.items, fitted.curves, strict=True)
    ]
    said = (
        "<p>Two-parameter logistic model by marginal maximum likelihood (mirt), on the first "
        "answers. Abilities have mean 0 and deviation 1; half of the students whose ability equals "
        "an item's difficulty have it right.</p>"
    )
    return said + table("With 95 % intervals.", ("item", "difficulty", "slope"), rows,
                        numbers={1, 2})  # fmt: skip

"""What became of mutated hand-ins, as `benchmarks/hand_ins.py` recorded it."""

from __future__ import annotations

from tools.tables.markdown import paragraph, table
from tools.tables.recorded import provenance, record


def hand_ins() -> str:
    """Return by family, and by what caught them, the mutations, their number and wrong grades."""
    values = record("hand-ins")
    grouped: dict[tuple[str, str], list[dict[str, int | str]]] = {}
    for row in values["table"]:
        grouped.setdefault((row["family"], row["caught_by"]), []).append(row)
    rows = [
        (
            family,
            caught_by,
            ", ".join(str(row["mutation"]) for row in own),
            f"{sum(int(row['hand_ins']) for row in own):,}",
            f"{sum(int(row['graded_wrong']) for row in own)}",
        )
        for (family, caught_by), own in grouped.items()
    ]
    command = "`python benchmarks/hand_ins.py --json benchmarks/results/hand-ins.json`"
    found = (
        f"{values['hand_ins']:,} hand-ins, {values['wrong_grades']} graded wrong, "
        f"{values['escapes']} escapes"
    )
    header = ("family", "caught by", "mutations", "hand-ins", "graded wrong")
    text = paragraph(f"{command}: {provenance(values)}, walls: {values['walls']}. {found}.")
    return "\n\n".join([text, table(header, rows)])

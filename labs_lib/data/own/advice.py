"""What to do about a data set's faults: each check returns advice with its figure and its rows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set, Sized
from statistics import median
from typing import NamedTuple

from labs_lib.data.own.findings import Findings, asked, plain
from labs_lib.data.own.near import Groups
from labs_lib.data.own.personal import masked, personal_data
from labs_lib.errors import shorten

SEVERITIES = ("error", "warning", "note")

HELD_OUT = ("validation", "test")
MANY_COPIES = 0.5  # of the rows: what is trained on is another set than the file's size says
LOPSIDED, ONE_SIDED = 0.8, 0.95  # shares of the most frequent label
RARE_LABEL = 10
LONG_ANSWERS = 20  # times the prompt's characters
FEW_ROWS = 100
MANY_CUT = 0.05
SHORTEST_LIMIT = 100  # characters; answers of one length below it are nothing strange


class Advice(NamedTuple):
    """One thing to do: how much it matters, what it is about, the figure, and the rows.

    `severity` is "error" (training or scores would be wrong), "warning" (look before training) or
    "note"; `rows` are positions in the data's rows, counted from 0 as Python does.
    """

    severity: str
    kind: str
    sentence: str
    rows: tuple[int, ...] = ()


def advise(findings: Findings) -> tuple[Advice, ...]:
    """Return the advice of every check, errors first."""
    found = [advice for check in CHECKS for advice in check(findings)]
    return tuple(sorted(found, key=lambda advice: SEVERITIES.index(advice.severity)))


def _empty(found: Findings) -> Iterator[Advice]:
    if found.empty:
        yield Advice(
            "error",
            "empty rows",
            f"No prompt or no answer: {_rows(found.empty)}. An empty answer teaches the model to "
            "say nothing: fill them in, or leave them out (split_by_entity does).",
            found.empty,
        )


def _duplicates(found: Findings) -> Iterator[Advice]:
    copies = tuple(at for group in found.duplicates for at in group[1:])
    if not copies:
        return
    share = len(copies) / len(found.rows)
    yield Advice(
        "error" if share >= MANY_COPIES else "warning",
        "duplicates",
        f"Exact copies of an earlier row: {_rows(copies)} of {len(found.rows):,} "
        f"({_percent(share)}); {len(found.distinct):,} different rows are left. A copy counts "
        "again in training, and in the test split its answer is known: keep one of each "
        "(split_by_entity does).",
        copies,
    )


def _near_duplicates(found: Findings) -> Iterator[Advice]:
    rows = tuple(at for group in found.near_duplicates for at in group)
    if rows:
        yield Advice(
            "warning",
            "near-duplicates",
            "Prompts that are nearly the same, but for case, a slip or a few words: "
            f"{_rows(rows)} in {_number(len(found.near_duplicates), 'group')}. Read some, and "
            "delete what was copied by mistake. The rows of a group that you keep belong in one "
            "split (split_by_entity sees to it).",
            rows,
        )


def _contradictions(found: Findings) -> Iterator[Advice]:
    rows = tuple(at for group in found.contradictions for at in group)
    if rows:
        yield Advice(
            "warning",
            "different answers",
            "More than one answer to the same prompt: "
            f"{_number(len(found.contradictions), 'prompt')}, {_rows(rows)}. The model can learn "
            "only a mixture of them, and no exact match can be right for all: decide for one "
            "answer, or add to the prompt what tells the cases apart.",
            rows,
        )


def _leaks(found: Findings) -> Iterator[Advice]:
    known: dict[object, int] = {}
    prompts = Groups(len(found.rows))
    for at, row in enumerate(found.rows):
        prompts.join(known.setdefault(asked(row), at), at)
    same = _shared(found, [{prompts.of(at)} for at in range(len(found.rows))])
    for group in found.near_duplicates:
        for at in group[1:]:
            prompts.join(group[0], at)
    near = _shared(found, [{prompts.of(at)} for at in range(len(found.rows))])
    near = tuple(sorted({*near} - {*same}))
    about = _shared(found, found.entities) if found.entities else ()
    for rows, what in (
        (same, "the prompt of a training row"),
        (near, "a near-duplicate of a training row's prompt"),
        (about, "an entity that training rows are about"),
    ):
        if rows:
            yield Advice(
                "error",
                "leak",
                f"Validation or test rows with {what}: {_rows(rows)}. A model that remembers the "
                "training row scores well without having learned the task: split again, with "
                "split_by_entity.",
                rows,
            )


def _shared(found: Findings, values: Sequence[Set[object]]) -> tuple[int, ...]:
    """Return the held-out rows that share a value with a training row."""
    pairs = list(zip(found.splits, values, strict=True))
    trained = {value for split, each in pairs if split == "train" for value in each}
    return tuple(
        at for at, (split, each) in enumerate(pairs) if split in HELD_OUT and each & trained
    )


def _labels(found: Findings) -> Iterator[Advice]:
    total = sum(found.labels.values())
    if not total:
        return
    where: dict[str, list[int]] = defaultdict(list)
    for at in found.distinct:
        where[plain(found.rows[at].completion)].append(at)
    most, count = found.labels.most_common(1)[0]
    share = count / total
    if share >= LOPSIDED:
        others = tuple(at for label, rows in where.items() if label != most for at in rows)
        yield Advice(
            "error" if share >= ONE_SIDED else "warning",
            "label balance",
            f"The answer of {_percent(share)} of {total:,} different rows is {shorten(most)}. A "
            f"program that always says so has an accuracy of {_percent(share)}: compare with that, "
            "and report the recall of each label. Collect rows of the other labels, or train on "
            "fewer of this one.",
            others,
        )
    rare = {label: rows for label, rows in where.items() if len(rows) < RARE_LABEL}
    if rare:
        counts = ", ".join(f"{shorten(label)} {len(rows)}" for label, rows in rare.items())
        yield Advice(
            "warning",
            "rare labels",
            f"Labels with fewer than {RARE_LABEL} different rows: {counts}. A fifth of so few "
            "cannot test a label: collect more, or join it with another.",
            tuple(sorted(at for rows in rare.values() for at in rows)),
        )


def _long_answers(found: Findings) -> Iterator[Advice]:
    pairs = [(sum(map(len, asked(found.rows[at]))), at) for at in found.distinct]
    if not pairs:
        return
    prompt = median(length for length, _ in pairs)
    answer = median(len(found.rows[at].completion) for at in found.distinct)
    if answer >= LONG_ANSWERS * max(prompt, 1):
        rows = tuple(
            at
            for length, at in pairs
            if len(found.rows[at].completion) >= LONG_ANSWERS * max(length, 1)
        )
        yield Advice(
            "warning",
            "long answers",
            f"Answers are {answer / max(prompt, 1):,.0f} times as long as prompts (median "
            f"{answer:,.0f} characters after {prompt:,.0f}). So short a prompt cannot determine "
            "what the answer says, and the model learns to invent it. Put the material into the "
            "prompt, or ask for one part at a time. An exact match cannot score such answers, and "
            "each takes long to generate.",
            rows,
        )


def _beyond_length(found: Findings) -> Iterator[Advice]:
    if found.tokens is None or found.max_length is None:
        return
    limit = found.max_length
    rows = tuple(at for at, whole in enumerate(found.tokens.whole) if whole > limit)
    if not rows:
        return
    lost = [at for at in rows if found.tokens.prompt[at] >= limit]
    share, longest = len(rows) / len(found.rows), max(found.tokens.whole)
    gone = (
        f" Of them {_rows(lost)} without a token of the answer: training drops these."
        if lost
        else ""
    )
    yield Advice(
        "error" if lost or share > MANY_CUT else "warning",
        "cut rows",
        f"Longer than max_length {limit:,}: {_rows(rows)} ({_percent(share)}).{gone} A cut answer "
        "has no end token, so the model does not learn to stop. The longest row takes "
        f"{longest:,} tokens; {_covering(found.tokens.whole):,} are enough for 95 % of the rows. "
        "Raise max_length, at the price of memory, or shorten the rows.",
        rows,
    )


def _covering(lengths: list[int]) -> int:
    return sorted(lengths)[-(-95 * len(lengths) // 100) - 1]


def _cut_in_the_file(found: Findings) -> Iterator[Advice]:
    longest = max((len(found.rows[at].completion) for at in found.distinct), default=0)
    rows = tuple(at for at in found.distinct if len(found.rows[at].completion) == longest)
    texts = {found.rows[at].completion for at in rows}
    open_ends = [text for text in texts if not _ENDED.search(text)]
    if longest >= SHORTEST_LIMIT and len(open_ends) >= 3:
        yield Advice(
            "warning",
            "cut answers",
            f"Answers of exactly {longest:,} characters, and none longer: {_rows(rows)}. The "
            "program that wrote the file may have cut them: read how they end.",
            rows,
        )


# Punctuation that ends a sentence or closes a record, in any script.
_ENDED = re.compile(r"[.!?…:;\])}>\"'”’»`。！？।؟]\s*$")


def _personal(found: Findings) -> Iterator[Advice]:
    places: dict[str, list[int]] = defaultdict(list)
    samples: dict[str, str] = {}
    for at, row in enumerate(found.rows):
        texts = (row.system, *sum(row.earlier, ()), row.prompt, row.completion)
        for kind, matches in personal_data("\n".join(texts)).items():
            places[kind].append(at)
            samples.setdefault(kind, masked(matches[0]))
    for kind, rows in places.items():
        yield Advice(
            "warning",
            "personal data",
            f"What looks like {_article(kind)} ({samples[kind]}): {_rows(rows)}. A fine-tuned "
            "model can repeat it: put a stand-in in its place, unless you may use it and must. A "
            "pattern finds some personal data and no names; that it finds none proves nothing.",
            tuple(rows),
        )


def _few(found: Findings) -> Iterator[Advice]:
    count = len(found.distinct)
    if 0 < count < FEW_ROWS:
        tested = max(1, round(count / 5))
        yield Advice(
            "note",
            "few rows",
            f"Different rows: {count}. With a fifth of them as test rows, one answer more or less "
            f"moves the score by {100 / tested:.0f} points: small differences will mean nothing. "
            "Compare with a prompt that shows examples before you train.",
        )


CHECKS: tuple[Callable[[Findings], Iterator[Advice]], ...] = (
    _empty,
    _leaks,
    _duplicates,
    _labels,
    _beyond_length,
    _contradictions,
    _near_duplicates,
    _long_answers,
    _cut_in_the_file,
    _personal,
    _few,
)


def _rows(rows: Sized) -> str:
    return _number(len(rows), "row")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _article(kind: str) -> str:
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"

"""Metrics, baselines, errors by kind and comparisons, on rows whose scores are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from labs_lib import data, models
from labs_lib.data import DataSet, Row
from labs_lib.errors import LabError
from labs_lib.judging import (
    METRICS,
    Scores,
    baseline,
    compare_scores,
    errors_by_kind,
    few_shot_messages,
    nearest_answer,
    score_answers,
    scorer_of,
    scores_table,
    suggested_metric,
)


def set_of(*pairs: tuple[str, str], test: int = 2, name: str = "own") -> DataSet:
    """Return a set of one's own; the last `test` pairs are its test rows."""
    rows = tuple(Row(prompt, answer) for prompt, answer in pairs)
    return DataSet(name, rows[:-test], (), rows[-test:], metrics=("exact_match",))


LABELED = set_of(*((f"Message {i}", ("spam", "not spam")[i % 2]) for i in range(12)))
TEXTS = set_of(*((f"Tell me of day {i}", f"On day {i} it rained on the hills.") for i in range(9)))
RECORDS = set_of(*((f"Order {i}", f'{{"item": "tea", "count": {i}}}') for i in range(9)))
CAPITALS = set_of(*((f"Capital of {i}?", f"City {i}") for i in range(9)))


@pytest.mark.parametrize(
    ("data_set", "metric"),
    [(LABELED, "label"), (TEXTS, "normalized"), (RECORDS, "json_fields"), (CAPITALS, "normalized")],
)
def test_a_set_of_your_own_gets_a_metric_by_the_form_of_its_answers(data_set, metric):
    assert suggested_metric(data_set) == metric


def test_long_answers_get_chrf_and_a_set_of_the_course_its_own_metric():
    long = set_of(*((f"{i}?", f"{i}. " + "The hills were green that day. " * 3) for i in range(9)))
    assert suggested_metric(long) == "chrf"
    assert suggested_metric(data.load_set("structured-output")) == "exactly_right"
    one_answer = set_of(*((f"{i}?", "yes") for i in range(9)))
    assert suggested_metric(one_answer) == "normalized"  # one label decides nothing


SCORED = [
    ("exact", TEXTS, "a  b", "a b", 1),
    ("exact", TEXTS, "A b", "a b", 0),
    ("normalized", TEXTS, "“A b.”", "a b", 1),
    ("normalized", TEXTS, "Ein Jahr", "ein jähr", 0),  # an umlaut makes another word
    ("normalized", TEXTS, "STRASSE", "Straße", 1),
    ("label", LABELED, "not spam", "not spam", 1),
    ("label", LABELED, "not spam", "spam", 0),
    ("label", LABELED, "It is spam.", "spam", 1),
    ("label", LABELED, "spam or not spam", "spam", 0),
    ("label", LABELED, "ham", "spam", 0),
    ("label", LABELED, "", "spam", 0),
    ("json_fields", RECORDS, '{"a": 1, "b": "x"}', '{"b": "x", "a": 1}', 1),
    ("json_fields", RECORDS, '{"a": 1, "b": "y"}', '{"b": "x", "a": 1}', 0.5),
    ("json_fields", RECORDS, '{"a": 1}', '{"b": "x", "a": 1}', 2 / 3),
    ("json_fields", RECORDS, '{"a": 1.0}', '{"a": 1}', 0),
    ("json_fields", RECORDS, '{"a": true}', '{"a": 1}', 0),
    ("json_fields", RECORDS, '{"a": [1, {"b": 2}]}', '{"a": [1, {"b": 2}]}', 1),
    ("json_fields", RECORDS, 'Here: {"a": 1}', '{"a": 1}', 0),
    ("json_fields", RECORDS, '{"a": 1', '{"a": 1}', 0),
    ("chrf", TEXTS, "a b c", "a b c", 1),
    ("chrf", TEXTS, "今日は雨です", "今日は雨です", 1),
    ("chrf", TEXTS, "", "a b c", 0),
]


@pytest.mark.parametrize(("metric", "data_set", "answer", "expected", "value"), SCORED)
def test_a_metric_gives_what_its_line_says(metric, data_set, answer, expected, value):
    score = scorer_of(metric, data_set)
    assert score(Row("?", expected), answer) == pytest.approx(value)


def test_chrf_is_sacrebleus_and_between():
    from sacrebleu.metrics.chrf import CHRF

    own = scorer_of("chrf", TEXTS)(Row("?", "the cat sat"), "the cat sits")
    assert own == CHRF().sentence_score("the cat sits", ["the cat sat"]).score / 100
    assert 0.5 < own < 1


def test_a_sets_own_metric_is_known_and_another_name_is_not():
    own = data.load_set("structured-output")
    row = own.test[0]
    assert scorer_of("exactly_right", own)(row, row.completion) == 1
    with pytest.raises(LabError, match=r"metric: 'json_field' .*did you mean 'json_fields'"):
        scorer_of("json_field", own)
    assert set(METRICS) == {"exact", "normalized", "label", "json_fields", "chrf"}


def test_marks_get_wilsons_interval_and_other_values_the_bootstraps():
    rows = LABELED.train
    scores = score_answers("all spam", LABELED, rows, ["spam"] * len(rows))
    assert scores.mean == 0.5
    low, high = scores.interval()
    assert 0.2 < low < 0.25
    assert 0.75 < high < 0.8
    texts = [row.completion[: 20 + i] for i, row in enumerate(TEXTS.train)]
    close = score_answers("close", TEXTS, TEXTS.train, texts, "chrf")
    low, high = close.interval()
    assert low < close.mean < high
    assert close.interval().margin < 0.1
    table = str(scores_table([scores, close]))
    assert "all spam" in table
    assert "–" in table  # no model read a prompt
    assert Scores.from_dict(close.as_dict()) == close


def test_no_rows_and_other_counts_are_refused():
    with pytest.raises(LabError, match="no test rows"):
        score_answers("none", DataSet("own", (), (), ()), [], [])
    with pytest.raises(LabError, match="1 for 2 rows"):
        score_answers("one", TEXTS, TEXTS.test, ["a"])


def test_the_nearest_rows_answer_is_copied():
    known = set_of(("red fox", "animal"), ("blue sky", "weather"), ("red foxes", "animal"), test=1)
    assert nearest_answer(known).answers == ("animal",)
    # What all prompts begin with, however long, hides no difference.
    start = "Say what this is about, in one word. " * 40
    long = set_of(*((start + row.prompt, row.completion) for row in (*known.train, *known.test)))
    assert nearest_answer(long).answers[-1] == "animal"
    with pytest.raises(LabError, match="no training rows"):
        nearest_answer(DataSet("own", (), (), known.test))


def test_examples_come_as_earlier_turns_behind_the_rows_own_system_message():
    row = Row("Message 99", "spam", system="You sort mail.")
    messages = few_shot_messages(LABELED, row, 2, seed=3)
    assert [message["role"] for message in messages] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert {messages[2]["content"], messages[4]["content"]} == {"spam", "not spam"}
    assert messages[-1]["content"] == "Message 99"
    assert few_shot_messages(LABELED, row, 2, seed=3) == messages
    drawn = {str(few_shot_messages(LABELED, row, 2, seed)) for seed in range(5)}
    assert len(drawn) > 1
    tests = {row.prompt for row in LABELED.test}
    every = few_shot_messages(LABELED, row, len(LABELED.train))
    assert not tests & {message["content"] for message in every}
    for shots in (-1, len(LABELED.train) + 1):
        with pytest.raises(LabError, match=f"^shots: {shots} "):
            few_shot_messages(LABELED, row, shots)


def test_the_base_model_is_asked_with_and_without_examples(tiny_model: Path):
    model, tokenizer = models.load(str(tiny_model))
    bare = baseline(model, tokenizer, LABELED, max_new_tokens=3)
    shown = baseline(model, tokenizer, LABELED, shots=2, max_new_tokens=3)
    assert bare.metric == shown.metric == "label"
    assert len(bare.answers) == len(LABELED.test)
    assert bare.rows_fingerprint == shown.rows_fingerprint
    # Two examples of "Message 3" and "not spam", each in its turn of the template.
    assert bare.prompt_tokens + 15 < shown.prompt_tokens < bare.prompt_tokens + 60
    assert shown.name == "base model, 2 examples"
    assert len(baseline(model, tokenizer, LABELED, rows=1, max_new_tokens=3).answers) == 1


EXPECTED = '{"item": "tea", "count": 2}'
KINDS = [
    ("Order", EXPECTED, '{"count": 2, "item": "tea"}', "right", ""),
    ("Order", EXPECTED, '{"item": "tea", "count": 3}', "wrong fields", "count"),
    ("Order", EXPECTED, '{"item": "tea", "count": "2"}', "wrong fields", "count"),
    ("Order", EXPECTED, '{"item": "tea"}', "wrong format", "lacks count"),
    ("Order", EXPECTED, '{"item": "tea", "count": 2, "x": 1}', "wrong format", "adds x"),
    ("Order", EXPECTED, "tea, twice", "wrong format", "no JSON object"),
    ("Order", EXPECTED, '{"item": "tea", "cou', "cut off", "its object does not end"),
    ("Order", EXPECTED, " …", "empty", ""),
    ("Sum up: a b c d.", "letters", "Sum up: a b c d.", "copied", ""),
    ("Who wrote: Poe or Mann?", "Poe", "Mann", "wrong", ""),  # a wrong span is no copy
    ("Capital?", "Paris", "paris.", "other wording", "case or punctuation"),
    ("Capital?", "Paris", "It is Paris, of course.", "other wording", "holds the expected answer"),
    ("Capital?", "Paris", "Parisian food", "wrong", ""),
    ("Rain?", "It will rain on hills", "It will rain in hills", "other wording", "95 % alike"),
    ("Capital?", "Paris", "Rome", "wrong", ""),
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "expected", "answer", "kind", "detail"), KINDS)
def test_an_answer_is_of_the_kind_that_is_wrong_with_it(prompt, expected, answer, kind, detail):
    (case,) = errors_by_kind([Row(prompt, expected)], [answer]).cases
    assert (case.kind, case.detail) == (kind, detail)


def test_labels_are_confused_in_pairs():
    rows = [*LABELED.train, *LABELED.test]
    answers = ["spam"] * len(rows)
    answers[0], answers[2] = "perhaps", "spam, not spam"
    found = errors_by_kind(rows, answers)
    assert found.confusions() == {("not spam", "spam"): 6}
    assert found.counts["right"] == 4
    assert [case.detail for case in found.of("wrong format")] == [
        "names no label", "names spam, not spam",
    ]  # fmt: skip
    assert sum(found.counts.values()) == len(rows)
    assert "wrong label" in str(found.table())
    assert "50% (25% to 75%)" in str(found.table())
    assert str(found.examples(1)).count("wrong label") == 1
    with pytest.raises(LabError, match="did you mean 'wrong label'"):
        found.of("wrong labels")


def test_an_answer_that_fills_the_limit_is_cut_off(labs_home: Path):
    tokenizer = models.load_tokenizer("smollm2-135m-instruct")
    rows, answers = [Row("Tell me", "A short end."), Row("And", "Yes.")], ["word " * 12, "No."]
    found = errors_by_kind(rows, answers, tokenizer=tokenizer, max_new_tokens=12)
    assert [case.kind for case in found.cases] == ["cut off", "wrong"]
    assert errors_by_kind(rows, answers).counts["cut off"] == 0
    with pytest.raises(LabError, match="1 for 2 rows"):
        errors_by_kind(rows, ["one"])


def test_two_scores_are_compared_on_the_same_rows_alone():
    rows = LABELED.train * 4
    right = [row.completion for row in rows]
    one = score_answers("guess", LABELED, rows, ["spam"] * len(rows))
    other = score_answers("tuned", LABELED, rows, right)
    found = compare_scores(one, other)
    assert found.difference == 0.5
    assert found.beyond_noise
    assert (found.only_one, found.only_other) == (0, 20)
    assert found.p == pytest.approx(2 / 2**20)
    assert "tuned is better than guess" in found.finding
    assert "tuned is better than guess" in compare_scores(other, one).finding
    assert "+0.500" in str(found.table())
    nearly = score_answers("nearly", LABELED, rows, [*right[:-1], "ham"])
    assert not compare_scores(other, nearly).beyond_noise
    assert "do not tell" in compare_scores(other, nearly).finding
    fewer = score_answers("fewer", LABELED, rows[:-1], right[:-1])
    with pytest.raises(LabError, match="different held-out rows"):
        compare_scores(one, fewer)
    with pytest.raises(LabError, match="by one metric"):
        compare_scores(one, dataclasses.replace(other, metric="exact"))

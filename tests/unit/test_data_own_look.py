"""A look at a data set: what is wrong with it is found, with its figure and its rows."""

from __future__ import annotations

import random
import time

import pytest

from labs_lib import models
from labs_lib.data import DataSet, OwnData, Row, look
from labs_lib.data.own import near, personal
from labs_lib.errors import LabError
from labs_lib.training.encoding import Encoder

DRAWN = random.Random(7)
WORDS = ["".join(DRAWN.choices("abdefgiklmnoprstuvwz", k=DRAWN.randint(4, 9))) for _ in range(3000)]


def sentence(count: int) -> str:
    return " ".join(DRAWN.choices(WORDS, k=count))


def own(*rows: Row, splits: tuple[str | None, ...] | None = None) -> OwnData:
    places = tuple(f"line {number}" for number in range(1, len(rows) + 1))
    return OwnData("own", rows, places, splits or (None,) * len(rows))


def unlike(count: int) -> list[Row]:
    return [Row(sentence(12), sentence(8)) for _ in range(count)]


def kinds(seen) -> list[str]:
    return [advice.kind for advice in seen.advice]


# Three awkward sets


def test_a_set_of_copies_is_told_how_few_rows_it_has():
    seen = look(own(*[Row("What is the weather?", "Sunny.")] * 200))
    advice = seen.advice[0]
    assert advice.severity == "error"
    assert advice.kind == "duplicates"
    assert "199 rows of 200 (99.5 %), which leaves 1 different row." in advice.sentence
    assert advice.rows == tuple(range(1, 200))
    assert "label balance" not in kinds(seen)
    assert "near-duplicates" not in kinds(seen)


def test_a_set_of_one_label_is_told_what_always_saying_it_is_worth():
    rows = [Row(sentence(10), "other" if i % 50 == 0 else "billing") for i in range(200)]
    seen = look(own(*rows))
    advice = seen.of_kind("label balance")[0]
    assert advice.severity == "error"
    assert "The answer of 98 % of 200 different rows is 'billing'" in advice.sentence
    assert "recall of each label" in advice.sentence
    assert advice.rows == (0, 50, 100, 150)
    assert "'other' 4" in seen.of_kind("rare labels")[0].sentence
    assert seen.labels == {"billing": 196, "other": 4}


def test_answers_fifty_times_as_long_as_prompts_are_told():
    rows = [
        Row(sentence(4)[:30], sentence(400)[:1500].rstrip() + "." * (i % 7)) for i in range(120)
    ]
    advice = look(own(*rows)).of_kind("long answers")[0]
    assert advice.severity == "warning"
    assert advice.rows == tuple(range(120))
    assert "Answers are 5" in advice.sentence
    assert "Put the material into the prompt" in advice.sentence
    balanced = [Row(row.completion, row.prompt) for row in rows]
    assert not look(own(*balanced)).of_kind("long answers")


def test_a_set_without_these_faults_gets_no_advice():
    seen = look(own(*unlike(150)))
    assert seen.advice == ()
    assert "None of the checks" in repr(seen)


# One fault each


def test_empty_rows_are_found():
    seen = look(own(*unlike(3), Row("q", " "), Row("\n", "a"), Row("q", "a", earlier=(("", "x"),))))
    assert seen.of_kind("empty rows")[0].rows == (3, 4, 5)


def test_white_space_makes_no_other_row():
    seen = look(own(*unlike(1), Row("a  b", "c\n"), Row("a b", "c"), Row("a b", "C")))
    assert seen.duplicates == ((1, 2),)
    assert seen.contradictions == ((1, 2, 3),)


def test_one_prompt_with_two_answers_is_found_but_not_after_other_turns():
    seen = look(own(Row("How long?", "Two days."), Row("How  long?", "Three."), *unlike(2)))
    assert seen.contradictions == ((0, 1),)
    assert seen.of_kind("different answers")[0].rows == (0, 1)
    turns = [Row("And then?", "x", earlier=((sentence(5), "y"),)) for _ in range(2)]
    assert look(own(turns[0], Row("And then?", "z", earlier=turns[1].earlier))).contradictions == ()


NEAR = [
    ("Where is my parcel? I ordered it on Monday.", "where is my parcel, i ordered it on monday"),
    ("Where is my parcel? I ordered it on Monday.", "Where is my parcle? I ordered it on Monday."),
    ("Wo ist mein Päckchen, bestellt am Montag?", "Wo ist mein Päkchen, bestellt am Montag?"),
    ("Die Straße nach Köln ist gesperrt.", "DIE STRASSE NACH KÖLN IST GESPERRT"),
    ("请问这家商店今天晚上几点钟关门呢", "请问,这家商店今天晚上几点钟关门呢?"),
    ("请问这家位于市中心的商店今天晚上几点钟关门呢", "请问这家位于市中心的商店今天晚上几点关门呢"),
    ("ร้านนี้ปิดกี่โมงในวันอาทิตย์และวันหยุด", "ร้านนี้ปิดกี่โมงในวันอาทิตย์และวันหยุดครับ"),
]
FAR = [
    ("What is the official language of France?", "What is the official language of Greece?"),
    ("Please send 3 lamps to Anna Berg.", "Please send 4 lamps to Anna Berg."),
    ("What does shutil.copy do with a file?", "What does shutil.copy2 do with a file?"),
    ("法国的首都是哪个城市", "希腊的首都是哪个城市"),
]


@pytest.mark.parametrize("pair", NEAR)
def test_near_duplicates_in_any_script_are_found(pair):
    seen = look(own(Row(pair[0], "a"), *unlike(30), Row(pair[1], "a")))
    assert seen.near_duplicates == ((0, 31),)
    assert seen.of_kind("near-duplicates")[0].rows == (0, 31)


@pytest.mark.parametrize("pair", FAR)
def test_prompts_about_other_things_are_no_near_duplicates(pair):
    seen = look(own(Row(pair[0], "a"), *unlike(30), Row(pair[1], "b")))
    assert seen.near_duplicates == ()


def test_rows_of_one_pattern_are_no_near_duplicates_and_their_slips_are():
    pattern = (
        "Read the message of our customer below, think about what is asked, and answer with one "
        "word, the department that should reply, in lower case and without a full stop: {}"
    )
    rows = [Row(pattern.format(word), "a") for word in WORDS[:100]]
    rows.append(Row(rows[5].prompt.upper() + "!", "a"))
    assert look(own(*rows)).near_duplicates == ((5, 100),)


def test_leaks_between_splits_are_found_and_told_apart():
    rows = unlike(6)
    rows[4] = Row(rows[0].prompt, "another answer")
    rows[5] = Row(rows[1].prompt.upper() + "!", "another answer")
    customers = zip(rows, "ABCDBX", strict=True)
    named = [Row(row.prompt, row.completion, {"customer": name}) for row, name in customers]
    splits = ("train", "train", "train", "test", "test", "validation")
    leaks = look(own(*named, splits=splits), entity="customer").of_kind("leak")
    assert [advice.rows for advice in leaks] == [(4,), (5,), (4,)]
    assert {advice.severity for advice in leaks} == {"error"}
    data_set = DataSet("set", tuple(rows[:4]), (rows[5],), (rows[4],))
    assert [len(advice.rows) for advice in look(data_set).of_kind("leak")] == [1, 1]
    assert "test row 1" in repr(look(data_set))


def test_answers_that_all_end_at_one_length_are_found():
    rows = [Row(sentence(40), sentence(60)[:255]) for _ in range(9)] + unlike(100)
    assert look(own(*rows)).of_kind("cut answers")[0].rows == tuple(range(9))


PERSONAL = {
    "e-mail address": ["anna.berg@example.co.uk", "a+b@müller.de"],
    "phone number": ["+49 (30) 123 45 67", "030/1234567", "555-123-4567", "07700 900123"],
    "card number": ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"],
}
IMPERSONAL = ["user@host", "2024-01-01 to 2025-02-02", "on 01/02/2024 12:30", "3.141592653589793",
              "4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "order 0012345678",
              "1,234,567,890 rows", "version 10.12.13.14"]  # fmt: skip


@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_data_is_found_and_shown_masked(kind):
    for text in PERSONAL[kind]:
        assert personal.personal_data(f"Write to {text}, please.") == {kind: [text]}
        seen = look(own(*unlike(2), Row("q", f"Reach me: {text}.")))
        advice = seen.of_kind("personal data")[0]
        assert advice.rows == (2,)
        assert kind in advice.sentence
        assert "proves nothing" in advice.sentence
        assert text not in repr(seen)
        assert text not in seen._repr_html_()


@pytest.mark.parametrize("text", IMPERSONAL)
def test_dates_numbers_and_wrong_checksums_are_no_personal_data(text):
    assert personal.personal_data(f"It says {text}.") == {}


# Tokens


def test_tokens_are_those_that_training_counts():
    tokenizer = models.load_tokenizer()
    rows = [Row(sentence(5), sentence(3)), Row("Straße", "漢字"), Row("q", "a", system="Be brief."),
            Row("q2", "a2", earlier=(("q1", "a1"),))]  # fmt: skip
    encoder = Encoder(tokenizer, 10_000)
    encoded = [encoder.encode(row) for row in rows]
    whole = [row.tokens for row in encoded]
    prompt = [sum(label == -100 for label in row.labels) for row in encoded]
    limit = sorted(whole)[2]
    seen = look(own(*rows), tokenizer, max_length=limit)
    assert seen.lengths["row, tokens"][2] == max(whole)
    assert seen.lengths["prompt, tokens"][2] == max(prompt)
    beyond = tuple(at for at, count in enumerate(whole) if count > limit)
    assert seen.of_kind("cut rows")[0].rows == beyond
    assert len(beyond) == 1
    assert not look(own(*rows), tokenizer, max_length=max(whole)).of_kind("cut rows")
    lost = look(own(*rows), tokenizer, max_length=min(prompt)).of_kind("cut rows")[0]
    assert lost.severity == "error"
    assert "training drops these" in lost.sentence
    with pytest.raises(LabError, match="max_length: it counts tokens"):
        look(own(*rows), max_length=10)


def test_a_tokenizer_without_a_template_is_counted_as_training_does(monkeypatch):
    tokenizer = models.load_tokenizer()
    monkeypatch.setattr(tokenizer, "chat_template", None)
    row = Row("Where is it?", "Here.", system="Be brief.")
    encoded = Encoder(tokenizer, 1000).encode(row)
    assert look(own(row), tokenizer).lengths["row, tokens"][2] == encoded.tokens


def test_a_template_that_refuses_is_one_line(monkeypatch):
    tokenizer = models.load_tokenizer()
    monkeypatch.setattr(tokenizer, "chat_template", "{{ raise_exception('no such role') }}")
    with pytest.raises(LabError, match="chat template does not take these rows: no such role"):
        look(own(Row("q", "a")), tokenizer)


# Sizes


def test_twenty_rows_work_and_are_told_what_they_can_show():
    seen = look(own(*unlike(20)))
    assert kinds(seen) == ["few rows"]
    assert "25 points" in seen.advice[0].sentence
    assert look(own(Row("q", "a"))).lengths["prompt, words"] == (1, 1, 1)


def test_what_is_no_data_is_told_what_to_give():
    with pytest.raises(LabError, match=r"data: 'own\.csv' is not what read_own .* returns"):
        look("own.csv")  # type: ignore[arg-type]


def test_an_unknown_entity_names_the_nearest():
    rows = [Row("q", "a", {"customer": "A"}), Row("r", "b", {"customer": ""})]
    with pytest.raises(LabError, match=r"no row has a field 'custmer'.*did you mean 'customer'"):
        look(own(*rows), entity="custmer")
    with pytest.raises(LabError, match="'customer' is empty at line 2"):
        look(own(*rows), entity="customer")


@pytest.mark.slow
def test_twenty_thousand_rows_take_about_a_minute_at_most():
    template = "Please tell me all about {} and its {}, and what it costs."
    rows = [Row(template.format(sentence(1), sentence(1)), sentence(20)) for _ in range(10_000)]
    rows += [Row(sentence(12), sentence(20)) for _ in range(9_999)]
    rows.append(Row(rows[-1].prompt + " please", "x"))
    start = time.perf_counter()
    seen = look(own(*rows))
    assert time.perf_counter() - start < 90
    assert (19_998, 19_999) in seen.near_duplicates


def test_long_texts_are_compared_in_seconds_and_one_endless_word_is_read():
    documents = [sentence(900) for _ in range(3)]
    unheard = ["".join(DRAWN.choices("abdefgiklmnoprst", k=8)) for _ in range(180 * 300)]
    parts = [" ".join(unheard[at : at + 300]) for at in range(0, len(unheard), 300)]
    rows = [Row(f"{documents[at % 3]} {part}", "a") for at, part in enumerate(parts)]
    rows.append(Row(rows[0].prompt.replace(" ", "  ").title() + " end", "a"))
    rows.append(Row("x+" * 200_000, "7" * 200_000 + "@"))
    start = time.perf_counter()
    seen = look(own(*rows))
    assert time.perf_counter() - start < 30
    assert seen.near_duplicates == ((0, 180),)
    assert not seen.of_kind("personal data")


def test_one_bucket_of_more_texts_than_are_compared_at_once_is_still_searched(monkeypatch):
    monkeypatch.setattr(near, "MOST_TOGETHER", 20)
    texts = [f"the same long text about {sentence(6)}" for _ in range(60)]
    groups = near.Groups(61)
    near.join_near_duplicates([*texts, texts[7].upper() + " yes"], groups)
    assert groups.larger_than_one() == ((7, 60),)


def test_rows_of_one_long_document_are_judged_once_a_pair(monkeypatch: pytest.MonkeyPatch):
    """They meet in nearly every band, where 2,000 rows over 100 documents took minutes."""
    judged: list[tuple[str, str]] = []
    real = near._same_words
    monkeypatch.setattr(near, "_same_words", lambda a, b, n: judged.append((a, b)) or real(a, b, n))
    draw = random.Random(0)
    vocabulary = [f"{draw.randrange(16**5):x}" for _ in range(4000)]
    documents = [" ".join(draw.sample(vocabulary, 300)) for _ in range(3)]
    texts = [
        f"{document} {' '.join(draw.sample(vocabulary, 25))}"
        for document in documents
        for _ in range(8)
    ]
    near.join_near_duplicates(texts, near.Groups(len(texts)))
    assert 0 < len(judged) == len(set(judged)) <= 3 * 8 * 7 / 2

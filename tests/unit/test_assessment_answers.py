"""The log holds what was answered, once, whatever it was; predictions are numbers of any kind."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import json
import math
import pathlib
import types
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
import torch

from labs_lib.assessment import notebook, progress
from labs_lib.assessment.answers import kept_answer, plain
from labs_lib.assessment.exercises import base
from labs_lib.assessment.progress import read_events, record_answer, standing
from labs_lib.assessment.sandbox import run_apart
from labs_lib.errors import LabError, kind_of, shorten
from labs_lib.widgets import ask

NUMBER = "00.trained-share"
SINGLE = "00.frozen.what-changed"
DRAWN = "04.train.counted"


pytestmark = pytest.mark.usefixtures("own_home")


# What is kept of an answer


class Color(enum.Enum):
    RED = 1


class Loud(str, enum.Enum):
    HIGH = "high"


@dataclasses.dataclass
class Ledger:
    base_gb: float
    parts: list[int]


class Hanging:
    def __repr__(self):
        while True:
            pass

    __str__ = __repr__


class Raising:
    @property
    def __class__(self):
        raise RuntimeError("no class")

    def __repr__(self):
        raise RuntimeError("no repr")

    def __getattr__(self, name):
        raise RuntimeError("no attribute")


class Meta(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Unnamed(metaclass=Meta):
    pass


def double(x):
    return 2 * x


def itself() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


KEPT = [
    ({"a": 1, "b": [2.5, None]}, {"a": 1, "b": [2.5, None]}),
    ({1: "x", (2, 3): "y", None: 0}, {"1": "x", "[2, 3]": "y", "null": 0}),
    ({1: "x", "1": "y"}, {"1": "x", "1'": "y"}),
    ({3, "a", None, 1}, [None, 1, 3, "a"]),
    ((1, (2, 3)), [1, [2, 3]]),
    (math.nan, "nan"), (-math.inf, "-inf"), (..., "..."), (b"raw", "b'raw'"), ("\ud800", "?"),
    (numpy.float32(2.5), 2.5), (numpy.int64(3), 3), (numpy.bool_(True), True),
    (Decimal("2.5"), 2.5), (Fraction(5, 2), 2.5), (torch.tensor(3), 3),
    (numpy.array([1.0, 2.0]), [1.0, 2.0]), (torch.tensor([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True), [1.0, 2.0]),
    ([torch.tensor(1), numpy.float32(2)], [1, 2.0]), (range(3), [0, 1, 2]),
    (numpy.ma.array([1, 2], mask=[False, True]), [1, None]), (numpy.ma.masked, None),
    (torch.empty(2, device="meta"), {"class": "Tensor",
     "shown": "tensor(..., device='meta', size=(2,))"}),
    (numpy.array([1.0, math.nan]), [1.0, "nan"]), ({"x": 1}.keys(), ["x"]),
    (collections.deque([1, 2]), [1, 2]), (collections.OrderedDict(a=1), {"a": 1}),
    (Ledger(2.5, [1, 2]), {"class": "Ledger", "base_gb": 2.5, "parts": [1, 2]}),
    (Color.RED, "Color.RED"), (Loud.HIGH, "high"),
    (double, "def double(x):\n    return 2 * x\n"),
    (pathlib.PurePosixPath("/x"), {"class": "PurePosixPath", "shown": "PurePosixPath('/x')"}),
    (object(), {"class": "object", "shown": "<object object>"}),
    (Unnamed(), {"class": "Unnamed", "shown": "<Unnamed object>"}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kept"), KEPT, ids=[kind_of(value) for value, _ in KEPT])
def test_the_log_holds_what_was_answered(value, kept):
    assert kept_answer(value) == {"response": kept}
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept


CUT = [
    itself(), [0] * 10**6, list(range(10**6)), "x" * 10**7, {n: n for n in range(10**5)},
    set(range(10**5)), numpy.zeros(10**6), torch.zeros(1000, 1000), 10**5000, [["x" * 5000] * 50],
    functools.reduce(lambda inner, _: [inner] * 10, range(30), 1), "\x00" * 9000, b"x" * 10**6,
    functools.reduce(lambda inner, _: [inner], range(5000), 1), ["\U0001f600" * 3000] * 9,
]  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("value", CUT, ids=kind_of)
def test_what_is_too_large_is_cut_and_has_a_fingerprint(value):
    kept = kept_answer(value)
    text = json.dumps(kept, allow_nan=False, ensure_ascii=False).encode()
    assert len(text) < 20_000
    assert len(kept["response_sha256"]) == 64
    assert kept_answer(value) == kept


def test_long_answers_that_differ_have_fingerprints_that_differ():
    for one, other in (
        ("x" * 10**6 + "a", "x" * 10**6 + "b"),
        ([0] * 5000 + [1], [0] * 5000 + [2]),
        (numpy.zeros(10**5), numpy.append(numpy.zeros(10**5 - 1), 1.0)),
    ):
        first, second = kept_answer(one), kept_answer(other)
        assert first["response"] == second["response"]
        assert first["response_sha256"] != second["response_sha256"]


def test_a_lora_configuration_is_kept_by_what_was_chosen():
    from peft import LoraConfig, TaskType

    config = LoraConfig(
        r=16, lora_alpha=32, target_modules=["v_proj", "q_proj"], task_type=TaskType.CAUSAL_LM
    )
    assert plain(config) == {
        "class": "LoraConfig",
        "r": 16,
        "lora_alpha": 32,
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "CAUSAL_LM",
    }


def test_a_function_without_source_is_told_from_another():
    written = [lambda x: 2 * x, lambda x: 3 * x, lambda x: 2 * x]
    codes = [each.__code__.replace(co_filename="<console>") for each in written]
    made = [types.FunctionType(code, {}, "double") for code in codes]
    kept = [kept_answer(each)["response"] for each in made]
    assert kept[0] == kept[2] != kept[1]


HOSTILE = [Hanging, Raising, lambda: Unnamed(), lambda: [Hanging()], lambda: {"a": Raising()},
           lambda: collections.deque([Hanging()]), lambda: functools.partial(double, Hanging()),
           lambda: type("N" * 10**6, (), {})(), lambda: type("", (), {})(),
           lambda: type("a\nb", (), {})(), lambda: {1, "a"}, lambda: {math.nan: itself()},
           itself, lambda: 10**5000, lambda: Ledger(*[Hanging(), [Raising()]]), lambda: Hanging,
           lambda: (each for each in [1, 2]), lambda: (1 / 0 for _ in "x"), lambda: map(int, "x"),
           lambda: memoryview(b"x"), lambda: numpy.array([Hanging()], dtype=object),
           lambda: torch.zeros(2, device="meta"), lambda: torch.nn.Linear(2, 2),
           lambda: Exception(Hanging()), lambda: 2j, lambda: slice(1)]  # fmt: skip


@pytest.mark.seconds
@pytest.mark.parametrize("make", HOSTILE)
def test_anything_at_all_can_be_shown_submitted_and_checked(make, capsys, monkeypatch):
    # A student's answer gets 5 s of its own.
    monkeypatch.setattr(
        base, "run_apart", lambda work, **options: run_apart(work, **{**options, "seconds": 1.0})
    )
    value = make()
    assert len(shorten(value)) <= 60
    assert "\n" not in shorten(value)
    assert len(kind_of(value)) < 80
    assert "\n" not in kind_of(value)
    text_question = next(question.id for question in _questions() if question.kind == "text")
    for question_id in (SINGLE, "04.adapters.saved", DRAWN, "00.course.rhythm", text_question):
        panel = ask(question_id).submit(make())
        assert panel.look in ("error", "incorrect")
        assert len(panel.text) < 500
        ask(question_id)
    if make is not Raising:
        notebook.check(NUMBER, value)
    assert len(capsys.readouterr().out) < 1000
    assert standing().unreadable == 0
    assert progress.progress_file().stat().st_size < 100_000


def _questions():
    from labs_lib.assessment.banks import load_banks

    return [question for bank in load_banks().values() for question in bank.questions]


def test_cards_and_checks_write_the_same():
    ask(DRAWN).submit({"a": numpy.float32(0.5)})
    notebook.check(NUMBER, {"a": numpy.float32(0.5)})
    first, second = read_events()[0]
    assert first["response"] == second["response"] == {"a": 0.5}
    assert first.keys() - second.keys() == {"seed"}


# One answer is one attempt


def test_the_same_answer_run_again_is_one_attempt():
    for _ in range(3):
        notebook.check(NUMBER, 99.66)
        ask(SINGLE).submit("b")
        ask(DRAWN).submit(numpy.array([1.0, 2.0]))
        ask(DRAWN).submit("1000000")
    states = progress.item_states(read_events()[0])
    assert states[NUMBER].attempts == 1
    assert states[NUMBER].wrong == 1
    assert states[SINGLE].attempts == 1
    assert states[DRAWN].attempts == 1
    assert states[DRAWN].response == "1000000"
    assert len([event for event in read_events()[0] if event["id"] == NUMBER]) == 1


@pytest.mark.parametrize("value", CUT, ids=kind_of)
def test_an_answer_that_is_cut_is_cut_once(value):
    for _ in range(3):
        record_answer(NUMBER, value, outcome="incorrect")
    events = read_events()[0]
    assert len(events) == 1
    assert events[0]["response"] == kept_answer(value)["response"]


def test_another_answer_or_another_outcome_is_another_attempt():
    for value in (99.66, 50.0, 99.66, 0.3426, 0.3426):
        notebook.check(NUMBER, value)
    state = progress.item_states(read_events()[0])[NUMBER]
    assert (state.attempts, state.wrong, state.status) == (3, 2, "correct")
    ask(SINGLE).submit("a")
    ask(SINGLE).submit("b")
    ask(SINGLE).submit("a")
    state = progress.item_states(read_events()[0])[SINGLE]
    assert (state.attempts, state.response) == (2, "a")


# Predictions in numbers of any kind


@pytest.mark.parametrize(
    ("value", "kept"),
    [(numpy.float32(2.5), 2.5), (numpy.int64(3), 3), (torch.tensor(2.5), 2.5),
     (Fraction(5, 2), 2.5),
     (numpy.bool_(True), True), (torch.tensor([3]), 3), (Decimal("3"), 3), ((1, 2), [1, 2]),
     ((numpy.float32(1), torch.tensor(2)), [1, 2]), (numpy.array([1, 2]), [1, 2]),
     (torch.tensor([1.0, 2.0]), [1, 2]), ("LoRA", "LoRA"), (numpy.str_("LoRA"), "LoRA")],
)  # fmt: skip
def test_a_prediction_is_kept_as_a_plain_number(value, kept, capsys):
    notebook.predict("p", value)
    notebook.compare_prediction("p", value)
    assert read_events()[0][0]["value"] == kept == read_events()[0][1]["outcome"]


@pytest.mark.parametrize(
    ("prediction", "outcome", "unit", "said"),
    [("2,5 GB", 2500, "MB", "You predicted 2500 MB"), ("0,37", 0.373, "%", "Within 10 %"),
     ("14,000", 14000, "", "Within 10 %"), ("about 5", 5.0, "x", "Within 10 %"),
     ("8k", 8192, "", "Within 10 %"), ("yes", True, "", "You were right"),
     ("no", numpy.bool_(False), "", "You were right"), (1, True, "", "You were right"),
     ("five", 5, "", "You were not right")],
)  # fmt: skip
def test_a_prediction_in_words_meets_its_number(prediction, outcome, unit, said, capsys):
    notebook.predict("p", prediction)
    notebook.compare_prediction("p", outcome, unit)
    assert said in capsys.readouterr().out
    assert standing().unreadable == 0


@pytest.mark.parametrize("value", ["1,234", "1,234 MB", 10**400, [1, 2, 3], (2, 1), "x" * 5000])
def test_a_prediction_of_two_readings_or_of_none_is_asked_back(value):
    with pytest.raises(LabError, match="prediction"):
        notebook.predict("p", value)
    assert read_events()[0] == []

"""The log holds what was answered, once, and no fault of the disk or of a file hides a result."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import errno
import functools
import json
import math
import os
import pathlib
import time
import types
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
import torch

from labs_lib.assessment import events, notebook, progress
from labs_lib.assessment.answers import kept_answer, plain
from labs_lib.assessment.progress import read_events, record, standing
from labs_lib.cli import main
from labs_lib.errors import LabError, kind_of, shorten
from labs_lib.widgets import ask

NUMBER = "00.trained-share"
SINGLE = "00.frozen.what-changed"
DRAWN = "04.config.scaling"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABS_SEED", "3")
    monkeypatch.setattr(notebook, "_unrecorded_hints", {})
    monkeypatch.setattr(notebook, "_unrecorded_predictions", {})


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


@pytest.mark.parametrize("value", CUT, ids=kind_of)
def test_what_is_too_large_is_cut_and_has_a_fingerprint(value):
    start = time.perf_counter()
    kept = kept_answer(value)
    assert time.perf_counter() - start < 3
    text = json.dumps(kept, allow_nan=False, ensure_ascii=False).encode()
    assert len(text) < 20_000 and len(kept["response_sha256"]) == 64
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
           itself, lambda: 10**5000, lambda: Ledger(Hanging(), [Raising()]), lambda: Hanging,
           lambda: (each for each in [1, 2]), lambda: (1 / 0 for _ in "x"), lambda: map(int, "x"),
           lambda: memoryview(b"x"), lambda: numpy.array([Hanging()], dtype=object),
           lambda: torch.zeros(2, device="meta"), lambda: torch.nn.Linear(2, 2),
           lambda: Exception(Hanging()), lambda: 2j, lambda: slice(1)]  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE)
def test_anything_at_all_can_be_shown_submitted_and_checked(make, capsys):
    value = make()
    assert len(shorten(value)) <= 60 and "\n" not in shorten(value)
    assert len(kind_of(value)) < 80 and "\n" not in kind_of(value)
    text_question = next(question.id for question in _questions() if question.kind == "text")
    for question_id in (SINGLE, "04.adapters.saved", DRAWN, "00.course.rhythm", text_question):
        panel = ask(question_id).submit(make())
        assert panel.look in ("error", "incorrect") and len(panel.text) < 500
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
    assert states[NUMBER].attempts == 1 and states[NUMBER].wrong == 1
    assert states[SINGLE].attempts == 1
    assert states[DRAWN].attempts == 1 and states[DRAWN].response == "1000000"
    assert len([event for event in read_events()[0] if event["id"] == NUMBER]) == 1


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


# The file


ANSWER = '{"event": "answer", "id": "00.course.rhythm", "outcome": "correct", "time": "t"'
POISONED = [
    '{"event": "prediction", "id": "p", "time": "t", "value": [1, 2, 3]}',
    '{"event": "prediction", "id": "p", "time": "t", "value": [1]}',
    '{"event": "prediction", "id": "p", "time": "t", "value": ["a", 1]}',
    '{"event": "prediction", "id": "p", "time": "t", "value": {"low": 1}}',
    '{"event": "prediction", "id": "p", "time": "t", "value": null}',
    '{"event": "prediction", "id": "p", "time": "t"}',
    '{"event": "prediction", "id": "p", "time": "t", "value": %s}' % ("9" * 400),
    '{"event": "prediction", "id": "p", "time": "t", "value": %s}' % ("9" * 5000),
    '{"event": "prediction", "id": "p", "time": "t", "value": NaN}',
    '{"event": "prediction", "id": "p", "time": "t", "value": 1e999}',
    '{"event": "comparison", "id": "p", "time": "t", "outcome": Infinity}',
    '{"event": "comparison", "id": "p", "time": "t", "outcome": [[1]]}',
    '{"event": "comparison", "id": "p", "time": "t"}',
    ANSWER + ', "seed": "3"}',
    ANSWER + ', "seed": 1e400}',
    ANSWER + ', "hints": -1}',
    ANSWER + ', "hints": [1]}',
    ANSWER + ', "misconception": {"a": 1}}',
    ANSWER + ', "bank": 5}',
    ANSWER + ', "repeat": "yes"}',
    ANSWER + ', "response": "%s"}' % ("x" * 10_000_000),
    ANSWER + ', "response": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ANSWER.replace('"correct"', "5") + "}",
    ANSWER.replace('"correct"', '["correct"]') + "}",
    ANSWER.replace('"00.course.rhythm"', "7") + "}",
    ANSWER.replace('"00.course.rhythm"', '"\\ud800"') + "}",
    ANSWER.replace('"00.course.rhythm"', '""') + "}",
    ANSWER.replace('"00.course.rhythm"', f'"{"i" * 1000}"') + "}",
    ANSWER.replace('"t"', "null") + "}",
    ANSWER.replace('"answer"', '["answer"]') + "}",
    ANSWER.replace('"answer"', '{"a": 1}') + "}",
    '{"event": "hint", "id": null, "time": "t"}',
    '{"event": "", "id": "x", "time": "t"}',
    "\x00\x00\x00",
    '{"event": "answer", "id": "00.course.rhythm", "outc',
]  # fmt: skip
GOOD = ANSWER + "}"
POISONED_IDS = [f"{row[:60]}-{len(row)}-{number}" for number, row in enumerate(POISONED)]


def use(text: str | bytes) -> None:
    path = progress.progress_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


@pytest.mark.parametrize("row", POISONED, ids=POISONED_IDS)
def test_a_poisoned_row_in_the_file_is_skipped_and_all_else_works(row, tmp_path, capsys):
    use(f"{GOOD}\n{row}\n")
    now = standing()
    assert [event["id"] for event in now.events] == ["00.course.rhythm"] and now.unreadable == 1
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["progress", *arguments])
        assert ended.value.code in (0, None)
    notebook.predict("p", 2)
    notebook.compare_prediction("p", 3)
    notebook.calibration()
    ask("00.course.rhythm").submit("a,b,c,d")
    assert progress.export_progress(tmp_path / "copy.jsonl") == 4
    use("")
    assert progress.import_progress(tmp_path / "copy.jsonl") == 4


@pytest.mark.parametrize("row", POISONED, ids=POISONED_IDS)
def test_a_poisoned_row_is_not_imported(row, tmp_path):
    use(GOOD + "\n")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(f"{GOOD}\n{GOOD.replace('rhythm', 'x')}\n{row}\n".encode())
    with pytest.raises(LabError, match=r"copy\.jsonl:3: ") as caught:
        progress.import_progress(copy)
    assert len(str(caught.value)) < 300
    assert progress.progress_file().read_text() == GOOD + "\n"


NEWER = '{"event": "badge", "id": "b", "time": "t", "value": {"deep": [1, 2, 3]}}'
EXTRA = ANSWER + ', "minutes": 5}'


def test_events_of_a_newer_version_are_kept_exported_and_imported(tmp_path):
    use(f"{GOOD}\n{NEWER}\n{EXTRA}\n")
    assert len(read_events()[0]) == 2 and standing().unreadable == 0
    assert progress.export_progress(tmp_path / "copy.jsonl") == 3
    assert (tmp_path / "copy.jsonl").read_text() == f"{GOOD}\n{NEWER}\n{EXTRA}\n"
    use("")
    assert progress.import_progress(tmp_path / "copy.jsonl") == 3
    assert progress.import_progress(tmp_path / "copy.jsonl") == 0
    assert NEWER in progress.progress_file().read_text()


@pytest.mark.parametrize("text", [
    b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n" + NEWER.encode() + b"\r\n",
    GOOD.encode() + b"\n\n  \n" + NEWER.encode(),
    GOOD.replace(": ", " :   ").encode() + b"\n" + NEWER.encode() + b"\n",
])  # fmt: skip
def test_what_an_editor_changed_is_read_all_the_same(text, tmp_path):
    (tmp_path / "copy.jsonl").write_bytes(text)
    assert progress.import_progress(tmp_path / "copy.jsonl") == 2
    use(text)
    assert len(read_events()[0]) == 1 and standing().unreadable == 0
    use(GOOD + "\n")
    assert progress.import_progress(tmp_path / "copy.jsonl") == 1


def test_an_import_that_is_cut_off_says_so(tmp_path):
    (tmp_path / "copy.jsonl").write_text(GOOD + "\n" + GOOD[:40])
    with pytest.raises(LabError, match=r"copy\.jsonl:2: the last line is cut off"):
        progress.import_progress(tmp_path / "copy.jsonl")


@pytest.mark.parametrize("name", [".", "/dev/zero", "missing", "\x00"])
def test_what_is_no_file_is_not_imported(name, tmp_path):
    with pytest.raises(LabError, match="cannot read"):
        progress.import_progress(tmp_path / name)


def test_the_progress_file_is_not_exported_onto_itself():
    use(GOOD + "\ntorn")
    with pytest.raises(LabError, match="progress file itself"):
        progress.export_progress(progress.progress_file())
    assert progress.progress_file().read_text() == GOOD + "\ntorn"


# The disk


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def half_written(file: Any, text: bytes) -> None:
    file.write(text[: len(text) // 2])
    full()


@pytest.mark.parametrize(("owner", "name", "fault"), [
    (events, "_write_all", half_written), (events.os, "fsync", full), (events, "_locked", full),
    (pathlib.Path, "open", full), (pathlib.Path, "mkdir", full),
])  # fmt: skip
def test_a_full_disk_leaves_the_file_as_it_was(owner, name, fault, monkeypatch, tmp_path):
    record("hint", "x")
    before = progress.progress_file().read_bytes()
    (tmp_path / "copy.jsonl").write_text(GOOD + "\n")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fault)
        with pytest.raises(LabError, match="No space left"):
            record("hint", "y")
        with pytest.raises(LabError, match="No space left"):
            progress.import_progress(tmp_path / "copy.jsonl")
    assert progress.progress_file().read_bytes() == before
    record("hint", "z")
    assert [event["id"] for event in read_events()[0]] == ["x", "z"] and standing().unreadable == 0


STEPS = [(events, "_locked"), (os, "fsync"), (os, "rename"), (pathlib.Path, "rename"),
         (os, "replace"), (pathlib.Path, "replace"), (os, "unlink"), (pathlib.Path, "unlink"),
         (pathlib.Path, "open"), (pathlib.Path, "write_bytes"), (pathlib.Path, "read_bytes"),
         (pathlib.Path, "touch")]  # fmt: skip


class Killed(BaseException):
    """The power went."""


@pytest.mark.parametrize("fault", ["full", "killed"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[f"{o.__name__}.{n}" for o, n in STEPS])
@pytest.mark.parametrize("after", [False, True])
def test_a_fault_at_any_step_of_a_reset_loses_nothing(owner, name, fault, after, monkeypatch):
    record("hint", "x")
    before = progress.progress_file().read_bytes()
    folder = progress.progress_file().parent
    original = getattr(owner, name)

    def broken(*args: Any, **kwargs: Any) -> Any:
        if after:
            original(*args, **kwargs)
        raise Killed if fault == "killed" else OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        with contextlib.suppress(LabError, Killed):
            progress.reset_progress()
    whole = [path for path in folder.glob("*.jsonl") if path.read_bytes() == before]
    assert len(whole) == 1
    record("hint", "y")


PLACES = ["read-only", "a file", "no permission", "busy", "full", "a folder", "nobody's home"]


@pytest.fixture(params=PLACES)
def bad_place(request, monkeypatch, tmp_path):
    """Make the home one in which nothing can be kept."""
    if request.param == "a file":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("LABS_HOME", str(tmp_path / "file"))
    elif request.param == "a folder":
        progress.progress_file().mkdir(parents=True)
    elif request.param == "nobody's home":
        monkeypatch.setenv("LABS_HOME", "~nobody-of-this-name/labs")
    elif request.param == "busy":
        import filelock

        monkeypatch.setattr(events, "LOCK_SECONDS", 0.05)
        progress.progress_file().parent.mkdir(parents=True)
        lock = filelock.FileLock(f"{progress.progress_file()}.lock")
        lock.acquire()
        request.addfinalizer(lock.release)
    else:
        # As the superuser, for whom permissions do not count, the system's answer is made up.
        number = {"read-only": errno.EROFS, "no permission": errno.EACCES, "full": errno.ENOSPC}
        error = OSError(number[request.param], os.strerror(number[request.param]))

        def refuse(*_: Any, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
        monkeypatch.setattr(pathlib.Path, "touch", refuse)
        if request.param == "no permission":
            monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    return request.param


def test_the_result_is_shown_where_nothing_can_be_kept(bad_place, capsys, monkeypatch):
    def said() -> str:
        out = capsys.readouterr().out
        assert "Not saved: " in out and out.count("Not saved") == 1
        return out

    monkeypatch.delenv("LABS_SEED")
    notebook.check(NUMBER, 99.66)
    assert "Not yet (How little was trained?)" in said()
    notebook.check(NUMBER, 0.3426)
    assert "Correct (How little was trained?)" in said()
    notebook.hint(NUMBER)
    assert "Hint 1 of 2" in said()
    notebook.hint(NUMBER)
    assert "Hint 2 of 2" in said()
    notebook.solution(NUMBER)
    assert "One solution" in said()
    notebook.predict("p", 2)
    assert "Your prediction: 2" in said()
    notebook.compare_prediction("p", 4.0, "s")
    assert "You predicted 2 s. Outcome: 4 s. You were too low by a factor of 2." in said()
    notebook.calibration()
    card = ask(DRAWN)
    assert ask(DRAWN).text == card.text  # the same numbers again
    assert "too large" in card.submit("1e9").plain
    assert "Not saved" in card._feedback.value
    card.hint()
    assert "Not saved" in card._hint_text.value and "Hint" in card._hint_text.value

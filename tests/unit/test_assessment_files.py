"""No fault of the disk or of a progress file hides a result or loses one."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from typing import Any

import pytest

from labs_lib.assessment import events, notebook, progress
from labs_lib.assessment.progress import read_events, record, standing
from labs_lib.cli import main
from labs_lib.errors import LabError
from labs_lib.widgets import ask

NUMBER = "00.trained-share"
DRAWN = "04.train.counted"


pytestmark = pytest.mark.usefixtures("own_home")


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
    assert [event["id"] for event in now.events] == ["00.course.rhythm"]
    assert now.unreadable == 1
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
    assert len(read_events()[0]) == 2
    assert standing().unreadable == 0
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
    assert len(read_events()[0]) == 1
    assert standing().unreadable == 0
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


def test_a_dash_is_no_file_to_export_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match="export: '-' is no file name"):
        progress.export_progress(pathlib.Path("-"))
    assert not list(tmp_path.iterdir())


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
    assert [event["id"] for event in read_events()[0]] == ["x", "z"]
    assert standing().unreadable == 0


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
    held = contextlib.ExitStack()
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
        held.enter_context(filelock.FileLock(f"{progress.progress_file()}.lock"))
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
    yield request.param
    held.close()


def test_the_result_is_shown_where_nothing_can_be_kept(bad_place, capsys, monkeypatch):
    def said() -> str:
        out = capsys.readouterr().out
        assert "Not saved: " in out
        assert out.count("Not saved") == 1
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
    assert "Not saved" in card._hint_text.value
    assert "Hint" in card._hint_text.value


def test_a_home_that_is_nobodys_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("LABS_HOME", "~nobody-of-this-name/labs")
    with pytest.raises(SystemExit) as ended:
        main(["progress"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "LABS_HOME" in said
    assert said.count("\n") == 1

"""`labs doctor`: says what is there, and how to mend what is not."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from labs_lib import hardware, health
from labs_lib.commands import doctor
from labs_lib.health import contents, machine, programs, python


def state_of(checks: list[health.Check], name: str) -> health.Check:
    """Return the check of that name."""
    return next(check for check in checks if check.name == name)


def test_json_lists_every_check_and_the_status_says_whether_all_is_well():
    result = CliRunner().invoke(doctor.command, ["--json"])
    content = json.loads(result.output)
    names = [check["name"] for check in content["checks"]]
    assert names[:6] == ["Python", "packages", "pins", "device", "memory", "disk"]
    assert content["ok"] is all(check["state"] != "missing" for check in content["checks"])
    assert result.exit_code == (0 if content["ok"] else 1)


def test_what_is_missing_comes_with_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    result = CliRunner().invoke(doctor.command, [])
    assert result.exit_code == 1
    assert "smollm2-135m-instruct is not converted yet" in result.output
    assert "mend: python -m labs_lib.models" in result.output
    assert result.output.rstrip().endswith("Something is missing.")


def test_a_package_that_is_gone_or_out_of_range_is_named(monkeypatch: pytest.MonkeyPatch):
    real = python.metadata.version

    def version(name: str) -> str:
        if name == "peft":
            raise python.metadata.PackageNotFoundError(name)
        return "4.0" if name == "transformers" else real(name)

    monkeypatch.setattr(python.metadata, "version", version)
    monkeypatch.setattr(python, "in_course_venv", lambda: False)
    check = python.packages()
    assert check.state == "missing"
    assert "peft is not installed" in check.found
    assert "transformers 4.0, the course needs" in check.found
    assert check.mend.startswith('python -m pip install "peft')
    monkeypatch.setattr(python, "in_course_venv", lambda: True)
    assert python.packages().mend.endswith("course.py setup")


def test_a_version_off_its_pin_is_told_but_stops_nobody(monkeypatch: pytest.MonkeyPatch):
    real = python.metadata.version
    monkeypatch.setattr(
        python.metadata, "version", lambda name: "0.1" if name == "tqdm" else real(name)
    )
    check = python.pins()
    assert check.state == "optional"
    assert "tqdm 0.1 (pinned 4." in check.found


def test_a_check_that_breaks_is_a_line_of_the_report(monkeypatch: pytest.MonkeyPatch):
    def broken() -> hardware.Hardware:
        raise ImportError("libtorch.so:\n cannot open")

    monkeypatch.setattr(hardware, "detect", broken)
    check = state_of(health.examine(), "device")
    assert check.state == "missing"
    assert check.found == "ImportError: libtorch.so: cannot open"
    assert check.mend


# What happened to the course's files → the check that says so, what it says, how to mend it.
DAMAGE = [
    ("recipes", None, "recipes", "no recipe in"),
    ("recipes/sweeps", None, "recipes", "no sweep in"),
    ("recipes/compare.yaml", "rnak: 8\n", "recipes", "did you mean 'rank'?"),
    ("recipes/compare.yaml", "rank: [", "recipes", "compare.yaml, line 1"),
    ("recipes/sweeps/dropout.yaml", "grid: 3\n", "recipes", "dropout.yaml"),
    ("quizzes", None, "quizzes", "no folder"),
    ("quizzes/05_qlora/questions.yaml", "questions: [\n", "quizzes", "05_qlora/questions.yaml:"),
    ("quizzes/05_qlora/questions.yaml", "lesson: x\n", "quizzes", "05_qlora/questions.yaml:1"),
    ("labs_lib/data/sets", None, "data sets", "sea-captain"),
    ("labs_lib/data/sets/sea-captain/test.jsonl", "{", "data sets", "not JSON"),
    ("labs_lib/data/sets/sea-captain/card.yaml", "a: [", "data sets", "sea-captain"),
    ("labs_lib/data/sets/general-knowledge/train.jsonl", None, "data sets", "No such file"),
]


@pytest.mark.parametrize(("path", "text", "name", "complaint"), DAMAGE)
def test_what_the_course_brings_is_read_and_what_is_wrong_is_told(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    text: str | None,
    name: str,
    complaint: str,
):
    from labs_lib import data, paths
    from labs_lib.data import bundled

    for brought in ("recipes", "quizzes", "labs_lib/data/sets"):
        shutil.copytree(root / brought, tmp_path / brought)
    for file in ("pyproject.toml", "setup.py", "course.py"):
        (tmp_path / file).touch()
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "labs_lib")
    monkeypatch.setattr(bundled, "folder_of", lambda name: tmp_path / "labs_lib/data/sets" / name)
    monkeypatch.delenv("LABS_QUIZZES", raising=False)
    data.load_set.cache_clear()
    looks = {
        "recipes": contents.recipes,
        "quizzes": contents.quizzes,
        "data sets": contents.data_sets,
    }
    try:
        assert {check().state for check in looks.values()} == {"ok"}
        data.load_set.cache_clear()
        if text is not None:
            (tmp_path / path).write_text(text, encoding="utf-8")
        elif (tmp_path / path).is_dir():
            shutil.rmtree(tmp_path / path)
        else:
            (tmp_path / path).unlink()
        checks = {check: look() for check, look in looks.items()}
    finally:
        data.load_set.cache_clear()
    assert [wrong for wrong, check in checks.items() if check.state == "missing"] == [name]
    assert complaint in checks[name].found
    assert "\n" not in checks[name].found
    assert checks[name].mend.startswith("download the course again and copy its folder ")
    (tmp_path / ".git").mkdir()
    assert looks[name]().mend.startswith("in the course's folder: git checkout -- ")


def test_private_banks_are_told_by_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LABS_QUIZZES", str(tmp_path / "gone"))
    assert contents.quizzes().state == "missing"
    assert "LABS_QUIZZES" in contents.quizzes().mend
    (tmp_path / "gone").mkdir()
    assert "no question bank" in contents.quizzes().found
    monkeypatch.setenv("LABS_QUIZZES", "~no-such-user-here/banks")
    assert "LABS_QUIZZES: " in contents.quizzes().found
    assert "LABS_QUIZZES" in contents.quizzes().mend


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage("/")._replace(free=10**8)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    check = machine.disk()
    assert check.state == "missing"
    assert "0.1 GB free" in check.found
    assert "LABS_HOME" in check.mend


def test_a_home_that_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    assert machine.disk().state == "missing"


def test_the_kernel_must_run_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    monkeypatch.setattr(KernelSpecManager, "find_kernel_specs", lambda _self: {"k": str(tmp_path)})
    for program, state in (("/elsewhere/python", "missing"), (sys.executable, "ok")):
        spec = KernelSpec(argv=[program])
        monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda _self, _name, s=spec: s)
        assert programs.kernel().state == state


def test_the_hub_is_left_alone_unless_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in programs.model_hub(ask=True).found
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert "not asked" in programs.model_hub(ask=False).found
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    check = programs.model_hub(ask=True)
    assert (check.state, check.mend) == ("optional", "set HF_HUB_OFFLINE=1 to stop asking it")

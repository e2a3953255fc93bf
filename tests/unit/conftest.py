"""What the unit tests share: a folder of their own, models that train in a second."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import coverage


SEEN = pytest.StashKey[set[str]]()
"""The tests that take seconds of which a case has run in this process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files: those that fork for each answer, those that train, all others.

    A fork copies the lists of its parent's memory, of which training leaves gigabytes behind; and
    what takes minutes must not be left to one worker in the end.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}

    def turn(item: pytest.Item) -> int:
        if item.path.name.startswith("test_assessment"):
            return 0
        return 1 if item.path in slow else 2

    items.sort(key=turn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count no statements where counting takes a third of the time: while a slow test runs.

    Of a test that takes seconds, the first case is counted in each process, and the others are not.
    """
    counting = None
    if sys.version_info < (3, 12) and is_long(item):
        counting = running_coverage(item.config)
    if counting is not None:
        counting.stop()
    try:
        return (yield)
    finally:
        if counting is not None:
            counting.start()


def is_long(item: pytest.Item) -> bool:
    """Return whether a test is slow, or a further case of one that takes seconds."""
    if item.get_closest_marker("slow") is not None:
        return True
    if item.get_closest_marker("seconds") is None:
        return False
    test = item.nodeid.partition("[")[0]
    seen = item.config.stash.setdefault(SEEN, set())
    further = test in seen
    seen.add(test)
    return further


def running_coverage(config: pytest.Config) -> coverage.Coverage | None:
    """Return what counts the statements that this run's tests reach; None where nothing does."""
    if not config.pluginmanager.hasplugin("_cov"):
        return None
    import coverage

    return coverage.Coverage.current()


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student's folder of the test's own, and a session that remembers nothing."""
    from labs_lib.assessment import notebook

    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABS_SEED", "3")
    monkeypatch.setattr(notebook, "_unrecorded_hints", {})
    monkeypatch.setattr(notebook, "_unrecorded_predictions", {})


@pytest.fixture
def course_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own on which the launcher works: a lock, a project and no environment."""
    from launcher_stand_ins import move_launcher

    move_launcher(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def set_up_steps(course_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that a set-up took, in order; the steps themselves are stood in for."""
    from launcher_stand_ins import note_steps

    return note_steps(monkeypatch)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, labs_home: Path) -> Path:
    """Return a folder with a two-layer random Llama that speaks the bundled model's tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from labs_lib import models

    folder = tmp_path_factory.mktemp("tiny") / "model"
    bundled = models.prepare_bundled()
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=64,  # a 4-bit block holds 64 weights
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    for file in bundled.iterdir():
        if "token" in file.name or "template" in file.name:
            shutil.copy(file, folder / file.name)
    return folder


@pytest.fixture(scope="session")
def tiny_adapter(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Return the folder of a plain LoRA adapter on the tiny model."""
    from adapter_making import trained
    from adapter_tables import Q_V

    folder = tmp_path_factory.mktemp("tiny-adapter") / "adapter"
    trained(tiny_model, "LoraConfig", {"r": 4, **Q_V}, folder)
    return folder


@pytest.fixture
def code_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a question that asks for code, in a bank of its own: the course's have none.

    Its bank is one of lesson 04, whose exercises stay the course's.
    """
    folder = tmp_path / "banks"
    folder.mkdir()
    common = "objective: a, difficulty: 1, hint: h, explanation: e, source: s"
    (folder / "04_code.yaml").write_text(
        'lesson: "04"\ntitle: T\nobjectives: {a: b}\nquestions:\n'
        f"- {{id: 04.a.code, kind: code, prompt: Count., {common}, exercise: 04.count-function}}\n"
        f"- {{id: 04.a.number, kind: numeric, prompt: Count two., {common}, answer: 2}}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("LABS_QUIZZES", str(folder))
    return "04.a.code"

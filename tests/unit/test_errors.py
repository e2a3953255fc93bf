"""An error's parts, and the line that they make."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

from labs_lib.errors import LabError, choice_error
from labs_lib.files import NotWrittenError


def test_the_line_names_the_field_and_the_parts_stay() -> None:
    error = LabError("there is no such\n folder", field="model")
    assert str(error) == "model: there is no such folder"
    assert (error.field, error.reason) == ("model", "there is no such\n folder")
    assert choice_error("method", "lore", ["lora", "qlora"]).field == "method"
    plain = LabError("one line")
    assert (str(plain), plain.field, plain.reason) == ("one line", "", "one line")


def test_an_error_crosses_to_another_process_with_its_parts() -> None:
    error = LabError("there is no such folder", field="model")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(other), other.field, other.reason) == (str(error), "model", error.reason)


def test_what_cannot_be_written_keeps_its_path_its_reason_and_its_remark() -> None:
    error = NotWrittenError(Path("run"), "No space left on device", "the last checkpoint is kept")
    assert str(error) == "cannot write run: No space left on device; the last checkpoint is kept"
    assert (error.path, error.reason) == (Path("run"), "No space left on device")

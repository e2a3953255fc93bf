"""Records in files: what was written is read back, and what is no record is one line."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from labs_lib.errors import LabError
from labs_lib.files import to_json
from labs_lib.training import Comparison, SweepResult
from labs_lib.training.bench.results import BenchResult

RECORDED = sorted(
    file.name
    for file in (resources.files("labs_lib.training") / "recorded").iterdir()
    if file.name.endswith(".json")
)


KINDS = {"compare": Comparison, "bench": BenchResult}


def recorded(name: str) -> tuple[type[Comparison] | type[BenchResult] | type[SweepResult], Path]:
    """Return a recorded file's kind and its path."""
    kind = KINDS.get(name.partition("-")[0], SweepResult)
    return kind, Path(str(resources.files("labs_lib.training") / "recorded" / name))


def assert_within(part: Any, whole: Any) -> None:
    """Assert that `whole` has all of `part`, and beside it nothing but fields that came later."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert_within(value, whole[key])
    elif isinstance(part, list):
        assert len(part) == len(whole)
        for one, other in zip(part, whole, strict=True):
            assert_within(one, other)
    else:
        assert part == whole
        assert type(part) is type(whole)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_file_is_read_and_written_with_all_its_values(name: str) -> None:
    kind, path = recorded(name)
    record = kind.load(path)
    written = json.loads(to_json(record.as_dict()))
    assert kind.from_dict(written) == record
    assert_within(json.loads(path.read_text(encoding="utf-8")), written)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompts": "one text"}, "prompts"),
        ({"points": [{"seed": 0}]}, "points.0.changes"),
        ({"versions": {"torch": 2}}, "versions.torch"),
        ({"finished": "yesterday"}, "finished"),
    ],
)
def test_a_value_of_another_kind_is_named_by_its_field(
    change: dict[str, Any], field: str, tmp_path: Path
) -> None:
    content = json.loads(recorded("dropout.json")[1].read_text(encoding="utf-8"))
    (tmp_path / "out.json").write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(LabError, match=rf"^sweep: out\.json is damaged: {field}: [^\n]+$"):
        SweepResult.load(tmp_path / "out.json")

"""Syncing and executing lessons: equal to the source, clean, all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs_lib.errors import LabError
from tools import notebooks

LESSON = """\
# %% [markdown]
# # A lesson

# %%
import os
import sys

print("bar  10%\\rbar 100%")
print("noise", file=sys.stderr)

# %% tags=["trains"]
import ipywidgets

ipywidgets.IntSlider(value=3)

# %%
os.environ["TQDM_DISABLE"], os.path.basename(os.getcwd())
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A lesson of four cells in a course of its own."""
    path = tmp_path / "notebooks" / "source" / "00_tiny.py"
    path.parent.mkdir(parents=True)
    path.write_text(LESSON, encoding="utf-8")
    return path


def test_a_renewed_notebook_is_its_source_executed_and_clean(source: Path):
    notebooks.renew(source)
    notebook = notebooks.read(notebooks.notebook_of(source))
    assert notebooks.cells_of(notebook) == notebooks.cells_of(notebooks.read(source))
    assert notebooks.trains(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    assert "version" not in notebook.metadata.language_info
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3]
    assert [output.name for output in code[0].outputs] == ["stdout"]
    assert code[0].outputs[0].text == "bar 100%\n"
    assert list(code[1].outputs[0].data) == ["text/plain"]
    assert code[2].outputs[0].data["text/plain"] == "('1', 'notebooks')"
    again = notebooks.notebook_of(source).read_bytes()
    notebooks.renew(source)
    assert notebooks.notebook_of(source).read_bytes() == again


def test_a_failing_cell_leaves_the_old_notebook(source: Path):
    notebook = notebooks.notebook_of(source)
    notebook.write_text("old", encoding="utf-8")
    source.write_text("# %%\n1 + 1\n\n# %%\n1 / 0\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"cell 2 '1 / 0': ZeroDivisionError: division by zero"):
        notebooks.renew(source)
    assert notebook.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in notebook.parent.iterdir()) == ["00_tiny.ipynb", "source"]


def test_an_output_that_names_a_place_on_this_machine_is_refused(source: Path):
    source.write_text("# %%\nimport os\nos.getcwd(), '/home/ann/x'\n", encoding="utf-8")
    with pytest.raises(LabError, match="would be stored in the notebook"):
        notebooks.renew(source)


@pytest.mark.parametrize("text", ["/home/ann/x", "/Users/ann", r"C:\Users\ann", "/root/.cache"])
def test_personal_paths_are_seen(text: str):
    assert notebooks.leaks(_printed(text))


def test_ordinary_text_is_no_leak():
    assert not notebooks.leaks(_printed("runs/sea-captain, 12 / 4, the root of 2, q_proj/k_proj"))


def test_an_edit_keeps_the_ids_of_the_other_cells(source: Path):
    before = [cell.id for cell in notebooks.built_from(source).cells]
    source.write_text(LESSON.replace("value=3", "value=4"), encoding="utf-8")
    after = [cell.id for cell in notebooks.built_from(source).cells]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True]
    assert len(set(after)) == 4


def test_an_unknown_name_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert notebooks.main(["00_start_hear"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "'00_start_hear' is not one of" in message


def _printed(text: str):
    import nbformat

    output = nbformat.v4.new_output("stream", name="stdout", text=text)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])

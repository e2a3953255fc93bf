"""Lessons as files: keep each notebook equal to its source, execute it, store clean outputs.

`python -m tools.notebooks [--record-times] [NAME ...]` does so for all lessons or the named ones;
the tests read notebooks through the same functions.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error
from labs_lib.files import write_text

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
CELL_SECONDS = 1200
# What each lesson's cells took on two cores that had nothing else to do: lesson → seconds.
SECONDS = FOLDER.parent / "benchmarks" / "results" / "lesson-seconds.json"
# A machine is never equally busy twice; a smaller change than this share is none of the lesson's.
NOISE = 0.2
RECORD = "--record-times"
TRAINS = "trains"  # the tag of a cell that trains a model: `# %% tags=["trains"]`
# `python3` is what every Jupyter server calls its own Python, so a notebook opens anywhere.
METADATA: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# Outputs say what a lesson computed, not on whose machine: bars and notices stay out.
QUIET = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "JUPYTER_PLATFORM_DIRS": "1",
    "LABS_SEED": "0",  # parameterised questions keep their numbers
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
_PERSONAL = re.compile(r"(?:/home/|/Users/|/root\b|/tmp/|/var/folders/|[A-Za-z]:\\{1,2}Users\\)\S*")

Notebook = Any  # nbformat's NotebookNode: a dict whose keys are also attributes


def sources(folder: Path = FOLDER) -> list[Path]:
    """Return the text of each lesson (jupytext py:percent), in order."""
    return sorted((folder / "source").glob("*.py"))


def notebook_of(source: Path) -> Path:
    """Return the notebook that belongs to a source."""
    return source.parent.parent / f"{source.stem}.ipynb"


def read(path: Path) -> Notebook:
    """Read a notebook file (.ipynb) or a source (.py).

    Raises `LabError` where the file is no notebook.
    """
    try:
        if path.suffix == ".py":
            import jupytext

            return jupytext.read(path, fmt="py:percent")
        import nbformat

        return nbformat.read(path, as_version=4)
    except (OSError, ValueError) as error:
        raise LabError(f"{path.name}: cannot be read as a notebook: {error}") from error


def cells_of(notebook: Notebook) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (type, text, tags) of each cell: what a notebook and its source must agree in."""
    return [
        (cell.cell_type, cell.source.strip(), tuple(cell.metadata.get("tags", ())))
        for cell in notebook.cells
    ]


def trains(notebook: Notebook) -> bool:
    """Return whether a cell is tagged as training a model."""
    return any(TRAINS in tags for _, _, tags in cells_of(notebook))


def built_from(source: Path) -> Notebook:
    """Return the notebook of a source, without outputs.

    A cell's id comes from its text, so that an edit elsewhere does not change it. By the form of
    these ids `labs_lib.workbook.merging` tells an author's cell from a student's.
    """
    import nbformat

    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    repeats: dict[str, int] = {}
    for cell in read(source).cells:
        text = cell.source
        count = repeats[text] = repeats.get(text, 0) + 1
        digest = hashlib.sha256(f"{cell.cell_type} {count} {text}".encode()).hexdigest()
        new = (
            nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        )
        tags = cell.metadata.get("tags")
        metadata = {"tags": list(tags)} if tags else {}
        notebook.cells.append(new(text, id=digest[:12], metadata=metadata))
    return notebook


def execute(
    notebook: Notebook, folder: Path = FOLDER, environment: Mapping[str, str] | None = None
) -> None:
    """Run every cell in a new kernel whose working folder is `folder`; outputs land in place.

    Raises `LabError` naming the first cell that fails, with its error.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
    )
    try:
        client.execute(env={**os.environ, **QUIET, **(environment or {})})
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        where, why = _failure(notebook, error)
        raise LabError(f"{where}: {why}") from error


def _failure(notebook: Notebook, error: Exception) -> tuple[str, str]:
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                return f"cell {number} {_head(cell)}", f"{output.ename}: {output.evalue}"
    return "a cell", str(error).strip().splitlines()[-1]


def _head(cell: Notebook) -> str:
    return repr(cell.source.strip().partition("\n")[0][:60])


def clean(notebook: Notebook) -> None:
    """Take out what changes from run to run or belongs to one machine.

    That is timings, kernel versions, widget state and views (a view without its state shows
    only an error), standard error, and what carriage returns overwrote.
    """
    notebook.metadata.clear()
    notebook.metadata.update(METADATA)
    for cell in notebook.cells:
        for key in [key for key in cell.metadata if key != "tags"]:
            del cell.metadata[key]
        if cell.cell_type != "code":
            continue
        outputs = []
        for output in cell.outputs:
            if output.output_type == "stream":
                if output.name == "stderr":
                    continue
                output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
            elif output.output_type in ("display_data", "execute_result"):
                output.data.pop(WIDGET_VIEW, None)
            outputs.append(output)
        cell.outputs = outputs


def text_of(output: Notebook) -> str:
    """Return all the text of an output: stream, error or the text forms of rich data."""
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join([output.ename, output.evalue, *output.traceback])
    return "\n".join(
        text for kind, text in output.data.items() if kind.startswith("text/") and text is not None
    )


def leaks(notebook: Notebook) -> list[str]:
    """Return what in the outputs tells of one machine or one person: paths, the user's folder."""
    places = []
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", ()):
            text = text_of(output)
            for secret in {str(Path.home()), str(FOLDER.parent), tempfile.gettempdir()} - {"/"}:
                if secret in text:
                    places.append(f"cell {number} {_head(cell)}: {secret}")
            places += [f"cell {number} {_head(cell)}: {hit[0]}" for hit in _PERSONAL.finditer(text)]
    return places


@contextlib.contextmanager
def scratch_home() -> Iterator[Path]:
    """Yield a new LABS_HOME that sees this machine's converted models but not its progress."""
    from labs_lib.paths import cache_dir

    real = cache_dir()
    with tempfile.TemporaryDirectory(prefix="lora-lab-") as name:
        home = Path(name)
        real.mkdir(parents=True, exist_ok=True)
        try:
            (home / "cache").symlink_to(real, target_is_directory=True)
        except OSError:  # Windows allows links only to some users
            shutil.copytree(real, home / "cache")
        yield home


def renew(source: Path) -> float:
    """Bring a lesson's notebook up to its source, executed and clean; return the seconds.

    Raises `LabError` where a cell fails or an output names a place on this machine; the
    notebook then stays as it was.
    """
    import nbformat

    started = time.perf_counter()
    notebook = built_from(source)
    with scratch_home() as home:
        execute(notebook, source.parent.parent, {"LABS_HOME": str(home)})
    clean(notebook)
    if places := leaks(notebook):
        raise LabError(
            f"{places[0]} would be stored in the notebook; print it relative or not at all"
        )
    write_text(notebook_of(source), nbformat.writes(notebook) + "\n")
    return time.perf_counter() - started


def recorded_seconds() -> dict[str, float]:
    """Return lesson → the seconds that its cells took when it was executed."""
    return json.loads(SECONDS.read_text(encoding="utf-8"))


def record_seconds(name: str, seconds: float, anew: bool = False) -> str:
    """Record what a lesson's cells took if nothing is recorded, or `anew`; return what to tell.

    A busy or a faster machine must not change what the course says of its lessons, so a record is
    only replaced where its author asks for it, and never by a figure that noise explains.
    """
    recorded = recorded_seconds()
    before = recorded.get(name)
    if before is not None and abs(seconds - before) <= NOISE * before:
        return ""
    if before is None or anew:
        _write_seconds({**recorded, name: max(1, round(seconds))})
        return ""
    return f"{before:g} s are recorded; {RECORD} replaces them, on two cores with no other work"


def forget_gone_lessons() -> None:
    """Leave out of the recorded seconds those of lessons that are there no more."""
    recorded, present = recorded_seconds(), {source.stem for source in sources()}
    if set(recorded) - present:
        _write_seconds({name: recorded[name] for name in recorded if name in present})


def _write_seconds(seconds: Mapping[str, float]) -> None:
    write_text(SECONDS, json.dumps(dict(sorted(seconds.items())), indent=2) + "\n")


def main(arguments: list[str]) -> int:
    """Renew the named lessons, or all; print the seconds of each and return the exit status."""
    parser = argparse.ArgumentParser(prog="notebooks", description="Execute lessons.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is named")
    parser.add_argument(RECORD, dest="anew", action="store_true", help="record what they took")
    options = parser.parse_args(arguments)
    known = {source.stem: source for source in sources()}
    status = 0
    try:
        for name in options.names:
            if name not in known:
                raise choice_error("notebook", name, known)
    except LabError as error:
        print(f"notebooks: {error}", file=sys.stderr)
        return 2
    for name in options.names or list(known):
        try:
            seconds = renew(known[name])
            note = record_seconds(name, seconds, options.anew)
            print(f"{seconds:7.1f} s  {name}{note and f'  ({note})'}", flush=True)
        except LabError as error:
            print(f"notebooks: {name}: {error}", file=sys.stderr, flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""From notebooks, ledger and README to a folder of pages: laid out, built by Sphinx, checked."""

from __future__ import annotations

import html
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from labs_lib.errors import LabError
from labs_lib.files import write_text
from labs_lib.yamls import read_yaml
from tools import notebooks
from tools.site import checking, pages
from tools.site.findings import recorded_findings
from tools.site.lessons import reading_page

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "site"
FILM = ROOT / "film"
OUTPUT = ROOT / "build" / "site"
MOST_FAULTS = 20  # told of one build


def settings(repository: str | None = None) -> dict[str, str]:
    """Return site/settings.yaml, with another repository if one is given.

    Raises `LabError` for an address that is no https address.
    """
    read = {key: str(value or "") for key, value in read_yaml(SITE / "settings.yaml").items()}
    read["repository"] = read["repository"] if repository is None else repository
    address = urlsplit(read["repository"])
    if read["repository"] and not (address.scheme == "https" and address.netloc):
        raise LabError(
            f"repository: {read['repository']!r} is no address; legal: one that begins with https:"
        )
    return read


def badges(lesson: str, chosen: Mapping[str, str]) -> str:
    """Return the line under a lesson's title: where it can be worked through."""
    own = "<code>python3 course.py start</code>"
    if not chosen["repository"]:
        return f'<p class="lab-badges">To work in this lesson: {own} on your machine.</p>\n'
    address = chosen["hosted_notebook"].format(
        repository=quote(chosen["repository"], safe=""),
        revision=quote(chosen["revision"], safe=""),
        lesson=quote(lesson),
    )
    return (
        f'<p class="lab-badges"><a class="lab-badge" href="{html.escape(address)}">'
        f"Open in a hosted notebook</a> or, on your machine, {own}</p>\n"
    )


def build(output: Path, chosen: Mapping[str, str]) -> int:
    """Build the site into `output`, which is replaced at the end; return the number of pages.

    Nothing is executed. Raises `LabError` with what Sphinx warns of or `checking` finds; the folder
    then stays as it was.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="site-", dir=output.parent) as name:
        source, built = Path(name) / "pages", Path(name) / "site"
        lay(source, chosen)
        run_sphinx(source, built)
        if found := checking.faults(built):
            more = f"; {len(found) - MOST_FAULTS} more" if len(found) > MOST_FAULTS else ""
            raise LabError("; ".join(found[:MOST_FAULTS]) + more)
        if output.exists():
            shutil.rmtree(output)
        built.rename(output)
    return len(list(output.glob("*.html")))


def lay(folder: Path, chosen: Mapping[str, str]) -> None:
    """Write the sources of all pages into a new folder."""
    import nbformat

    folder.mkdir()
    shutil.copy(SITE / "conf.py", folder)
    shutil.copytree(SITE / "static", folder / "_static")
    shutil.copytree(notebooks.FOLDER / "images", folder / "images")
    names = []
    for path in map(notebooks.notebook_of, notebooks.sources()):
        page = reading_page(notebooks.read(path), badges(path.stem, chosen), fragment)
        write_text(folder / path.name, nbformat.writes(page))
        names.append(path.stem)
    texts = {"ledger": pages.ledger_page(ROOT / "claims", recorded_findings())}
    if film := pages.film_page(FILM):
        texts["film"] = film
        (folder / "_static" / "film").mkdir()
        shutil.copy(FILM / pages.FILM[0], folder / "_static" / "film")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    texts["index"] = pages.start_page(readme, [*names, *texts])
    for name, text in texts.items():
        write_text(folder / f"{name}.md", text)


def fragment(name: str, state: dict[str, Any]) -> str:
    """Return the HTML of an instrument that runs in the page."""
    from labs_lib.widgets.page import page_html

    return page_html(name, state)


def run_sphinx(source: Path, built: Path) -> None:
    """Have Sphinx build the pages; raise `LabError` with its warnings, each of which is a fault."""
    command = [
        sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-j", "auto",
        "-d", str(source.parent / "doctrees"), str(source), str(built),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        told = done.stdout.replace(f"{source}/", "").splitlines()
        lines = [line for line in told if line.strip()]
        raise LabError("Sphinx: " + "\n  ".join(lines[:MOST_FAULTS]))

"""The browser in which the tests open a lesson: one that is here, or one that can be brought.

`python -m labs_lib.browser` prints its path; where there is none it is fetched first, by Playwright
or else by apt-get.  `LABS_BROWSER` names another one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labs_lib.errors import LabError

VARIABLE = "LABS_BROWSER"
# Browsers made of Chromium, which Playwright drives through one protocol.
NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "microsoft-edge-stable", "msedge",
)  # fmt: skip
FONTS = "fonts-dejavu-core"
MAC = ("Google Chrome", "Chromium", "Microsoft Edge")
WINDOWS = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".pfb")
DOWNLOAD_SECONDS = 900
START_SECONDS = 60


def find() -> Path | None:
    """Return a browser that starts, None where there is none.

    Raises `LabError` where `LABS_BROWSER` names something else.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = shutil.which(named)
        if path is None or not starts(Path(path)):
            raise LabError(
                f"{VARIABLE}: {named!r} is no browser that starts; name one, or unset it"
            )
        return Path(path)
    return next((path for path in candidates() if starts(path)), None)


def candidates() -> Iterator[Path]:
    """Yield what may be a browser here, the system's before Playwright's own."""
    yield from (Path(path) for name in NAMES if (path := shutil.which(name)))
    if sys.platform == "darwin":
        for folder in (Path("/Applications"), Path.home() / "Applications"):
            yield from (folder / f"{name}.app/Contents/MacOS/{name}" for name in MAC)
    if sys.platform == "win32":
        for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
            if top := os.environ.get(variable):
                yield from (Path(top) / name for name in WINDOWS)
    own = playwrights_own()
    if own is not None:
        yield own


def playwrights_own() -> Path | None:
    """Return where Playwright keeps the Chromium that it downloads; None without Playwright."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return None

    def ask() -> Path:
        with sync_playwright() as playwright:
            return Path(playwright.chromium.executable_path)

    try:  # a thread of its own has no event loop yet; in a notebook or a test this one has
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(ask).result()
    except (Error, OSError):
        return None


def starts(path: Path) -> bool:
    """Return whether a program answers as a browser does.

    Ubuntu's `chromium-browser` may be a stub that asks for a snap, and a downloaded Chromium may
    lack libraries of the system.
    """
    if not path.is_file():
        return False
    if sys.platform == "win32":  # there it would open a window
        return True
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, stdin=subprocess.DEVNULL,
            timeout=START_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and re.search(rb"\d", answer.stdout) is not None


def bring() -> Path:
    """Return a browser that starts, fetching one where there is none.

    Raises `LabError` with what was tried and what a person can do.
    """
    path = find()
    reasons = []
    packages = ("chromium", FONTS)
    ways = ((by_playwright, "Playwright's download"), (lambda: by_apt(*packages), "apt-get"))
    for fetch, name in ways:
        if path is not None:
            break
        reason = fetch()
        path = find()
        if path is None:
            reasons.append(f"{name}: {reason or 'what it brought does not start'}")
    if path is None:
        raise LabError(
            f"no Chromium, Chrome or Edge here ({'; '.join(reasons)}); install one, or name one "
            f"with {VARIABLE}; `course.py test --fast` needs none"
        )
    if sys.platform.startswith("linux") and not has_fonts() and (reason := by_apt(FONTS)):
        say(f"no fonts here, so pages may show boxes for letters (apt-get: {reason})")
    return path


def by_playwright() -> str:
    """Download Playwright's Chromium; return why it could not, or an empty string."""
    say("Fetching a browser for the tests: Playwright's Chromium, some 200 MB")
    return run([sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"])


def by_apt(*packages: str) -> str:
    """Install packages of Debian's; return why it could not, or an empty string."""
    apt = shutil.which("apt-get")
    if apt is None:
        return "not on this machine"
    as_root: list[str] = []
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        as_root = ["sudo", "-n"]
        if shutil.which("sudo") is None or run([*as_root, "true"]):
            return "needs an administrator"
    # sudo hands variables on only as arguments.
    command = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-q"]
    say(f"Fetching {' and '.join(packages)} with apt-get")
    run([*command, "update"])  # an old list may do; the installation tells
    return run([*command, "install", "-y", "--no-install-recommends", *packages])


def has_fonts() -> bool:
    """Return whether there is any font for a page's letters."""
    folders = (Path(folder).expanduser() for folder in FONT_FOLDERS)
    return any(file.suffix in FONT_SUFFIXES for top in folders for file in top.rglob("*"))


def run(command: Sequence[str]) -> str:
    """Run a program; return its last words if it failed, an empty string if not."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", timeout=DOWNLOAD_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not done after {DOWNLOAD_SECONDS} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip(" |╔╗╚╝═║")]
    errors = [line for line in lines if "error" in line.lower() or line.startswith("E:")]
    return (errors or lines or [f"exit status {done.returncode}"])[-1][:160]


def say(line: str) -> None:
    """Tell a person what takes long; standard output is the path's."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    from labs_lib.endings import one_line_errors

    with one_line_errors("browser"):
        print(bring())

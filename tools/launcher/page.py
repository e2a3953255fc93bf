"""A browser on the first lesson, by way of a page that its owner alone may read."""

from __future__ import annotations

import html
import os
import stat
import sys
import tempfile
import threading
import webbrowser
from pathlib import Path

from tools.launcher import places
from tools.launcher.terminal import say


def show_in_browser(address: str, port: int) -> Path | None:
    """Open the address by way of a private page, as Jupyter does; return the page.

    Other people on the machine can read a browser's command line: it names the page, which only
    its owner may read, and which leads on to the address with its token.
    """
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    page = private_page(address, port) if has_screen else None
    if page is None:
        say("No browser can be opened from here: open that address yourself.")
        return None

    def show() -> None:  # a browser that is named in BROWSER is waited for
        try:
            opened = webbrowser.open(page.as_uri())
        except (webbrowser.Error, OSError, ValueError):  # ValueError: BROWSER has an open quote
            opened = False
        if not opened:
            say("No browser could be opened: open that address yourself.")

    threading.Thread(target=show, name="browser", daemon=True).start()
    return page


def private_page(address: str, port: int) -> Path | None:
    """Write a page that leads to the address and that its owner alone may read; None if it can't.

    In the course's folder: a browser that is a snap sees neither hidden folders nor /tmp.
    """
    target = html.escape(address)
    text = (
        '<!DOCTYPE html><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="0; url={target}">'
        f'<title>LoRA Lab</title><a href="{target}">LoRA Lab</a>\n'
    )
    own = places.ROOT / "build" / f"open-{port}.html"
    for place in (own, None):
        try:
            if place is None:
                handle, name = tempfile.mkstemp(prefix="lora-lab-", suffix=".html")
            else:
                name = str(place)
                place.unlink(missing_ok=True)  # of a server that was killed
                handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except OSError:
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            private = os.name == "nt" or not stat.S_IMODE(os.fstat(handle).st_mode) & 0o077
            if private:
                file.write(text)
        if private:
            return Path(name)
        Path(name).unlink(missing_ok=True)  # a disk that knows no owners
    return None

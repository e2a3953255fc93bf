"""What a finished page may not have: a broken link, a picture without words, a foreign part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes by which a page loads something; a link is only followed by a reader.
_LOADS = {
    ("script", "src"), ("img", "src"), ("link", "href"), ("source", "src"), ("track", "src"),
    ("video", "src"), ("video", "poster"), ("iframe", "src"), ("image", "href"),
}  # fmt: skip


class Page(HTMLParser):
    """What a page of a site has: its ids, its links, what it loads, its pictures without words."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.wordless: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element has."""
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if not (tag == "link" and given.get("rel") in ("next", "prev", "search", "index")):
            self.loaded += [given[name] for of, name in _LOADS if of == tag and name in given]
        if tag == "img" and not given.get("alt", "").strip():
            self.wordless.append(given.get("src", "")[:60])
        if tag == "svg" and given.get("role") == "img" and not given.get("aria-label", "").strip():
            self.wordless.append("an svg")


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the pages of a site, one line each."""
    pages = {
        path.relative_to(folder).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.parts
    }
    return [f"{name}: {fault}" for name in pages for fault in _faults_of(name, pages, folder)]


def _faults_of(name: str, pages: dict[str, Page], folder: Path) -> Iterator[str]:
    page = pages[name]
    yield from (f"a picture without words: {source}" for source in page.wordless)
    yield from (f"loads {address} from elsewhere" for address in foreign(page.loaded))
    for address in [*page.links, *page.loaded]:
        target = urlsplit(address)
        if target.scheme or target.netloc:
            continue
        path = (folder / name).parent / unquote(target.path) if target.path else folder / name
        if not path.is_file():
            yield f"{address} leads nowhere"
            continue
        known = pages.get(path.resolve().relative_to(folder.resolve()).as_posix())
        fragment = unquote(target.fragment)
        if known is not None and fragment not in ("", "#") and fragment not in known.ids:
            yield f"{address}: that page has no {fragment!r}"


def foreign(addresses: Sequence[str]) -> list[str]:
    """Return the addresses that a page would fetch from another place."""
    return [
        address
        for address in addresses
        if urlsplit(address).scheme not in ("", "data") or urlsplit(address).netloc
    ]

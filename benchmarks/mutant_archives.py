"""What mutated hand-ins are as files: torn, forged, swollen, or somebody else's."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

NAME = "hand-in.json"


class Damage(NamedTuple):
    """A way to damage a hand-in; `graded` says whether it is one all the same."""

    name: str
    damaged: Callable[[dict[str, Any], random.Random], bytes]
    caught_by: str
    graded: bool = False


def zipped(*members: tuple[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of these members; names may be double."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", packed) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (2026, 9, 1, 0, 0, 0)), content, packed)
    return file.getvalue()


def handed(content: Any) -> bytes:
    """Return a hand-in's zip."""
    return zipped((NAME, json.dumps(content).encode()))


def _changed(**fields: Any) -> Callable[[dict[str, Any], random.Random], bytes]:
    return lambda content, _: handed({**content, **fields})


def _with(*others: tuple[str, bytes]) -> Callable[[dict[str, Any], random.Random], bytes]:
    return lambda content, _: zipped((NAME, json.dumps(content).encode()), *others)


def _text(change: Callable[[str], str]) -> Callable[[dict[str, Any], random.Random], bytes]:
    return lambda content, _: zipped((NAME, change(json.dumps(content)).encode()))


def _torn(content: dict[str, Any], chance: random.Random) -> bytes:
    whole = handed(content)
    return whole[: chance.randrange(len(whole))]


def _flipped(content: dict[str, Any], chance: random.Random) -> bytes:
    whole = bytearray(handed(content))
    # Within the packed text, so that the checksum must tell.
    for _ in range(30):
        whole[chance.randrange(60, len(whole) - 200)] ^= 1 << chance.randrange(8)
    return bytes(whole)


def _link(_content: dict[str, Any], _: random.Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo(NAME)
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return file.getvalue()


def _locked(content: dict[str, Any], _: random.Random) -> bytes:
    whole = bytearray(handed(content))
    whole[6] |= 1  # the flags of the entry, here and in the directory
    whole[whole.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(whole)


_DEEP = '{"a":' * 3000 + "1" + "}" * 3000
_BOMB = b"[" + b"0," * 20_000_000 + b"0]"

DAMAGES = (
    Damage("torn archive", _torn, "reading the archive"),
    Damage("bits flipped", _flipped, "reading the archive"),
    Damage("no archive", lambda _, chance: chance.randbytes(500), "reading the archive"),
    Damage("empty file", lambda _, __: b"", "reading the archive"),
    Damage("encrypted", _locked, "reading the archive"),
    Damage("no hand-in in it", lambda _, __: zipped(("notes.txt", b"sorry")), "one named file"),
    Damage("two in one", lambda content, _: zipped(
        (NAME, json.dumps(content).encode()), (NAME, b"{}")), "one named file"),
    Damage("in a folder", lambda content, _: zipped(
        (f"work/{NAME}", json.dumps(content).encode())), "one named file"),
    Damage("too many files", _with(*((f"{n}.txt", b"") for n in range(3000))),
           "bounds of an archive"),
    Damage("path traversal beside it", _with(("../../../tmp/labs-escaped", b"x"),
                                             ("/tmp/labs-escaped", b"x")),
           "nothing is unpacked", graded=True),
    Damage("path traversal", lambda content, _: zipped(
        (f"../{NAME}", json.dumps(content).encode())), "one named file"),
    Damage("link to a file", _link, "reading the text"),
    Damage("zip bomb", lambda _, __: zipped((NAME, _BOMB)), "bounds of an archive"),
    Damage("bomb beside it", _with(("bomb", b"\0" * 50_000_000)), "nothing is unpacked",
           graded=True),
    Damage("nested archive", lambda content, _: zipped(("inner.zip", handed(content))),
           "one named file"),
    Damage("no JSON", _text(lambda text: text[:-20]), "reading the text"),
    Damage("deep JSON", _text(lambda text: text[:-1] + f', "runs": {_DEEP}' + "}"),
           "reading the text"),
    Damage("no number", _text(lambda text: text[:-1] + ', "seed": NaN}'), "reading the text"),
    Damage("huge number", _text(lambda text: text[:-1] + ', "seed": 1' + "0" * 5000 + "}"),
           "reading the text"),
    Damage("infinite answer", _text(lambda text: text.replace(
        '"response": ', '"response": 1e999, "x": ', 1)), "the form of a hand-in"),
    Damage("half a character", _text(lambda text: text.replace(
        '"name": "', '"name": "\\ud800', 1)), "the form of a hand-in"),
    Damage("UTF-16", lambda content, _: zipped((NAME, json.dumps(content).encode("utf-16"))),
           "reading the text"),
    Damage("a list", lambda _, __: handed([1, 2, 3]), "the form of a hand-in"),
    Damage("another release", _changed(release="other-000000000000"), "the release's id"),
    Damage("forged outcomes", lambda content, _: handed({**content, "responses": [
        {**each, "outcome": "correct"} for each in content["responses"]]}),
           "the form of a hand-in"),
    Damage("forged points", _changed(points=100), "the form of a hand-in"),
    Damage("wrong types", _changed(cells="import os"), "the form of a hand-in"),
    Damage("too many answers", lambda content, _: handed({**content, "responses":
           content["responses"][:1] * 30_000}), "the form of a hand-in"),
    Damage("no student", _changed(student=""), "the form of a hand-in"),
)  # fmt: skip

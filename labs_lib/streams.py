"""Output that reaches its reader: in any encoding, and without a traceback when nobody reads."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TextIO

ESCAPE = "labs-escape"
ASCII = "labs-ascii"
"""ASCII by a name of its own: click writes UTF-8 to a stream that calls itself ascii."""


def make_output_safe() -> None:
    r"""Let standard output and error escape what their encoding lacks, in place of an exception.

    A redirected output on Windows is cp1252, under `LC_ALL=C` ASCII; a path or an argument may
    hold bytes that are no text in any encoding. Such a character is written as JSON writes it
    (`\u2192`), so that what `--json` prints stays valid and loses nothing.
    """
    codecs.register_error(ESCAPE, _as_json_escapes)
    codecs.register(_ascii)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        # A notebook's or a test's stream takes any text already.
        if reconfigure is not None:
            plain = codecs.lookup(stream.encoding).name == "ascii"
            reconfigure(errors=ESCAPE, **({"encoding": ASCII} if plain else {}))


def finish_output() -> None:
    """Write out what is buffered; raises `OSError` where that is not possible."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def abandon_output() -> None:
    """Send what is still buffered nowhere, so that Python's own end does not complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            _point_nowhere(stream)


def _point_nowhere(stream: TextIO) -> None:
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _ascii(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != ASCII:
        return None
    plain = codecs.lookup("ascii")
    return codecs.CodecInfo(
        plain.encode,
        plain.decode,
        plain.streamreader,
        plain.streamwriter,
        plain.incrementalencoder,
        plain.incrementaldecoder,
        name=ASCII,
    )


def _as_json_escapes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    # UTF-16 splits a character beyond U+FFFF in two, as JSON does.
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end

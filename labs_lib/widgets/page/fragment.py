"""An instrument as a piece of a static page, alive without a kernel."""

from __future__ import annotations

import json
from typing import Any

from labs_lib.widgets.page.instrument import instrument_class
from labs_lib.widgets.page.modules import EXPORT, module_text, style_text


def page_html(name: str, state: dict[str, Any]) -> str:
    """Return an HTML fragment that runs the instrument from this state, with no request.

    `name` and `state` are those of the output's INSTRUMENT entry.  Where no script runs, the
    fragment shows the still picture.  A page may hold several, of one name too.  Raises `LabError`
    for an unknown name and for a state that the instrument refuses.
    """
    shown = instrument_class(name)(**state)
    module = module_text(name)
    head, found, rest = module.rpartition(EXPORT)
    assert found, f"{name}.js does not end with {EXPORT!r}"
    assert not rest.strip(), f"{name}.js does not end with {EXPORT!r}"
    assert "</script" not in head.lower(), f"{name}.js would end its own element"
    held = json.dumps(shown.page_state).replace("<", "\\u003c")
    return (
        f'<div class="lab-instrument-place" data-instrument="{name}">\n'
        f"<style>\n{style_text(name)}\n</style>\n"
        f'<div class="lab-instrument-view">{shown.picture()}</div>\n'
        f'<script type="application/json">{held}</script>\n'
        f'<script type="module">\n{head}startOnPage("{name}", render);\n</script>\n'
        "</div>\n"
    )

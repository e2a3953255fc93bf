"""The JavaScript and the styles of an instrument, as they are bundled with the package.

`NAME.js` ends with the line `export default { render };`.  What all of them use is in `shared.js`,
which exports nothing: it is put before the module, so that each stands alone as one text, with no
import and no request.
"""

from __future__ import annotations

import functools
from importlib import resources

from labs_lib.colors import PAGE_COLORS, PAGE_GROUNDS
from labs_lib.errors import choice_error

EXPORT = "export default { render };"
_SHARED = "shared"
# JupyterLab, VS Code, Colab, and a static page whose reader has chosen.
_DARK = (
    'body[data-jp-theme-light="false"]',
    'body[data-vscode-theme-kind*="dark"]',
    ':root[theme="dark"]',
    ':root[data-theme="dark"]',
)
# None of them: what the reader's system prefers.
_NO_THEME = (
    ":root:not([data-theme]):not([theme]) "
    "body:not([data-jp-theme-light]):not([data-vscode-theme-kind])"
)


def module_names() -> list[str]:
    """Return the names of the instruments that have a module, in alphabetical order."""
    names = [file.name for file in resources.files(__package__).iterdir()]
    stems = [name.removesuffix(".js") for name in names if name.endswith(".js")]
    return sorted(stem for stem in stems if stem != _SHARED)


@functools.cache
def module_text(name: str) -> str:
    """Return an instrument's ES module, with the shared part before it; it exports `render`.

    Raises `LabError` for a name that no module has.
    """
    if name not in module_names():
        raise choice_error("instrument", name, module_names())
    return f"{_text(f'{_SHARED}.js')}\n{_text(f'{name}.js')}"


@functools.cache
def style_text(name: str) -> str:
    """Return the styles of an instrument: the colors of both themes, the shared rules, its own."""
    own = resources.files(__package__) / f"{name}.css"
    rules = own.read_text(encoding="utf-8") if own.is_file() else ""
    return f"{_variables()}\n{_text(f'{_SHARED}.css')}\n{rules}"


def _variables() -> str:
    light, dark = (
        "".join(
            [f"--lab-{name}:{pair[index]};" for name, pair in PAGE_COLORS.items()]
            + [
                f"--lab-{name}:var({theme}, {pair[index]});"
                for name, (theme, *pair) in PAGE_GROUNDS.items()
            ]
        )
        for index in (0, 1)
    )
    light, dark = (f"{{{light}color-scheme:light}}", f"{{{dark}color-scheme:dark}}")
    chosen = ", ".join(_DARK)  # `:where` counts for nothing, so that the last rule wins
    return (
        f".lab-page {light}\n"
        f"@media (prefers-color-scheme: dark) {{:where({_NO_THEME}) .lab-page {dark}}}\n"
        f":where({chosen}) .lab-page {dark}\n"
        f"@media print {{.lab-page {light}}}"
    )


def _text(file: str) -> str:
    return (resources.files(__package__) / file).read_text(encoding="utf-8")

"""An instrument that runs in the page: an ES module, its state in traitlets, a still picture.

The same module runs in JupyterLab, VS Code and Colab by way of anywidget, and on a static page by
way of `page_html`.  What it computes, a pure Python function computes too: tests move the page
through states and compare.
"""

from __future__ import annotations

import base64
import html
import importlib
from typing import Any, ClassVar

import anywidget
import traitlets

from labs_lib.errors import LabError, choice_error, shorten
from labs_lib.widgets.page.modules import module_names, module_text, style_text

INSTRUMENT = "application/vnd.lora-lab.instrument+json"
"""The MIME type of {"name": NAME, "state": {…}}, from which a static page builds the instrument."""


class PageInstrument(anywidget.AnyWidget):
    """A module's view in a notebook, its state, and what it shows where no script runs.

    A subclass stands in `labs_lib/widgets/NAME.py` and gives

    - `name`: its module is `page/NAME.js`, its own rules are `page/NAME.css`;
    - its state as traits tagged `sync=True` and named in `state`: numbers, words, lists, as JSON
      holds them; a trait's `help` says what is legal;
    - `figures()`: calls a pure function on the state and returns its figures as JSON holds them; it
      raises `LabError` for a state that has none.  The module writes the same into `data-figures`;
    - `line()`: the figures in a line or two, the same on every machine;
    - `picture()`: one `<svg>`, made by `labs_lib.widgets.instrument.svg`.
    """

    name: ClassVar[str] = ""
    state: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **state: Any):
        """Take the state by trait name; an unknown name or a bad value is refused in one line."""
        for name in state:
            if name not in self.state:
                raise choice_error(type(self).__name__, name, self.state)
        super().__init__()
        with self.hold_trait_notifications():
            for name, value in state.items():
                self._take(name, value)
        self.figures()
        self.observe(self._refuse, names=list(self.state))

    @property
    def _esm(self) -> str:
        return module_text(self.name)

    @property
    def _css(self) -> str:
        return style_text(self.name)

    def figures(self) -> dict[str, Any]:
        """Return the figures of the present state; raise `LabError` if it has none."""
        raise NotImplementedError

    def line(self) -> str:
        """Return what the instrument shows in a line or two."""
        raise NotImplementedError

    def picture(self) -> str:
        """Return one `<svg>` element that shows the present state."""
        raise NotImplementedError

    @property
    def page_state(self) -> dict[str, Any]:
        """The state by trait name, as JSON holds it."""
        return {name: getattr(self, name) for name in self.state}

    @property
    def text(self) -> str:
        """The notebook's stored `text/plain`."""
        return f"{type(self).__name__}: {self.line()}"

    def still(self) -> str:
        """Return HTML that shows the same where scripts and styles are taken out (GitHub)."""
        data = base64.b64encode(self.picture().encode()).decode()
        words = html.escape(self.line(), quote=True)
        return f'<img role="img" alt="{words}" src="data:image/svg+xml;base64,{data}">'

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        own = {
            "text/plain": self.text,
            "text/html": self.still(),
            INSTRUMENT: {"name": self.name, "state": self.page_state},
        }
        return {**data, **own}, metadata

    def _take(self, name: str, value: Any) -> None:
        try:
            setattr(self, name, value)
        except traitlets.TraitError:
            legal = self.traits()[name].help
            raise LabError(f"{shorten(value)} is not legal; {legal}", name) from None

    def _refuse(self, change: Any) -> None:
        """Take back a value that has no figures, and say why."""
        try:
            self.figures()
        except LabError:
            self.unobserve(self._refuse, names=list(self.state))
            setattr(self, change["name"], change["old"])
            self.observe(self._refuse, names=list(self.state))
            raise


def instrument_class(name: str) -> type[PageInstrument]:
    """Return the class of an instrument by its module's name; raise `LabError` for none."""
    if name not in module_names():
        raise choice_error("instrument", name, module_names())
    home = importlib.import_module(f"labs_lib.widgets.{name}")
    kinds = [kind for kind in vars(home).values() if isinstance(kind, type)]
    return next(k for k in kinds if issubclass(k, PageInstrument) and k.name == name)

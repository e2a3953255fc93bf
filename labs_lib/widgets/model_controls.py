"""The controls that several instruments share: which model, which layers get an adapter."""

from __future__ import annotations

import ipywidgets

from labs_lib.models.catalogue import catalogue
from labs_lib.widgets.instrument import Instrument

GROUPS = ("q,v", "attention", "mlp", "all-linear")


def model_choice(instrument: Instrument, first: tuple[str, ...] = ()) -> ipywidgets.Widget:
    """Return a drop-down of the catalogue's names, tied to the trait `model`.

    Without mixtures of experts, whose layers are not linear maps alone.
    """
    plain = (name for name, entry in catalogue().items() if not entry.family.experts)
    options = (*first, *plain)
    return instrument.bind("model", ipywidgets.Dropdown(options=options, description="model"))


def target_choice(instrument: Instrument) -> ipywidgets.Widget:
    """Return a drop-down of the usual targets and a field for any names, tied to `targets`."""
    usual = instrument.bind("targets", ipywidgets.Dropdown(options=GROUPS, description="targets"))
    typed = instrument.bind(
        "targets",
        ipywidgets.Text(
            description="or names",
            continuous_update=False,
            tooltip="module names, separated by commas; press Enter",
        ),
    )
    typed.add_class("lab-targets-typed")
    typed.remove_class("lab-targets")
    return row(usual, typed)


def row(*controls: ipywidgets.Widget) -> ipywidgets.HBox:
    """Return controls side by side, wrapping where the page is narrow."""
    return ipywidgets.HBox(controls, layout=ipywidgets.Layout(flex_flow="row wrap"))

"""The LoRA layer: x through a frozen W and, in parallel, through A and B, every number in sight."""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets
from typing_extensions import override

from labs_lib.colors import THEME_INK
from labs_lib.errors import LabError
from labs_lib.lowrank.small_layer import MOST_STEPS, SmallLayer, example_layer, layer_figures
from labs_lib.widgets.instrument import label, svg
from labs_lib.widgets.page import PageInstrument
from labs_lib.widgets.page.stills import cells

_CELL = (27, 20)
_RIGHT = 194


class LoRALayer(PageInstrument):
    """One layer of 6 × 6, to be started, trained a step at a time, merged and switched off.

    `rank` is that of A and B, `steps` how many steps of gradient descent they have had, `merged`
    and `on` whether the adapter is in the weight and whether its path counts. `width` is that of a
    real square layer, whose counts are shown next to the small one's. `layer` holds the numbers of
    a `SmallLayer`. Raises `LabError` for a state that has no figures.
    """

    name: ClassVar[str] = "lora_layer"
    state: ClassVar[tuple[str, ...]] = ("layer", "rank", "steps", "merged", "on", "width")

    layer: Any = traitlets.Dict(help="the numbers of a SmallLayer").tag(sync=True)
    rank: Any = traitlets.Int(1, help="a whole number from 1 to 6").tag(sync=True)
    steps: Any = traitlets.Int(0, help=f"a whole number from 0 to {MOST_STEPS}").tag(sync=True)
    merged: Any = traitlets.Bool(False, help="True or False").tag(sync=True)
    on: Any = traitlets.Bool(True, help="True or False").tag(sync=True)
    width: Any = traitlets.Int(576, help="a whole number of 6 or more").tag(sync=True)

    @traitlets.default("layer")
    def _example(self) -> dict[str, Any]:
        return example_layer().numbers()

    @override
    def figures(self) -> dict[str, Any]:
        if self.width < 6:
            raise LabError(f"{self.width} is not legal; a whole number of 6 or more", "width")
        figures = layer_figures(
            SmallLayer.of(self.layer), self.rank, self.steps, merged=self.merged, on=self.on
        )
        wide = {"wide_frozen": self.width**2, "wide_trained": 2 * self.width * self.rank}
        return {**figures, **wide}

    @override
    def line(self) -> str:
        figures = self.figures()
        where = "merged" if self.merged else "switched on" if self.on else "switched off"
        return (
            f"rank {self.rank} after {self.steps} steps, {where}: loss {figures['loss']:.3f}; "
            f"{figures['trained']} numbers trained, {figures['frozen']} frozen"
        )

    @override
    def picture(self) -> str:
        figures, x = self.figures(), self.layer["inputs"][:1]
        half = 3 * _CELL[0]
        middle, narrow = (4 + _RIGHT) / 2, _RIGHT + self.rank * _CELL[0] / 2
        last = _RIGHT + 2 * half - 13  # clear of the words over A
        wires = (
            f"M{middle + half} 28V36H{4 + half}V64M{middle + half} 28V36H{last}V64"
            f"M{4 + half} 184V398V426H{middle + half}V434M{last} 418V426H{middle + half}"
            f"M{narrow} {64 + 20 * self.rank}V216M{narrow} 236V252M{narrow} 372V398"
        )
        body = f'<path d="{wires}" style="fill:none;stroke:{THEME_INK}"/>'
        body += label(middle - 20, 22, "x", anchor="end") + cells(x, middle, 8, _CELL)
        body += label(4, 56, "W, frozen") + cells(figures["weight"], 4, 64, _CELL, grey=True)
        body += label(_RIGHT, 56, "A, trained") + cells(figures["A"], _RIGHT, 64, _CELL)
        body += cells([figures["hidden"]], _RIGHT, 216, _CELL)
        body += label(_RIGHT - 6, 266, "B, trained", anchor="end") + cells(
            figures["B"], _RIGHT, 252, _CELL
        )
        body += label(4, 392, "W·x") + cells([figures["through_weight"]], 4, 398, _CELL)
        body += label(narrow + 8, 391, f"{figures['scaling']:.3g} × B·A·x")
        body += cells([figures["update"]], _RIGHT, 398, _CELL)
        body += label(middle - 20, 448, "y", anchor="end")
        body += cells([figures["y"]], middle, 434, _CELL)
        return svg(360, 462, body, self.line())

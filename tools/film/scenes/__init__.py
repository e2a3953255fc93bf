"""The drawing of each scene: a function of the seconds since it began."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tools.film.facts import Facts
from tools.film.scenes.bytes import draw_bytes
from tools.film.scenes.layer import draw_layer
from tools.film.scenes.qlora import draw_qlora
from tools.film.scenes.use import draw_use
from tools.film.shapes import Shape

Drawing = Callable[[float, Mapping[str, float], Facts], list[Shape]]

DRAWINGS: dict[str, Drawing] = {
    "bytes": draw_bytes, "layer": draw_layer, "qlora": draw_qlora, "use": draw_use,
}  # fmt: skip

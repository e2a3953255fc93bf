"""A QLoRA step through one layer: which tensors live, in which dtype, and what they take."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import traitlets

from labs_lib.colors import BLUE, GREY, PURPLE, THEME_FAINT, THEME_INK, THEME_LINE
from labs_lib.errors import LabError
from labs_lib.quantization import LayerShape, LayerStep, layer_step
from labs_lib.quantization.layer_step import CHECKPOINTED, PLAIN, TENSORS
from labs_lib.widgets.instrument import label, rect, svg
from labs_lib.widgets.page import PageInstrument

DTYPES = {"nf4": ("4 bits (NF4)", GREY), "bf16": ("16 bits (bf16)", BLUE),
          "fp32": ("32 bits (fp32)", PURPLE)}  # fmt: skip
_WIDTH, _LEFT, _BASE, _TALL = 640, 8, 200, 150


class QLoRAStep(PageInstrument):
    """The moments of a training step in one layer: forward, waiting, backward, optimizer.

    The layer is an MLP of two frozen maps with adapters, of the sizes of Llama-2-7B unless `width`
    and `inner` say otherwise.  `labs_lib.quantization.layer_step` says what it leaves out.
    """

    name = "qlora_step"
    state = ("moment", "checkpointing", "tokens", "rank", "width", "inner", "layers", "script")

    moment: Any = traitlets.Int(0, help="a moment of the step, from 0").tag(sync=True)
    checkpointing: Any = traitlets.Bool(False, help="gradient checkpointing").tag(sync=True)
    tokens: Any = traitlets.Int(512, help="tokens in the batch").tag(sync=True)
    rank: Any = traitlets.Int(16, help="the adapters' rank").tag(sync=True)
    width: Any = traitlets.Int(4096, help="numbers a token between layers").tag(sync=True)
    inner: Any = traitlets.Int(11008, help="numbers a token between the maps").tag(sync=True)
    layers: Any = traitlets.Int(32, help="such layers in the model").tag(sync=True)
    script: Any = traitlets.Dict(help="the tensors and the moments of a step").tag(sync=True)

    @traitlets.default("script")
    def _script(self) -> dict[str, Any]:
        return {
            "tensors": {name: _as_json(tensor) for name, tensor in TENSORS.items()},
            "plain": [_as_json(moment) for moment in PLAIN],
            "checkpointed": [_as_json(moment) for moment in CHECKPOINTED],
        }

    def figures(self) -> dict[str, Any]:
        """Return the bytes that live now, the sum at each moment, and what waits in between."""
        step = self._step()
        now = min(self.moment, len(step.moments) - 1)
        if self.moment < 0:
            raise LabError(f"{self.moment} is no moment; they are counted from 0", "moment")
        return {
            "live": step.live_bytes[now],
            "totals": step.totals,
            "peak": step.peak,
            "kept": step.kept_bytes,
            "restored": step.times_restored(),
        }

    def line(self) -> str:
        """Return the peak, and what waits between the passes, in one layer and in all."""
        step = self._step()
        how = "with" if self.checkpointing else "without"
        peak, kept = max(step.totals), step.kept_bytes
        return (
            f"one layer, {self.tokens:,} tokens, rank {self.rank}, {how} checkpointing: peak "
            f"{megabytes(peak)} ({step.moments[step.peak].title}); {megabytes(kept)} wait between "
            f"the passes, {megabytes(kept * self.layers)} in {self.layers} layers; each weight is "
            f"restored {step.times_restored()} times"
        )

    def picture(self) -> str:
        """Return a column a moment: its bytes by dtype, with the passes below."""
        step = self._step()
        most = max(step.totals)
        slot = (_WIDTH - 2 * _LEFT) / len(step.moments)
        parts = [label(_LEFT, 16, f"Bytes in one layer, moment by moment (peak {megabytes(most)})")]
        for number, (moment, live) in enumerate(zip(step.moments, step.live_bytes, strict=True)):
            x, y = _LEFT + number * slot, float(_BASE)
            for dtype, (_, color) in DTYPES.items():
                size = sum(n for name, n in live.items() if TENSORS[name].dtype == dtype)
                y -= _TALL * size / most
                parts.append(rect(x + 1, y, slot - 2, _TALL * size / most, color))
            if number == 0 or step.moments[number - 1].phase != moment.phase:
                parts.append(rect(x, _BASE + 4, 1, 14, THEME_LINE))
        parts += _passes(step, slot)
        x = float(_LEFT)
        for words, color in DTYPES.values():
            parts.append(rect(x, _BASE + 52, 12, 12, color))
            parts.append(label(x + 17, _BASE + 62, words, fill=THEME_INK))
            x += 150
        return svg(_WIDTH, _BASE + 72, "".join(parts), self.line())

    def _step(self) -> LayerStep:
        shape = LayerShape(self.tokens, self.width, self.inner, self.rank)
        return layer_step(shape, self.checkpointing)


def megabytes(count: float) -> str:
    """Return a number of bytes in GB, MB or kB."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _passes(step: LayerStep, slot: float) -> list[str]:
    """Return the names of the passes below their columns; those of one column are left out."""
    parts = []
    for phase in ("forward", "again", "backward"):
        places = [at for at, moment in enumerate(step.moments) if moment.phase == phase]
        if places:
            words = {"again": "forward again"}.get(phase, phase)
            start = (
                places[1]
                if phase == "backward" and step.moments[places[0] + 1].phase == "again"
                else places[0]
            )
            middle = _LEFT + (start + places[-1] + 1) / 2 * slot
            parts.append(label(middle, _BASE + 30, words, anchor="middle", fill=THEME_FAINT))
    return parts


def _as_json(record: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(record).items()}

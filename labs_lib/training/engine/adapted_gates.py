"""The gated feed-forward layer under LoRA as one function, where a CPU computes in bf16."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from labs_lib.training.engine.adapted_maps import AdaptedMap, adapted_map, multiplies_at_once
from labs_lib.training.engine.precision import BF16, computes_in_bf16


def fed_at_once(layer: Any, x: torch.Tensor) -> torch.Tensor | None:
    """Return what a gated layer gives for x (…, width), maps and adapters all in one function.

    None where `multiply_at_once` did not change all three, and elsewhere than under bf16 autocast
    on a CPU: there the maps must be asked one by one.
    """
    modules = (layer.gate_proj, layer.up_proj, layer.down_proj)
    if not (computes_in_bf16(x) and all(multiplies_at_once(each) for each in modules)):
        return None
    parts = [part for part in map(adapted_map, modules) if part is not None]
    if len(parts) < len(modules):
        return None
    maps = tuple(part[0] for part in parts)
    factors = (factor for part in parts for factor in part[1:])
    result: Any = _Fed.apply(x.to(BF16), maps, *factors)
    return result


class _Fed(torch.autograd.Function):
    """down(silu(gate(x)) · up(x)), x in bf16; the maps are gate, up and down.

    It keeps gate and up, and computes what enters `down` again backwards: a third less to keep at
    the layer's inner width.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, maps: tuple[AdaptedMap, ...], *factors: torch.Tensor
    ) -> torch.Tensor:
        of_gate, of_up, of_down = maps
        flat = x.flatten(0, -2)
        gate, *kept_by_gate = of_gate.forward(flat, *factors[:2])
        up, *kept_by_up = of_up.forward(flat, *factors[2:4])
        y, *kept_by_down = of_down.forward(silu(gate).mul_(up), *factors[4:])
        kept = (*kept_by_gate, *kept_by_up, *kept_by_down)
        ctx.save_for_backward(x, gate, up, *kept, *factors)
        ctx.maps = maps
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outgoing: torch.Tensor) -> Any:
        gate_map, up_map, down_map = ctx.maps
        x, gate, up, *rest = ctx.saved_tensors
        kept, factors = rest[:6], rest[6:]
        x_learns = ctx.needs_input_grad[0]
        flat, of_y, opened = x.flatten(0, -2), outgoing[0].flatten(0, -2), silu(gate)
        of_inner, *of_down = down_map.backward(of_y, opened * up, kept[4:], factors[4:])
        of_up = opened.mul_(of_inner)
        of_gate = torch.ops.aten.silu_backward(of_inner.mul_(up), gate)
        del of_inner
        of_x, *of_up_factors = up_map.backward(of_up, flat, kept[2:4], factors[2:4], None, x_learns)
        of_x, *of_gate_factors = gate_map.backward(
            of_gate, flat, kept[:2], factors[:2], of_x, x_learns
        )
        of_x = None if of_x is None else of_x.view(x.shape)
        return of_x, None, *of_gate_factors, *of_up_factors, *of_down

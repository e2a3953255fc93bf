"""A cache with room for the tokens to come: they are written into it, and nothing is copied."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


def with_room(cache: Any, rows: int, room: int) -> Any:
    """Repeat a cache of one row for each of `rows`, with room for `room` more tokens a row.

    transformers' own cache grows by copying all that it holds, for each layer and token. Layers of
    a kind that grows otherwise, such as one with a window, are repeated and stay what they are.
    """
    for at, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[at] = RoomyLayer(layer, rows, room)
        else:
            layer.batch_repeat_interleave(rows)
    return cache


class RoomyLayer(DynamicLayer):
    """Keys and values, (rows, heads, tokens, width), in tensors with room for more tokens."""

    def __init__(self, of_one_row: DynamicLayer, rows: int, room: int):
        super().__init__()
        keys: Any = of_one_row.keys
        values: Any = of_one_row.values
        self.lazy_initialization(keys, values)
        self._whole = [_repeated(keys, rows, room), _repeated(values, rows, room)]
        self._show(keys.shape[2])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new tokens behind those that are there; return all. Beyond the room, copy."""
        before: Any = self.keys
        start = before.shape[2]
        end = start + key_states.shape[2]
        if end > self._whole[0].shape[2]:
            return super().update(key_states, value_states, *args, **kwargs)
        for whole, new in zip(self._whole, (key_states, value_states), strict=True):
            whole[:, :, start:end] = new
        return self._show(end)

    def _show(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (whole[:, :, :tokens] for whole in self._whole)
        self.keys, self.values = keys, values
        return keys, values


def _repeated(of_one_row: torch.Tensor, rows: int, room: int) -> torch.Tensor:
    _, heads, tokens, width = of_one_row.shape
    whole = of_one_row.new_zeros((rows, heads, tokens + room, width))
    whole[:, :, :tokens] = of_one_row
    return whole

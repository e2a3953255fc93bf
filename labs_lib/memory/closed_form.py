"""What a training step costs, by formula: no torch, well under a millisecond.

Per forward pass of t = batch × seq_len tokens through L layers of width h, with c bytes an
activation (2 in bf16), a bytes an adapter parameter, V words and the parts of a layer that its
code saves for the backward pass:

    peak = weights + optimizer states + the largest of
        loss       activations + 12·t·V          (log-softmax and two gradients, in fp32)
        one layer  activations + what its backward pass holds (a 4-bit matrix restored to 16 bits;
                   under eager attention three fp32 tensors of a number for each score)
        embedding  gradients + (tied) 2·V·h, the parts of a gradient being added up
        step       gradients + the optimizer's temporary
    activations = L · saved(layer), or with checkpointing L·c·t·h + saved(one layer)

saved(layer) is written out for each family in `formula_layers` and checked against `trace`; the
weights' bytes are in `formula_sizes`, the optimizers' in `labs_lib.step.optimizers`. Sources:
AdamW's two states and foreach copy, torch.optim.adam; 4 + 32/64 bits a weight, 4 + 8/64 +
32/(64·256) with double quantization, QLoRA (arXiv 2305.14314 §3).

Known error: within 3 % of the trace over the catalogue (tests/unit/test_memory_closed_form.py
sweeps it); like the trace it leaves out the allocator's own share.
"""

from __future__ import annotations

import math
from typing import Any

from labs_lib.memory.architecture import architecture, check_length, targets_of
from labs_lib.memory.formula_layers import final_norm, head_of, layer_of
from labs_lib.memory.formula_sizes import LaidOut, Sizes
from labs_lib.memory.known_fields import NoFormulaError
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import Forecast, notes_on
from labs_lib.step.optimizers import OPTIMIZERS

OF_ATTENTION = "backward of a layer's attention"
"""The moment in which eager attention holds the most."""


def forecast(model: str | MemoryRequest, **fields: Any) -> Forecast:
    """Forecast the step's memory in bytes; see this module's text for formula and error.

    `fields` are those of `MemoryRequest`. Raises `LabError` for a bad request, in one line.
    """
    return _forecast(_sizes(request_of(model, **fields)))


def forecast_laid_out(request: MemoryRequest, laid_out: LaidOut) -> Forecast:
    """Forecast the step as the course's own trainer takes it, with a batch as it lays it out.

    Errors as `forecast`. The formula differs from that of a plain step in four terms: tokens
    without padding, the gate's activation not kept, logits at the answers alone, some at a time,
    and one table of gradients where words and head are one.
    """
    return _forecast(_sizes(request, laid_out))


def _forecast(sizes: Sizes) -> Forecast:
    request, t = sizes.request, sizes.t
    layer = layer_of(sizes)
    groups, itemsize = sizes.trainable(), sizes.trained_itemsize
    trained = sum(math.prod(shape) * many for shape, many in groups)
    gradients = trained * itemsize
    optimizer = OPTIMIZERS[request.optimizer]
    all_states, resident = optimizer.state_bytes(groups, itemsize, request.device)
    adapter = 0 if sizes.full else gradients
    adapter_temporary = sizes.adapter.temporary(sizes.targets, sizes.a) if sizes.adapter else 0
    weights = sizes.weights()
    carried = gradients if request.accumulation > 1 else 0

    head_saved, head_temporary = head_of(sizes)
    outer = final_norm(sizes) + head_saved
    mask = sizes.kept_mask()
    outer += mask
    if request.checkpointing:
        layers = sizes.depth * sizes.stream * t * sizes.h
        one = layer.saved
    else:
        layers = layer.first + (sizes.depth - 1) * layer.saved
        one = 0
    embedding = sizes.v * sizes.h * sizes.trained_itemsize if sizes.full else 0
    tied = sizes.shapes.tie_word_embeddings
    words_added = sizes.laid_out is not None and sizes.laid_out.words_added
    parts = {
        "backward of the loss and the output head": (layers + outer, 0, head_temporary),
        "backward of a layer": (layers + one, embedding, layer.backward),
        OF_ATTENTION: (layers + one + mask, embedding, layer.scores),
        "backward of the embedding": (
            0,
            gradients,
            2 * embedding if tied and not words_added else sizes.c * t * sizes.h,
        ),
        "forward of a layer": (layers + one, 0, adapter_temporary),
        "the optimizer's step": (
            0,
            gradients,
            optimizer.temporary(groups, itemsize, request.device),
        ),
    }
    moment, (saved, grown, temporary) = max(
        parts.items(),
        key=lambda item: item[1][0] + max(item[1][1], carried) + item[1][2],
    )
    at_peak = {
        "weights": weights,
        "adapter": adapter,
        "optimizer": resident,
        "gradients": max(grown, carried),
        "activations": saved,
        "temporary": temporary,
    }
    return Forecast(
        request=request,
        source="closed form",
        weights_bytes=weights,
        adapter_bytes=adapter,
        gradients_bytes=gradients,
        optimizer_bytes=all_states,
        activations_bytes=layers + outer,
        peak_bytes=sum(at_peak.values()),
        trainable_parameters=trained,
        total_parameters=sizes.base_parameters() + (0 if sizes.full else trained),
        at_peak=at_peak,
        peak_moment=moment,
        notes=notes_on(request, sizes.kind),
    )


def _sizes(request: MemoryRequest, laid_out: LaidOut | None = None) -> Sizes:
    shapes = architecture(request.model)
    check_length(shapes.max_positions, request)
    if request.adapter and request.adapter.saved is None:
        raise NoFormulaError(f"the formula has no term for {request.adapter.title}")
    targets = () if request.trains_all else targets_of(shapes, request)
    return Sizes(request, shapes, targets, laid_out)

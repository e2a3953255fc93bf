"""What the formula counts of a layer: what it saves, and what its backward pass holds.

Written out for each family, tensor by tensor, from the source of transformers 5.23 and PEFT 0.21.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labs_lib.memory.formula_sizes import (
    KEPT_WEIGHTS_TOKENS,
    POSITIONS_AT_ONCE,
    SCORES_AT_ONCE,
    Sizes,
)
from labs_lib.step.adapters import LORA, AdaptedInput, Linear
from labs_lib.step.families import ends_with


@dataclass(frozen=True)
class Layer:
    """Bytes of one layer.

    `saved` is for the backward pass, `first` what layer 0 saves of them, `backward` the most that
    its backward pass holds besides what is saved. `scores` is what eager attention's backward pass
    holds, less what the layer has let go by then; 0 where the attention is fused.
    """

    saved: int
    first: int
    backward: int
    scores: int = 0


def layer_of(sizes: Sizes) -> Layer:
    """Return the bytes of one layer of the model's family."""
    if sizes.family.gated:
        return _gated_layer(sizes)
    return {"gpt2": _gpt2_layer, "falcon": _falcon_layer}[sizes.kind](sizes)


def final_norm(sizes: Sizes) -> int:
    """Return the bytes that the last norm and the head save."""
    t, c, h = sizes.t, sizes.c, sizes.h
    rms = sizes.family.gated
    saved = _norm_in(sizes) if rms else sizes.stream * t * (h + 2)
    if sizes.full:
        saved += c * t * h + (sizes.stream * t * h if rms and not sizes.at_once else 0)
    if sizes.head_adapted:
        saved += _saved_by([sizes.head()], sizes, h, already_saved=False)
    return saved


def head_of(sizes: Sizes) -> tuple[int, int]:
    """Return the bytes that the loss saves, and what it holds for itself at its peak.

    Logits in fp32 at every token, their softmax and its gradient; or, in the course's trainer, at
    the answers alone, so many at once, while the gradient of what enters the head is made.
    """
    t, v, h, c = sizes.t, sizes.v, sizes.h, sizes.c
    copied = 2 * v * h if sizes.copies_weights else 0
    if sizes.laid_out is None:
        return 4 * t * v + 8 * t + copied, 8 * t * v
    answers = sizes.laid_out.answers
    hidden = c * answers * h
    saved = hidden + (sizes.trained_itemsize * v * h if sizes.full else 0)
    if sizes.at_once and sizes.w == 4:  # multiplied as it is
        return saved, hidden + min(answers, POSITIONS_AT_ONCE) * (v + h) * 4
    logit = 4 if sizes.request.compute_itemsize == 4 else 4 + 2
    if sizes.full:  # beside autocast's copy of the head, the product that is added to its gradient
        copied *= 2
    return saved, hidden + copied + min(answers, POSITIONS_AT_ONCE) * v * logit


# Families --------------------------------------------------------------------------------


def _gated_layer(sizes: Sizes) -> Layer:
    """Llama, Mistral, Qwen2: RMSNorm, rotary positions, grouped queries, gated MLP."""
    t, c, h = sizes.t, sizes.c, sizes.h
    heads, kv = sizes.shapes.heads, sizes.shapes.key_value_heads
    query, key_value = heads * sizes.shapes.head_size, kv * sizes.shapes.head_size
    inner = sizes.shapes.intermediate_size
    norm_in = _norm_in(sizes)
    saved = norm_in + _attention(sizes, heads, query, key_value)
    until_scores = saved + _adapter_inputs(sizes, h, "q_proj", "k_proj", "v_proj")
    saved += norm_in
    # Gate, up, and gate's activation, which the course's trainer computes again.
    saved += (2 if sizes.laid_out else 3) * sizes.wide * t * inner
    if sizes.full:
        # Trained weights need the inputs of their products: norms' results (under autocast a copy
        # for each of five maps) and what enters down_proj; a trained norm its normalized input.
        if sizes.at_once:
            saved += 2 * c * t * h
        else:
            saved += 2 * sizes.stream * t * h + (5 if sizes.copies_weights else 2) * c * t * h
        saved += c * t * inner + _weight_copies(sizes)
        # Attention keeps its result only where it is fused, and keeps the rows apart.
        saved += c * t * query if sizes.packed or sizes.written_out else 0
    else:
        saved += _adapter_inputs(sizes, h, "q_proj", "k_proj", "v_proj")
        kept = not (sizes.packed or sizes.written_out)
        saved += _adapter_inputs(sizes, query, "o_proj", already_saved=kept)
        saved += _adapter_inputs(sizes, h, "gate_proj", "up_proj")
        # Gate, up and down as one function make what enters down_proj again.
        made_again = _fed_at_once(sizes)
        saved += _adapter_inputs(sizes, inner, "down_proj", already_saved=made_again)
        saved += _product_inputs(sizes, h, h, inner)
    first = saved if sizes.full else saved - norm_in
    scores = _backward_of_scores(sizes, heads, saved - until_scores)
    return Layer(saved, first, _backward_of_mlp(sizes, inner, "down_proj", 3), scores)


def _gpt2_layer(sizes: Sizes) -> Layer:
    """GPT-2: LayerNorm, learned positions, one matrix for q, k and v, tanh-GELU, dropout."""
    t, c, h = sizes.t, sizes.c, sizes.h
    heads, inner, wide = sizes.shapes.heads, sizes.shapes.intermediate_size, sizes.wide
    norm_in = sizes.stream * t * h + 2 * sizes.stream * t
    saved = 2 * norm_in + _attention(sizes, heads, h, h)
    until_scores = saved - norm_in + _adapter_inputs(sizes, h, "c_attn")
    saved += 2 * wide * t * h * (_dropout_of(sizes, "resid_pdrop") > 0)  # masks
    saved += 4 * wide * t * inner  # the GELU's input and three steps
    if sizes.full:
        saved += 2 * c * t * h + c * t * inner + _weight_copies(sizes)
    else:
        saved += _adapter_inputs(sizes, h, "c_attn")
        saved += _adapter_inputs(sizes, h, "attn.c_proj", already_saved=True)
        saved += _adapter_inputs(sizes, h, "c_fc") + _adapter_inputs(sizes, inner, "mlp.c_proj")
        saved += _product_inputs(sizes, h, h, inner)
    first = saved if sizes.full else saved - norm_in
    scores = _backward_of_scores(sizes, heads, saved - until_scores)
    return Layer(saved, first, _backward_of_mlp(sizes, inner, "mlp.c_proj", 4), scores)


def _falcon_layer(sizes: Sizes) -> Layer:
    """Falcon-7B: attention and MLP side by side, one key/value head, attention not fused.

    Query and key/value heads differ in number and are not declared as groups, so torch
    takes the plain path: in fp32, with every score kept.
    """
    t, c, h = sizes.t, sizes.c, sizes.h
    heads, inner = sizes.shapes.heads, sizes.shapes.intermediate_size
    head = sizes.shapes.head_size
    scores = sizes.request.batch * heads * sizes.request.seq_len**2
    norm_in = sizes.stream * t * h + 2 * sizes.stream * t
    keys = 2 * head if sizes.request.batch == 1 else 2 * h  # copied for each head
    wide = c if sizes.request.attention == "eager" else 4
    saved = norm_in + wide * scores + wide * t * (h + keys) + c * t * inner
    if sizes.full:
        saved += (3 if sizes.copies_weights else 2) * c * t * h + c * t * inner
    else:
        saved += _adapter_inputs(sizes, h, "query_key_value") + _adapter_inputs(sizes, h, "dense")
        saved += _adapter_inputs(sizes, h, "dense_h_to_4h")
        saved += _adapter_inputs(sizes, inner, "dense_4h_to_h")
    adapted = any(each.name == "dense_h_to_4h" for each in sizes.targets)
    first = saved - norm_in - (0 if adapted else c * t * inner)
    # Its own kind of linear map is never held in 4 bits: a prepared base has it in fp32. Of each
    # whose input asks for a gradient autocast keeps the copy.
    saved += _weight_copies(sizes)
    if sizes.full:
        first = saved
    else:
        first += _weight_copies(sizes, "dense", *(["dense_4h_to_h"] if adapted else []))
    mlp = _backward_of_mlp(sizes, inner, "dense_4h_to_h", 2)
    # The scores' gradients come when the MLP's tensors are gone.
    gone = c * t * inner * (2 if sizes.full else 1) + _adapter_inputs(sizes, h, "dense_h_to_4h")
    gone += _adapter_inputs(sizes, inner, "dense_4h_to_h")
    return Layer(saved, first, max(mlp, wide * _score_tensors(sizes) * scores - gone))


# Parts of a layer ------------------------------------------------------------------------


def _norm_in(sizes: Sizes) -> int:
    """Return what RMSNorm saves: its input, as a rule a copy in fp32, and a number a token."""
    return (sizes.stream if sizes.at_once else 4) * sizes.t * sizes.h + 4 * sizes.t


def _adapter_inputs(sizes: Sizes, width: int, *names: str, already_saved: bool = False) -> int:
    """Return the bytes that the adapters on `names` save, which share one input of this width.

    `already_saved` says that something else keeps the input anyway.
    """
    adapted = [
        each for each in sizes.targets if any(ends_with(each.module, name) for name in names)
    ]
    return _saved_by(adapted, sizes, width, already_saved)


def _saved_by(adapted: Sequence[Linear], sizes: Sizes, width: int, already_saved: bool) -> int:
    if not adapted or sizes.adapter is None or sizes.adapter.saved is None:
        return 0
    if _lora_at_once(sizes):
        masks = len(adapted) * sizes.t * width * (sizes.request.dropout > 0)
        inputs = 0 if already_saved else sizes.c * sizes.t * width
        return inputs + masks + len(adapted) * sizes.c * sizes.t * sizes.request.rank
    return sizes.adapter.saved(
        AdaptedInput(
            linears=adapted,
            width=width,
            already_saved=already_saved,
            tokens=sizes.t,
            rank=sizes.request.rank,
            dropout=sizes.request.dropout,
            compute_itemsize=sizes.c,
            adapter_itemsize=sizes.a,
            autocast=sizes.request.precision == "mixed",
        )
    )


def _lora_at_once(sizes: Sizes) -> bool:
    """Return whether a map and its adapter are one function, which keeps their input once."""
    return sizes.at_once and sizes.adapter is not None and sizes.adapter.saved is LORA.saved


def _fed_at_once(sizes: Sizes) -> bool:
    """Return whether a layer's gate, up and down, each with its adapter, are one function."""
    adapted = {each.name for each in sizes.targets}
    return _lora_at_once(sizes) and adapted >= {"gate_proj", "up_proj", "down_proj"}


def _weight_copies(sizes: Sizes, *names: str) -> int:
    """Return the bytes of a layer's weights in 16 bits, or those of `names`, if autocast copies."""
    copied = [each for each in sizes.linears if not names or each.name in names]
    elements = sum(each.in_features * each.out_features for each in copied)
    return 2 * elements * sizes.copies_weights


def _product_inputs(sizes: Sizes, *widths: int) -> int:
    """Return what LLM.int8's product keeps: its input, of each width in `widths`."""
    return sizes.c * sizes.t * sum(widths) * sizes.base.keeps_inputs


def _attention(sizes: Sizes, heads: int, query: int, key_value: int) -> int:
    """Return the bytes of the attention proper: q, k, v, output, and the scores unless fused."""
    t, c, s = sizes.t, sizes.c, sizes.request.seq_len
    if sizes.laid_out and sizes.packed:
        t = sizes.laid_out.rows * sizes.laid_out.longest
    if sizes.written_out and sizes.laid_out:
        longest = sizes.laid_out.longest
        weights = sizes.laid_out.rows * heads * longest**2 * (longest <= KEPT_WEIGHTS_TOKENS)
        return c * t * (query + 2 * key_value) + c * weights
    if sizes.packed:
        return c * t * (2 * query + 2 * key_value) + 4 * t * heads
    scores = sizes.request.batch * heads * s * s
    if sizes.request.attention == "eager":
        softmax = _softmax_itemsize(sizes)
        # Without dropout what multiplies the values is the softmax itself, unless it is rounded.
        dropped = 2 * c if _dropout_of(sizes, "attn_pdrop") > 0 else c * (softmax != c)
        return c * t * 3 * query + (softmax + dropped) * scores
    if sizes.request.device == "cpu" and _dropout_of(sizes, "attn_pdrop") > 0:
        # The CPU's fused kernel has no dropout: plain attention in fp32, scores kept thrice.
        return 4 * t * 3 * query + 4 * 3 * scores
    if sizes.masked:  # keys and values are repeated for each head, the mask is turned to bf16
        return c * t * 4 * query + c * sizes.request.batch * s * s + 4 * t * heads
    return c * t * (2 * query + 2 * key_value) + 4 * t * heads


def _backward_of_scores(sizes: Sizes, heads: int, gone: int) -> int:
    """Return what unfused attention's backward pass holds, less the `gone` bytes of its layer.

    A 16-bit copy of eager attention's softmax has been let go.
    """
    if sizes.written_out and sizes.laid_out:
        rows, longest = sizes.laid_out.rows, sizes.laid_out.longest
        of_a_group = heads // sizes.shapes.key_value_heads * longest**2
        at_once = max(SCORES_AT_ONCE, of_a_group) // of_a_group * of_a_group
        gradients = 3 * sizes.c * rows * longest * heads * sizes.shapes.head_size
        return 12 * min(at_once, rows * heads * longest**2) + gradients - gone
    if sizes.request.attention != "eager":
        return 0
    softmax = _softmax_itemsize(sizes)
    rounded = sizes.c * (softmax != sizes.c)
    scores = sizes.request.batch * heads * sizes.request.seq_len**2
    return (softmax * _score_tensors(sizes) - rounded) * scores - gone


def _softmax_itemsize(sizes: Sizes) -> int:
    """Return the bytes of a number of eager attention's softmax: fp32, but in GPT-2's own code."""
    return 4 if sizes.family.gated or sizes.request.precision == "mixed" else sizes.c


def _score_tensors(sizes: Sizes) -> int:
    """Return how many numbers the backward pass of a softmax holds for each score.

    They are the gradients of the softmax and of the score, and on CUDA the product of the first
    with the softmax (`softmax_backward_cuda_out` in torch's SoftMax.cu).
    """
    return 3 if sizes.request.device == "cuda" else 2


def _dropout_of(sizes: Sizes, name: str) -> float:
    """Return a dropout of the configuration; only GPT-2 has one where the file names none."""
    return float(sizes.shapes.config.get(name, sizes.family.dropout))


def _restored(sizes: Sizes) -> int:
    """Return the bytes of the largest quantized matrix restored to the activations' precision."""
    largest = max(each.in_features * each.out_features for each in sizes.linears)
    request = sizes.request
    return sizes.base.restored_bytes(largest, request.compute_itemsize, request.double_quant)


def _backward_of_mlp(sizes: Sizes, inner: int, last: str, wide: int) -> int:
    """Return what the backward pass of a layer's MLP holds: gradients of its inner width."""
    adapted = any(ends_with(each.module, last) for each in sizes.targets)
    copied = sizes.a if adapted and not _lora_at_once(sizes) else 0
    gradients = (wide * sizes.c + copied) * sizes.t * inner
    return gradients + 2 * sizes.c * sizes.t * sizes.h + _restored(sizes)

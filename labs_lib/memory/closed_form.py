"""What a training step costs, by formula: no torch, well under a millisecond.

Per forward pass of t = batch × seq_len tokens through L layers of width h, with c bytes an
activation (2 in bf16), a bytes an adapter parameter, V words and the parts of a layer that its
code saves for the backward pass:

    peak = weights + optimiser states + the largest of
        loss       activations + 12·t·V          (log-softmax and two gradients, in fp32)
        one layer  activations + what its backward pass holds (a 4-bit matrix restored to 16 bits)
        embedding  gradients + (tied) 2·V·h, the parts of a gradient being added up
        step       gradients + the optimiser's temporary
    activations = L · saved(layer), or with checkpointing L·c·t·h + saved(one layer)

saved(layer) is written out below for each family, tensor by tensor, from the source of
transformers 5.23 and PEFT 0.21 and checked against `trace`. Sources of the rest: AdamW's two
states and foreach copy, torch.optim.adam; 4 + 32/64 bits a weight, 4 + 8/64 + 32/(64·256) with
double quantisation, QLoRA (arXiv 2305.14314 §3).

Known error: within 3 % of the trace over the catalogue (tests/unit/test_memory_closed_form.py
sweeps it); like the trace it leaves out the allocator's own share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labs_lib.errors import LabError
from labs_lib.memory.architecture import architecture, check_length, targets_of
from labs_lib.memory.request import MemoryRequest, request_of
from labs_lib.memory.result import Forecast, notes_on
from labs_lib.models.catalogue import Entry, LinearShape

PAGED_FROM_ELEMENTS = 100_000  # bitsandbytes pages no smaller state
EIGHT_BIT_FROM_ELEMENTS = 4096  # and keeps smaller ones in fp32

_GATED = ("llama", "mistral", "qwen2")


def forecast(model: str | MemoryRequest, **fields: Any) -> Forecast:
    """Forecast the step's memory in bytes; see this module's text for formula and error.

    `fields` are those of `MemoryRequest`. Raises `LabError` for a bad request, in one line.
    """
    request = request_of(model, **fields)
    shapes = architecture(request.model)
    check_length(shapes.max_positions, request)
    targets = targets_of(shapes, request) if request.method != "full" else ()
    return _Step(request, shapes, targets).forecast()


@dataclass(frozen=True)
class _Layer:
    """Bytes of one layer: `saved` for the backward pass, `first` what layer 0 saves of them,
    `backward` the most that its backward pass holds besides what is saved."""

    saved: int
    first: int
    backward: int


class _Step:
    """The sizes of one step; every property is in bytes unless its name says otherwise."""

    def __init__(self, request: MemoryRequest, shapes: Entry, targets: Sequence[str]):
        self.request, self.shapes, self.linears = request, shapes, shapes.linears
        self.targets = tuple(
            each
            for each in self.linears
            if any(each.module == name or each.module.endswith(f".{name}") for name in targets)
        )
        self.head_adapted = "lm_head" in targets
        self.full = request.method == "full"
        self.t = request.tokens
        self.h, self.v = shapes.hidden_size, shapes.vocab_size
        self.c, self.a = request.compute_itemsize, request.adapter_itemsize
        self.depth = shapes.layers
        # A window that the text does not fit into needs a mask, and a mask the general kernel.
        window = shapes.config.get("sliding_window") or request.seq_len
        self.masked = shapes.family.model_type == "mistral" and request.seq_len > window
        kept = 4 if request.prepare_kbit and request.method == "qlora" else request.weight_itemsize
        self.w = kept
        if kept == 4:  # an embedding in fp32 makes the whole stream of activations fp32
            self.c = 4 if request.precision != "mixed" or self.full else self.c
        self.quantises = request.method == "qlora" and shapes.family.model_type != "falcon"

    # Parameters -----------------------------------------------------------------------------

    def norm_parameters(self) -> int:
        kind = self.shapes.family.model_type
        return {"gpt2": 4 * self.h, "falcon": 2 * self.h}.get(kind, 2 * self.h)

    def outer_parameters(self) -> dict[str, int]:
        kind = self.shapes.family.model_type
        parts = {"embedding": self.v * self.h}
        if not self.shapes.tie_word_embeddings:
            parts["head"] = self.v * self.h
        if kind == "gpt2":
            parts["positions"] = self.shapes.max_positions * self.h
        parts["norm"] = self.h
        if kind in ("gpt2", "falcon"):
            parts["norm bias"] = self.h
        return parts

    def layer_tensors(self) -> list[int]:
        """Elements of each parameter tensor of a layer."""
        kind = self.shapes.family.model_type
        sizes = [self.h] * (self.norm_parameters() // self.h)
        for linear in self.linears:
            sizes.append(linear.in_features * linear.out_features)
            if linear.bias:
                sizes.append(linear.out_features)
        assert kind
        return sizes

    def base_parameters(self) -> int:
        return self.depth * sum(self.layer_tensors()) + sum(self.outer_parameters().values())

    def adapter_tensors(self) -> list[int]:
        """Elements of each adapter tensor of a layer."""
        sizes: list[int] = []
        for linear in self.targets:
            sizes += [
                self.request.rank * linear.in_features,
                self.request.rank * linear.out_features,
            ]
            if self.request.dora:
                sizes.append(linear.out_features)
        return sizes

    def head_adapter_tensors(self) -> list[int]:
        if not self.head_adapted:
            return []
        return [self.request.rank * self.h, self.request.rank * self.v]

    def weights(self) -> int:
        buffers = 0
        if self.shapes.family.model_type != "gpt2":
            buffers = 2 * 4 * (self.shapes.head_size // 2)  # inv_freq, twice
        outer = sum(self.outer_parameters().values()) * self.w
        if not self.quantises:
            return self.depth * sum(self.layer_tensors()) * self.w + outer + buffers
        layer = self.norm_parameters() * self.w
        for linear in self.linears:
            layer += self.quantised(linear) + (linear.out_features * self.w if linear.bias else 0)
        return self.depth * layer + outer + buffers

    def quantised(self, linear: LinearShape) -> int:
        """Bytes of one quantised matrix with its statistics."""
        count = linear.in_features * linear.out_features
        if self.request.quantization == "int8":
            return count + 4 * linear.out_features
        blocks = -(-count // 64)
        packed = (count + 1) // 2 + 16 * 4
        if self.request.double_quant:
            return packed + blocks + 4 * -(-blocks // 256) + 256 * 4 + 4
        return packed + 4 * blocks

    # Trainable ------------------------------------------------------------------------------

    def trainable(self) -> list[tuple[int, int]]:
        """(elements, how many such tensors) of everything that is trained."""
        if self.full:
            groups = [(size, self.depth) for size in self.layer_tensors()]
            return groups + [(size, 1) for size in self.outer_parameters().values()]
        groups = [(size, self.depth) for size in self.adapter_tensors()]
        return groups + [(size, 1) for size in self.head_adapter_tensors()]

    @property
    def trained_itemsize(self) -> int:
        return self.request.weight_itemsize if self.full else self.a

    def states(self) -> tuple[int, int]:
        """(bytes of all optimiser states, bytes of those that stay on the device)."""
        name, item = self.request.optimizer, self.trained_itemsize
        total = resident = 0
        shapes = self.trainable()
        for size, many in shapes:
            state = fixed = 0
            if name in ("adamw", "adamw_fused"):
                state = 2 * size * item
                fixed = 4  # the step counter is a tensor
            elif name.endswith("32bit") or (
                name.endswith("8bit") and size < EIGHT_BIT_FROM_ELEMENTS
            ):
                state = 8 * size
            elif name.endswith("8bit"):
                state, fixed = 2 * size, 2 * 4 * -(-size // 256)
            elif name == "adafactor":
                fixed = self.adafactor_state(size)
            paged = name.startswith("paged") and self.request.device == "cuda"
            total += many * (state + fixed)
            stays = not (paged and size >= PAGED_FROM_ELEMENTS)
            resident += many * (fixed + (state if stays else 0))
        if name.endswith("8bit") and any(size >= EIGHT_BIT_FROM_ELEMENTS for size, _ in shapes):
            total, resident = total + 2 * 1024, resident + 2 * 1024
        return total, resident

    def adafactor_state(self, size: int) -> int:
        """One fp32 for each row and each column of a matrix, one for each entry of a vector."""
        for rows, columns in self.matrices():
            if rows * columns == size:
                return 4 * (rows + columns + 1)
        return 4 * (size + 1)

    def matrices(self) -> list[tuple[int, int]]:
        shapes = [(self.v, self.h), (self.shapes.max_positions, self.h)]
        rank = self.request.rank
        for linear in self.linears:
            shapes += [
                (linear.out_features, linear.in_features),
                (rank, linear.in_features),
                (rank, linear.out_features),
            ]
        return [*shapes, (rank, self.v)]

    def step_temporary(self) -> int:
        """The most that the optimiser's step holds for itself."""
        name, item = self.request.optimizer, self.trained_itemsize
        largest = max(size for size, _ in self.trainable())
        if name == "adamw":
            if self.request.device == "cuda":  # the square roots of all second moments at once
                return sum(size * many for size, many in self.trainable()) * item
            return 2 * largest * item
        if name == "adafactor":
            # The update and its square in fp32, and fp32 copies of 16-bit values.
            return largest * (16 if item < 4 else 8)
        return 0

    # Activations ----------------------------------------------------------------------------

    def lora_inputs(self, shared: int, *names: str, kept: bool = False) -> int:
        """Bytes that the adapters on `names`, which share one input of width `shared`, save.

        `kept` says that something else saves the input anyway.
        """
        adapted = [each for each in self.targets if each.name in names or each.module in names]
        if not adapted:
            return 0
        rank, dropped = self.request.rank, self.request.dropout > 0
        extra = 0
        if self.request.dora:  # both paths' results, to be scaled by the magnitude
            extra += sum((self.a + self.c) * self.t * each.out_features for each in adapted)
        if self.request.precision == "mixed":  # autocast keeps 16-bit copies of input and adapter
            copies = sum(rank * (each.in_features + each.out_features) for each in adapted)
            width = self.t * (shared + rank)
            return extra + self.c * (len(adapted) * (1 + dropped) * width + copies)
        if dropped:  # the input after dropout and the mask, one of each for each adapter
            inputs = 2 * len(adapted) * self.a * self.t * shared
        elif self.a != self.c:  # a copy in the adapter's precision for each adapter
            inputs = len(adapted) * self.a * self.t * shared
        else:
            inputs = 0 if kept else self.c * self.t * shared
        return extra + inputs + len(adapted) * self.a * self.t * rank

    def int8_inputs(self, *widths: int) -> int:
        """LLM.int8's product keeps its input; one number for each input of its own."""
        kept = self.quantises and self.request.quantization == "int8"
        return self.c * self.t * sum(widths) * kept

    def attention(self, heads: int, query: int, key_value: int) -> int:
        """Bytes of the attention proper: q, k, v, output, and the scores unless fused."""
        t, c, s = self.t, self.c, self.request.seq_len
        scores = self.request.batch * heads * s * s
        if self.request.attention == "eager":
            repeated = query if key_value != query else key_value
            return c * t * (query + 2 * repeated) + (4 + (c if c != 4 else 0)) * scores
        if self.request.device == "cpu" and self.dropout_of("attn_pdrop", 0.0) > 0:
            # The CPU's fused kernel has no dropout: plain attention in fp32, scores kept thrice.
            return 4 * t * 3 * query + 4 * 3 * scores
        if self.masked:  # keys and values are repeated for each head, the mask is turned to bf16
            return c * t * 4 * query + c * self.request.batch * s * s + 4 * t * heads
        return c * t * (2 * query + 2 * key_value) + 4 * t * heads

    def layer(self) -> _Layer:
        kind = self.shapes.family.model_type
        if kind in _GATED:
            return self.gated_layer()
        if kind == "gpt2":
            return self.gpt2_layer()
        if kind == "falcon":
            return self.falcon_layer()
        raise LabError(f"model_type: {kind!r} has no closed form; --trace forecasts it")

    def gated_layer(self) -> _Layer:
        """Llama, Mistral, Qwen2: RMSNorm, rotary positions, grouped queries, gated MLP."""
        t, c, h = self.t, self.c, self.h
        heads, kv = self.shapes.heads, self.shapes.key_value_heads
        query, key_value = heads * self.shapes.head_size, kv * self.shapes.head_size
        inner = self.shapes.intermediate_size
        # RMSNorm computes in fp32: its input in fp32 and one number a token.
        norm_in = 4 * t * h + 4 * t
        saved = 2 * norm_in
        saved += self.attention(heads, query, key_value)
        saved += 3 * c * t * inner  # gate, its activation, up
        if self.full:
            # Trained weights need the inputs of their products: norms' results and what enters
            # down_proj; a trained norm its normalised input.
            saved += 4 * c * t * h + c * t * inner
        else:
            saved += self.lora_inputs(h, "q_proj", "k_proj", "v_proj")
            saved += self.lora_inputs(query, "o_proj", kept=True)
            saved += self.lora_inputs(h, "gate_proj", "up_proj")
            saved += self.lora_inputs(inner, "down_proj") + self.int8_inputs(h, h, inner)
        first = saved if self.full else saved - norm_in
        return _Layer(saved, first, self.backward_of_mlp(inner, "down_proj", 3))

    def gpt2_layer(self) -> _Layer:
        """GPT-2: LayerNorm, learned positions, one matrix for q, k and v, tanh-GELU, dropout."""
        t, c, h = self.t, self.c, self.h
        heads, inner = self.shapes.heads, self.shapes.intermediate_size
        norm_in = c * t * h + 2 * c * t
        saved = 2 * norm_in + self.attention(heads, h, h)
        saved += 2 * c * t * h * (self.dropout_of("resid_pdrop") > 0)  # masks
        saved += 4 * c * t * inner  # the GELU's input and three steps
        if self.full:
            saved += 2 * c * t * h + c * t * inner
        else:
            saved += self.lora_inputs(h, "c_attn")
            saved += self.lora_inputs(h, "attn.c_proj", kept=True)
            saved += self.lora_inputs(h, "c_fc") + self.lora_inputs(inner, "mlp.c_proj")
            saved += self.int8_inputs(h, h, inner)
        first = saved if self.full else saved - norm_in
        return _Layer(saved, first, self.backward_of_mlp(inner, "mlp.c_proj", 4))

    def falcon_layer(self) -> _Layer:
        """Falcon-7B: attention and MLP side by side, one key/value head, attention not fused.

        Query and key/value heads differ in number and are not declared as groups, so torch
        takes the plain path: in fp32, with every score kept.
        """
        t, c, h = self.t, self.c, self.h
        heads, inner = self.shapes.heads, self.shapes.intermediate_size
        head = self.shapes.head_size
        scores = self.request.batch * heads * self.request.seq_len**2
        norm_in = c * t * h + 2 * c * t
        keys = 2 * head if self.request.batch == 1 else 2 * h  # copied for each head
        wide = c if self.request.attention == "eager" else 4
        saved = norm_in + wide * scores + wide * t * (h + keys) + c * t * inner
        if self.full:
            saved += 2 * c * t * h + c * t * inner
        else:
            saved += self.lora_inputs(h, "query_key_value") + self.lora_inputs(h, "dense")
            saved += self.lora_inputs(h, "dense_h_to_4h")
            saved += self.lora_inputs(inner, "dense_4h_to_h")
        adapted = any(each.name == "dense_h_to_4h" for each in self.targets)
        first = saved if self.full else saved - norm_in - (0 if adapted else c * t * inner)
        mlp = self.backward_of_mlp(inner, "dense_4h_to_h", 2)
        # The scores' gradients come when the MLP's tensors are gone.
        gone = c * t * inner * (2 if self.full else 1) + self.lora_inputs(h, "dense_h_to_4h")
        gone += self.lora_inputs(inner, "dense_4h_to_h")
        return _Layer(saved, first, max(mlp, 2 * 4 * scores - gone))

    def dropout_of(self, name: str, default: float = 0.1) -> float:
        if self.shapes.family.model_type == "gpt2":
            default = 0.1  # GPT2Config's own
        return float(self.shapes.config.get(name, default))

    def restored(self) -> int:
        """Bytes of the largest 4-bit matrix restored to the activations' precision."""
        if not self.quantises:
            return 0
        largest = max(each.in_features * each.out_features for each in self.linears)
        absmax = 2 * 4 * (largest // 64) if self.request.double_quant else 0
        return largest * self.request.compute_itemsize + absmax

    def backward_of_mlp(self, inner: int, last: str, wide: int) -> int:
        """What the backward pass of a layer's MLP holds: gradients as wide as it is inside."""
        adapted = any(each.name == last or each.module == last for each in self.targets)
        gradients = (wide * self.c + (self.a if adapted else 0)) * self.t * inner
        return gradients + 2 * self.c * self.t * self.h + self.restored()

    def final_norm(self) -> int:
        """What the last norm and the head save."""
        t, c, h = self.t, self.c, self.h
        rms = self.shapes.family.model_type in _GATED
        saved = 4 * t * h + 4 * t if rms else c * t * h + 2 * c * t
        if self.full:
            saved += (2 if rms else 1) * c * t * h
        if self.head_adapted:
            saved += self.a * t * (h + self.request.rank)
        return saved

    def dora_temporary(self) -> int:
        """What DoRA holds to find the norm of the whole weight: a unit matrix and four copies."""
        if not self.request.dora or not self.targets:
            return 0
        return max(
            self.a * each.in_features * (each.in_features + 4 * each.out_features)
            for each in self.targets
        )

    # The whole ------------------------------------------------------------------------------

    def forecast(self) -> Forecast:
        request, t = self.request, self.t
        layer = self.layer()
        trained = sum(size * many for size, many in self.trainable())
        gradients = trained * self.trained_itemsize
        states, resident = self.states()
        adapter = 0 if self.full else gradients
        weights = self.weights()
        carried = gradients if request.accumulation > 1 else 0

        outer = self.final_norm() + 4 * t * self.v + 8 * t
        if self.masked and request.checkpointing:  # each layer's arguments are kept, the mask too
            outer += request.batch * request.seq_len**2
        if request.checkpointing:
            layers = self.depth * self.c * t * self.h
            one = layer.saved
        else:
            layers = layer.first + (self.depth - 1) * layer.saved
            one = 0
        embedding = self.v * self.h * self.trained_itemsize if self.full else 0
        tied = self.shapes.tie_word_embeddings
        parts = {
            "backward of the loss and the output head": (layers + outer, 0, 8 * t * self.v),
            "backward of a layer": (layers + one, embedding, layer.backward),
            "backward of the embedding": (
                0,
                gradients,
                2 * embedding if tied else self.c * t * self.h,
            ),
            "forward of a layer": (layers + one, 0, self.dora_temporary()),
            "the optimiser's step": (0, gradients, self.step_temporary()),
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
            optimizer_bytes=states,
            activations_bytes=layers + outer,
            peak_bytes=sum(at_peak.values()),
            trainable_parameters=trained,
            total_parameters=self.base_parameters() + (0 if self.full else trained),
            at_peak=at_peak,
            peak_moment=moment,
            notes=notes_on(request, self.shapes.family.model_type),
        )

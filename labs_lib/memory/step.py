"""One real training step under a recorder: build, wrap, forward, backward, optimiser.

`fake_model` builds the transformers class with shapes only; `run_step` is the same for fake and
for real tensors.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch._guards import detect_fake_mode

from labs_lib.errors import LabError
from labs_lib.memory.recorder import StepRecorder
from labs_lib.memory.request import MemoryRequest

_BITSANDBYTES = ("adamw_32bit", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit")

DTYPES = {2: torch.bfloat16, 4: torch.float32}

# bitsandbytes pages a state only if the parameter has at least this many elements
# (bitsandbytes/optim/optimizer.py, get_state_buffer).
PAGED_FROM_ELEMENTS = 100_000


def meta_model(config: Any, request: MemoryRequest) -> nn.Module:
    """Build and wrap the model on the meta device: classes, shapes and dtypes, no storage."""
    import transformers

    config = copy.deepcopy(config)
    config.use_cache = False
    if request.device == "cuda" and request.attention == "sdpa":
        # On CUDA the fused kernel drops attention weights itself; a CPU's cannot, and would be
        # replaced by one that holds them all.
        for name in ("attn_pdrop", "attention_dropout"):
            if getattr(config, name, None):
                setattr(config, name, 0.0)
    dtype = DTYPES[request.weight_itemsize]
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=request.attention, trust_remote_code=False
        )
    if request.method == "qlora":
        _quantise_shapes(model, request)
    model = model if request.method == "full" else wrap_with_adapter(model, request)
    prepare(model, request)
    return model


def wrap_with_adapter(model: Any, request: MemoryRequest) -> nn.Module:
    """Add PEFT's adapter as the request says."""
    import peft

    targets: Any = list(request.targets or ())
    try:
        wrapped = peft.get_peft_model(
            model,
            peft.LoraConfig(
                task_type="CAUSAL_LM",
                r=request.rank,
                lora_alpha=2 * request.rank,
                lora_dropout=request.dropout,
                target_modules="all-linear" if targets == ["all-linear"] else targets,
                use_rslora=request.rslora,
                use_dora=request.dora,
            ),
            autocast_adapter_dtype=False,
        )
    except ValueError as error:
        raise LabError(f"targets: {', '.join(targets)}: {error}") from None
    dtype = DTYPES[request.adapter_itemsize]
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    return wrapped


def prepare(model: Any, request: MemoryRequest) -> None:
    """Put the model in training mode, with checkpointing if asked for."""
    model.train()
    model.config.use_cache = False
    if request.checkpointing:
        # The random state that checkpointing keeps for each layer is 5 KB and not a tensor of
        # the model; fake tensors cannot hold it.
        model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False, "preserve_rng_state": False}
        )


def materialise(model: nn.Module, device: str = "cpu") -> None:
    """Replace each meta parameter and buffer by a tensor on `device`, shared ones once.

    Under FakeTensorMode the tensors are fake; otherwise they are real and random, and 4-bit
    matrices go through bitsandbytes' own quantisation, once for each shape: layers repeat.
    """
    made: dict[int, Any] = {}
    packed: dict[torch.Size, Any] = {}
    for module in model.modules():
        for store in (module._parameters, module._buffers):
            for name, tensor in store.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    # The old tensor is kept too: its id must not be used again meanwhile.
                    made[id(tensor)] = (tensor, _tensor_like(module, name, tensor, device, packed))
                store[name] = made[id(tensor)][1]


def _tensor_like(
    module: nn.Module,
    name: str,
    tensor: torch.Tensor,
    device: str,
    packed: dict[torch.Size, Any],
) -> torch.Tensor:
    bnb: Any = importlib.import_module("bitsandbytes")

    fake = detect_fake_mode() is not None
    if name == "weight" and isinstance(module, bnb.nn.Linear4bit):
        if fake:
            return _fake_4bit(module, tensor)
        if tensor.shape not in packed:
            packed[tensor.shape] = _real_4bit(module, tensor, device)
        return _copied_4bit(packed[tensor.shape], module)
    if name == "weight" and isinstance(module, bnb.nn.Linear8bitLt):
        return _packed_8bit(module, tensor, device)
    made = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    if not fake and tensor.is_floating_point():
        made.normal_(std=0.02)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, requires_grad=tensor.requires_grad)
    return made


def _real_4bit(module: Any, tensor: torch.Tensor, device: str) -> torch.Tensor:
    bnb: Any = importlib.import_module("bitsandbytes")

    weight = torch.randn(tensor.shape, dtype=module.compute_dtype) * 0.02
    quantised = bnb.nn.Params4bit(
        weight,
        requires_grad=False,
        compress_statistics=module.weight.compress_statistics,
        quant_type=module.weight.quant_type,
    )
    return quantised.to(device)


def _copied_4bit(packed: Any, module: Any) -> torch.Tensor:
    copied = copy.deepcopy(packed)
    copied.module = module
    module.quant_state = copied.quant_state
    return copied


def _fake_4bit(module: Any, tensor: torch.Tensor) -> nn.Parameter:
    # The tensors that bitsandbytes' quantize_4bit returns: half a byte a weight, one absmax for
    # 64, and with double quantisation the absmax in 8 bits with an fp32 one for 256 of them.
    from bitsandbytes.functional import QuantState

    blocks = -(-tensor.numel() // 64)
    absmax = torch.empty(blocks, dtype=torch.float32)
    offset, state2 = None, None
    if module.weight.compress_statistics:
        absmax, offset = torch.empty(blocks, dtype=torch.uint8), torch.empty(())
        state2 = QuantState(
            absmax=torch.empty(-(-blocks // 256)),
            code=torch.empty(256),
            blocksize=256,
            dtype=torch.float32,
        )
    packed = nn.Parameter(
        torch.empty((tensor.numel() + 1) // 2, 1, dtype=torch.uint8), requires_grad=False
    )
    module.quant_state = packed.quant_state = QuantState(  # type: ignore[attr-defined]
        absmax=absmax,
        shape=torch.Size(tensor.shape),
        code=torch.empty(16),
        blocksize=64,
        quant_type=module.weight.quant_type,
        dtype=module.compute_dtype,
        offset=offset,
        state2=state2,
    )
    return packed


def _packed_8bit(module: Any, tensor: torch.Tensor, device: str) -> nn.Parameter:
    scales = torch.ones(tensor.shape[0], dtype=torch.float32, device=device)
    rows = torch.zeros(tensor.shape, dtype=torch.int8, device=device)
    packed = nn.Parameter(rows, requires_grad=False)
    packed.CB = packed.SCB = None  # type: ignore[attr-defined]
    module.state.CB, module.state.SCB = packed.data, scales
    return packed


def _quantise_shapes(model: Any, request: MemoryRequest) -> None:
    import transformers
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import get_keys_to_not_convert

    compute = DTYPES[request.compute_itemsize]
    if request.quantization == "int8":
        quantization = transformers.BitsAndBytesConfig(load_in_8bit=True)
    else:
        quantization = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=request.quantization,
            bnb_4bit_use_double_quant=request.double_quant,
            bnb_4bit_compute_dtype=compute,
        )
    replace_with_bnb_linear(model, get_keys_to_not_convert(model), quantization)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):  # the new layers' are in fp32 until a checkpoint is loaded
            parameter.data = parameter.data.to(DTYPES[request.weight_itemsize])
    model.is_loaded_in_8bit = request.quantization == "int8"
    model.is_loaded_in_4bit = not model.is_loaded_in_8bit
    if request.prepare_kbit:
        import peft

        peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """Return the list of repeated layers: the longest `ModuleList` with one class of member."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 0]
    blocks = [m for m in lists if len(m) == getattr(_config(model), "num_hidden_layers", -1)]
    if not blocks:
        raise LabError(f"model: {type(model).__name__} has no list of layers to follow")
    return max(blocks, key=len)


def _config(model: Any) -> Any:
    return model.config


def weights_of(model: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return (tensors of the base model, adapter parameters), statistics of 4-bit included."""
    base: list[torch.Tensor] = list(model.buffers())
    adapter: list[torch.Tensor] = []
    adapted = any("lora_" in name for name, _ in model.named_parameters())
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is None:
                continue
            (adapter if adapted and parameter.requires_grad else base).append(parameter)
            base.extend(_statistics(getattr(parameter, "quant_state", None)))
        state = getattr(module, "state", None)
        scale = getattr(state, "SCB", None)
        if isinstance(scale, torch.Tensor):
            base.append(scale)
    return base, adapter


def _statistics(state: Any) -> list[torch.Tensor]:
    if state is None:
        return []
    own = [state.absmax, state.code, getattr(state, "offset", None)]
    return [t for t in own if isinstance(t, torch.Tensor)] + _statistics(
        getattr(state, "state2", None)
    )


def optimizer_of(model: nn.Module, request: MemoryRequest) -> torch.optim.Optimizer:
    """Build the optimiser that the request names, over the trainable parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    name, rate = request.optimizer, 1e-4
    if name in ("adamw", "adamw_fused"):
        fused = name == "adamw_fused"
        foreach = None if fused else request.device == "cuda"
        return torch.optim.AdamW(parameters, lr=rate, foreach=foreach, fused=fused or None)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, foreach=request.device == "cuda")
    if name == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(parameters, lr=rate, scale_parameter=False, relative_step=False)
    bnb: Any = importlib.import_module("bitsandbytes")

    kind = {
        "adamw_32bit": bnb.optim.AdamW32bit,
        "adamw_8bit": bnb.optim.AdamW8bit,
        "paged_adamw_8bit": bnb.optim.PagedAdamW8bit,
        "paged_adamw_32bit": bnb.optim.PagedAdamW32bit,
    }[name]
    return kind(parameters, lr=rate)


def states_on_device(optimizer: Any, request: MemoryRequest) -> list[torch.Tensor]:
    """Return the state tensors that stay on the device; paged ones may leave it."""
    paged = request.optimizer.startswith("paged") and request.device == "cuda"
    kept: list[torch.Tensor] = []
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                continue
            pageable = name in ("state1", "state2") and parameter.numel() >= PAGED_FROM_ELEMENTS
            if not (paged and pageable):
                kept.append(value)
    return kept


def all_states(optimizer: Any) -> list[torch.Tensor]:
    """Return every state tensor of the optimiser."""
    return [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    ]


@contextlib.contextmanager
def steps_without_values(request: MemoryRequest) -> Iterator[None]:
    """Let optimisers run on fake tensors, which have no values.

    torch reads its step counter, bitsandbytes computes the entries of its two 8-bit code books,
    and transformers looks whether a row holds several packed texts (which would need a mask).
    Real tensors, of a training run in another thread, go the usual way.
    """
    from torch._subclasses.fake_tensor import FakeTensor

    def unless_fake(path: str, stand_in: Callable[..., Any], tells: Callable[..., bool]) -> Any:
        real = pkgutil.resolve_name(path)
        return mock.patch(path, lambda *a, **k: stand_in() if tells(*a, **k) else real(*a, **k))

    def first_is_fake(*arguments: Any, **named: Any) -> bool:
        return isinstance((*arguments, *named.values())[0], FakeTensor)

    def under_fake_mode(*arguments: Any, **named: Any) -> bool:
        return detect_fake_mode() is not None

    with contextlib.ExitStack() as patches:
        for path, stand_in, tells in (
            ("torch.optim.adam._get_value", lambda: 1.0, first_is_fake),
            (
                "transformers.masking_utils.find_packed_sequence_indices",
                lambda: None,
                first_is_fake,
            ),
            (
                "bitsandbytes.functional.create_dynamic_map",
                lambda: torch.empty(256),
                under_fake_mode,
            ),
        ):
            if path.startswith("bitsandbytes") and request.optimizer not in _BITSANDBYTES:
                continue
            patches.enter_context(unless_fake(path, stand_in, tells))
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' remarks about fake tensors and CPUs out of a student's notebook."""
    loggers = [logging.getLogger(n) for n in ("transformers", "bitsandbytes", "peft")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def create_states(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Step once with zero gradients, so that the optimiser's states exist as they do later."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def run_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    request: MemoryRequest,
    inputs: dict[str, torch.Tensor],
    recorder: StepRecorder | None = None,
) -> None:
    """Run the forward and backward passes of up to two micro-batches, then the optimiser.

    Two micro-batches show all that accumulation does: later ones repeat the second.
    """
    mark = recorder.mark if recorder else lambda *moment: None
    hooks = _watch(model, recorder) if recorder else []
    for micro in range(min(2, request.accumulation)):
        mark("forward", "embedding", str(micro))
        with _arithmetic(request):
            loss = model(**inputs).loss
        mark("forward", "loss", str(micro))
        mark("backward", "head", str(micro))
        loss.backward()
        del loss
    mark("step", "optimizer", "0")
    optimizer.step()
    for hook in hooks:
        hook.remove()
    mark("step", "end", "0")
    optimizer.zero_grad(set_to_none=True)
    mark("after", "step", "0")


def _arithmetic(request: MemoryRequest) -> Any:
    if request.precision == "mixed":
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _watch(model: nn.Module, recorder: StepRecorder) -> list[Any]:
    layers = decoder_layers(model)
    hooks: list[Any] = []

    def entering(name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            recorder.module_stack.append(name)

        return hook

    def leaving(module: nn.Module, args: Any, output: Any) -> None:
        if recorder.module_stack:
            recorder.module_stack.pop()

    def layer_entered(index: int) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            phase, _, micro = recorder.moments[-1]
            if phase != "forward":  # a checkpointed layer running again
                return
            if index == 0:
                _on_gradient(args, lambda: recorder.mark("backward", "embedding", micro))
            recorder.mark("forward", f"layer {index}", micro)

        return hook

    def layer_left(index: int) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            phase, _, micro = recorder.moments[-1]
            if phase != "forward":
                recorder.recomputed()
                return
            _on_gradient(output, lambda: recorder.mark("backward", f"layer {index}", micro))
            if index == len(layers) - 1:
                recorder.mark("forward", "head", micro)

        return hook

    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(entering(name)))
        # Checkpointing ends a recomputation by an exception: leave all the same.
        hooks.append(module.register_forward_hook(leaving, always_call=True))
    for index, layer in enumerate(layers):
        hooks.append(layer.register_forward_pre_hook(layer_entered(index), with_kwargs=True))
        hooks.append(layer.register_forward_hook(layer_left(index), always_call=True))
    for parameter in model.parameters():
        if parameter.requires_grad:
            hooks.append(
                parameter.register_post_accumulate_grad_hook(
                    lambda p: recorder.label(p.grad, "gradients") if p.grad is not None else None
                )
            )
    return hooks


def _on_gradient(outputs: Any, then: Any) -> None:
    tensor = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
    if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
        tensor.register_hook(lambda gradient: then())

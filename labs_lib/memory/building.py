"""The model of a forecast on the meta device: its class, its adapter, its 4-bit layers."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from labs_lib.errors import LabError, last_line
from labs_lib.memory.borders import in_one_line
from labs_lib.memory.request import MemoryRequest
from labs_lib.memory.stacks import Pattern, keep_layers, kinds_of, main_stack, pattern_of
from labs_lib.step.adapters import Adapter, is_adapter_tensor
from labs_lib.step.bases import QuantizedBase

DTYPES = {2: torch.bfloat16, 4: torch.float32}

# The heads that a language model is trained with, by the name of transformers' auto class.
_CAUSAL = ("CausalLM", "ImageTextToText", "MultimodalLM")
_ENCODER_DECODER = ("Seq2SeqLM", "SpeechSeq2Seq")
_MASKED = ("MaskedLM",)


@dataclass(frozen=True)
class Plan:
    """How a request is traced: with which class, which attention, and how its layers repeat.

    `request` has its targets and its attention filled in; `pattern` says how the layers of the
    main stack repeat, or is None where each of them is to be traced; `kinds` tells each one's kind,
    or is None where they share a module or the adapter is on single ones.
    """

    request: MemoryRequest
    pattern: Pattern | None
    notes: tuple[str, ...]
    kinds: list[tuple[Any, ...]] | None = None


def plan_of(config: Any, request: MemoryRequest) -> Plan:
    """Look at the bare model: settle what the request leaves open, or say what cannot be."""
    notes: list[str] = []
    try:
        model = bare_model(config, request)
    except _NoAttentionError:
        request = request.but(attention="eager")
        model = bare_model(config, request)
        notes.append(
            f"transformers has no sdpa attention for {config.model_type}: counted as eager."
        )
    wanted = (getattr(config, "architectures", None) or [type(model).__name__])[0]
    if wanted != type(model).__name__:
        notes.append(f"Traced as {type(model).__name__}, not as {wanted}.")
    stack = main_stack(model)
    targets, remark = targets_on(model, request)
    request = request.but(targets=targets)
    notes += [remark] if remark else []
    notes += _notes_on_experts(model, request)
    named = [target for target in request.targets or () if _names_a_layer(target)]
    kinds = None if named else kinds_of(stack, config)
    return Plan(request, pattern_of(kinds) if kinds else None, tuple(notes), kinds)


def _notes_on_experts(model: Any, request: MemoryRequest) -> list[str]:
    """Say what stays in 16 bits of a quantized mixture of experts: bitsandbytes packs matrices."""
    stacked = sum(p.numel() for p in model.parameters() if p.ndim == 3)
    if not request.quantizes or not stacked:
        return []
    total = sum(p.numel() for p in model.parameters())
    return [
        f"The experts are not quantized: transformers stacks each layer's into parameters of three "
        f"dimensions, and bitsandbytes packs linear maps alone. {stacked / total:.0%} of the "
        f"model's parameters stay in {8 * request.weight_itemsize} bits."
    ]


def _names_a_layer(target: str) -> bool:
    return any(part.isdigit() for part in target.split("."))


class _NoAttentionError(LabError):
    """The class has not got the attention that was asked for."""


def bare_model(config: Any, request: MemoryRequest) -> Any:
    """Build the model on the meta device: classes, shapes and dtypes, no storage.

    Raises `LabError` for a configuration that no language model's class can be built from.
    """
    config = copy.deepcopy(config)
    config.use_cache = False
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the request says how the base is held
    if request.device == "cuda" and request.attention == "sdpa":
        # On CUDA the fused kernel drops attention weights itself; a CPU's cannot, and would be
        # replaced by one that holds them all.
        for part in {id(each): each for each in (config, text_config(config))}.values():
            for name in ("attn_pdrop", "attention_dropout"):
                if getattr(part, name, None):
                    setattr(part, name, 0.0)
    dtype = DTYPES[request.weight_itemsize]
    auto = auto_class(config)
    with in_one_line(f"model: {config.model_type} cannot be built from its configuration"):
        try:
            with torch.device("meta"):
                return auto.from_config(
                    config,
                    dtype=dtype,
                    attn_implementation=request.attention,
                    trust_remote_code=False,
                )
        except ValueError as error:
            if request.attention != "eager" and "scaled_dot_product_attention" in str(error):
                raise _NoAttentionError(f"attention: {last_line(error)}") from error
            raise


def auto_class(config: Any) -> Any:
    """Return the auto class of the head that the model is trained with.

    The configuration's own `architectures` decides; where it names no language model, an
    encoder-decoder gets its own kind of head, a BERT a masked one, all others a causal one.
    Raises `LabError` for a kind of model that writes no text.
    """
    import transformers

    def known(*heads: str) -> list[Any]:
        autos = [getattr(transformers, f"AutoModelFor{head}") for head in heads]
        return [auto for auto in autos if type(config) in auto._model_mapping]

    named: list[str] = getattr(config, "architectures", None) or []
    for auto in known(*_CAUSAL, *_ENCODER_DECODER, *_MASKED):
        classes: Any = auto._model_mapping[type(config)]
        several: tuple[type, ...] = tuple(classes) if _is_several(classes) else (classes,)
        if any(one.__name__ in named for one in several):
            return auto
    if getattr(config, "is_encoder_decoder", False):
        order = known(*_ENCODER_DECODER, *_CAUSAL, *_MASKED)
    elif getattr(config, "is_decoder", True):
        order = known(*_CAUSAL, *_ENCODER_DECODER, *_MASKED)
    else:
        order = known(*_MASKED, *_CAUSAL, *_ENCODER_DECODER)
    if not order:
        raise LabError(
            f"model_type: transformers has no language model for {config.model_type!r}: "
            "there is no next-token loss to train it with"
        )
    return order[0]


def _is_several(classes: Any) -> bool:
    return isinstance(classes, (tuple, list))


def text_config(config: Any) -> Any:
    """Return the part of a configuration that describes the model which writes the text."""
    try:
        return config.get_text_config(decoder=True)
    except ValueError:  # a composite whose two halves are both text
        return config


def meta_model(config: Any, request: MemoryRequest, kept: Sequence[int] | None = None) -> nn.Module:
    """Build and wrap the model on the meta device; of its main stack the layers in `kept` stay."""
    model = bare_model(config, request)
    if kept is not None:
        keep_layers(main_stack(model), model.config, kept)
    if isinstance(request.base, QuantizedBase):
        _quantize_shapes(model, request, request.base)
    wrapped = wrap_with_adapter(model, request, request.adapter) if request.adapter else model
    prepare(wrapped, request)
    return wrapped


def targets_on(model: Any, request: MemoryRequest) -> tuple[list[str] | None, str]:
    """Return (names that PEFT matches, a remark): the request's, or the usual ones.

    Usual are q and v, or the matrix that holds them; where a model has none by these names,
    what PEFT itself adapts in this architecture, and else its whole attention or all it has.
    The remark says which of these last were taken. Raises `LabError` for a name that the model
    has not.
    """
    from labs_lib.models.targets import resolve_targets

    if request.trains_all:
        return None, ""
    if request.targets is not None:
        # PEFT's own word takes in what stands outside the layers' linear maps too.
        if "all-linear" in request.targets:
            return ["all-linear"], ""
        paths = [path for path, _ in model.named_modules()]
        if all(_names_a_layer(name) and name in paths for name in request.targets):
            return list(request.targets), ""  # single modules, by their whole path
        return resolve_targets(model, request.targets), ""
    for usual in (["q,v"], ["q,k,v"], _of_peft(model.config.model_type), ["attention"]):
        try:
            names = resolve_targets(model, ",".join(usual))
        except LabError:
            continue
        plain = usual[0] in ("q,v", "q,k,v")
        return names, "" if plain else f"No q and v by name in this model: {', '.join(names)}."
    names = resolve_targets(model, "all-linear")
    if "mamba" in model.config.model_type:
        # PEFT refuses it there: the fused kernel reads that weight past any adapter.
        names = [name for name in names if name != "out_proj"]
    return names, f"No attention by name in this model: {', '.join(names)}."


def _of_peft(model_type: str) -> list[str]:
    import peft.utils.constants

    constants: Any = peft.utils.constants
    usual = constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    return list(usual.get(model_type, ()))


def wrap_with_adapter(model: Any, request: MemoryRequest, adapter: Adapter) -> nn.Module:
    """Add PEFT's adapter as the request says."""
    import peft

    targets: Any = list(request.targets or ())
    causal = hasattr(model, "prepare_inputs_for_generation")
    causal = causal and not getattr(model.config, "is_encoder_decoder", False)
    config: Any = adapter.peft_config(
        request.adapter_settings,
        "all-linear" if targets == ["all-linear"] else targets,
        task_type="CAUSAL_LM" if causal else None,
    )
    if adapter.needs_weights:  # shapes alone have nothing to decompose
        config.init_lora_weights = True
    with in_one_line(f"targets: {', '.join(targets)}"):
        wrap: Any = peft.get_peft_model
        wrapped = wrap(model, config, autocast_adapter_dtype=False)
    dtype = DTYPES[request.adapter_itemsize]
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    for name, buffer in wrapped.named_buffers():  # VeRA's two matrices, which all layers share
        if is_adapter_tensor(name) and buffer.is_floating_point():
            buffer.data = buffer.data.to(dtype)
    adapter.freeze(wrapped)
    return wrapped


def prepare(model: Any, request: MemoryRequest) -> None:
    """Put the model in training mode, with checkpointing if asked for."""
    model.train()
    model.config.use_cache = False
    if request.checkpointing:
        # The random state that checkpointing keeps for each layer is 5 KB and not a tensor of
        # the model; fake tensors cannot hold it.
        with in_one_line("checkpointing"):
            model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False, "preserve_rng_state": False}
            )


def inputs_of(model: Any, request: MemoryRequest, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return one batch for the model's forward pass: token ids, or a speech model's features.

    An encoder-decoder reads `seq_len` tokens and writes as many. Raises `LabError` for a model
    that has no loss, or that needs what a text has not.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    name, takes = type(inner).__name__, inspect.signature(inner.forward).parameters
    config = inner.config
    if "labels" not in takes:
        raise LabError(f"model: {name} takes no labels: it has no loss to train with")
    vocabulary = getattr(text_config(config), "vocab_size", None) or 2
    shape = (request.batch, request.seq_len)
    ids = torch.randint(0, vocabulary, shape, device=device)
    inputs = {"labels": ids}
    if getattr(config, "is_encoder_decoder", False):
        inputs["decoder_input_ids"] = ids
    if "input_ids" in takes:
        inputs["input_ids"] = ids
    elif "input_features" in takes and hasattr(config, "max_source_positions"):
        # Whisper's encoder takes 30 seconds of sound, whatever the text: two frames a position.
        frames = 2 * config.max_source_positions
        inputs["input_features"] = torch.zeros(
            (request.batch, config.num_mel_bins, frames),
            device=device,
            dtype=DTYPES[request.weight_itemsize],
        )
    else:
        raise _needs(name, next(iter(takes)))
    for needed, parameter in takes.items():
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if named and parameter.default is parameter.empty and needed not in inputs:
            raise _needs(name, needed)
    return inputs


def _needs(name: str, argument: str) -> LabError:
    return LabError(f"model: {name} needs {argument}, and a forecast has only tokens to give")


def _quantize_shapes(model: Any, request: MemoryRequest, base: QuantizedBase) -> None:
    import transformers.integrations.bitsandbytes as integration
    import transformers.quantizers.base as quantizers

    # transformers leaves these functions without types.
    replacing: Any = integration
    keeping: Any = quantizers

    quantization = base.config(request.double_quant, DTYPES[request.compute_itemsize])
    kept = keeping.get_keys_to_not_convert(model)
    replacing.replace_with_bnb_linear(model, kept, quantization)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):  # the new layers' are in fp32 until a checkpoint is loaded
            parameter.data = parameter.data.to(DTYPES[request.weight_itemsize])
    model.is_loaded_in_8bit = base.bits == 8
    model.is_loaded_in_4bit = not model.is_loaded_in_8bit
    if request.prepare_kbit:
        import peft

        preparing: Any = peft
        preparing.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)

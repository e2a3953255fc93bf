"""Which linear maps an adapter goes on: from a word such as `all-linear` to module names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from labs_lib.errors import LabError, choice_error, shorten
from labs_lib.models.catalogue import Entry, config_of
from labs_lib.models.catalogue import entry as catalogue_entry
from labs_lib.models.experts import check_expert_targets, expert_targets
from labs_lib.step.adapters import is_adapter_tensor
from labs_lib.step.families import PARTS, PARTS_BY_NAME, ending_with, parts_of

_GROUPS = ("all-linear", "attention", "mlp")


def resolve_targets(model: Any, targets: str | Iterable[str]) -> list[str]:
    """Return the module names to hand to `LoraConfig(target_modules=…)`.

    `model` is a loaded model (PEFT-wrapped or quantized too), a catalogue `Entry` or a
    catalogue name; of the last two a mixture of experts alone loads torch.  `targets` is
    `all-linear` (every linear map except the output head), `attention`, `mlp`, letters such as
    `q,v` (also `k`, `o`, `gate`, `up`, `down`), module names, or a list of any of these.

    Each name returned is the shortest one that PEFT, which matches by the end of the path,
    applies to exactly the modules meant, in the order of the model's code: on GPT-2
    `attention` gives `c_attn` and `attn.c_proj`, since `c_proj` alone would reach the MLP too.

    Where a layer's experts are stacked into one parameter, `all-linear` and `mlp` bring the names
    by which PEFT reaches them too, so that `all-linear` is what PEFT takes it for.

    Raises `LabError` for a name that the model has not (with the nearest) and for `q_proj`
    where one fused matrix holds q, k and v.
    """
    model = _known(model)
    modules, extra = _modules_of(model)
    experts = [] if isinstance(model, Entry) else expert_targets(model)
    wanted = _as_list(targets)
    chosen: set[str] = set()
    stacked: dict[str, None] = {}
    letters: list[str] = []
    for target in wanted:
        if target in _GROUPS:
            members = {name for name in modules if target in ("all-linear", _role(name))}
            if target != "attention":
                stacked |= dict.fromkeys(experts)
            if not members and (target == "attention" or not experts):
                raise LabError(f"target_modules: this model has no {target} linear map")
            chosen |= members
        elif target in experts and not ending_with(target, modules):
            stacked[target] = None
        elif target in PARTS and not ending_with(target, modules):
            letters.append(target)
        else:
            matches = ending_with(target, [*modules, *extra])
            if not matches:
                raise _no_such_module(target, modules)
            chosen |= set(matches)
    chosen |= _holding(letters, modules)
    names = _shortest_names(chosen, [*modules, *extra])
    names += [name for name in stacked if name not in names]
    if experts:
        check_expert_targets(model, names)
    return names


def _as_list(targets: str | Iterable[str]) -> list[str]:
    given = targets.split(",") if isinstance(targets, str) else targets
    if not isinstance(given, Iterable):
        raise LabError(f"target_modules: {shorten(given)} is neither a name nor a list of names")
    names = []
    for target in given:
        if not isinstance(target, str):
            raise LabError(f"target_modules: {shorten(target)} is not a module name")
        names += [target.strip()] if target.strip() else []
    if not names:
        raise LabError("target_modules: empty; name at least one, or 'all-linear'")
    return names


def _modules_of(model: Any) -> tuple[list[str], list[str]]:
    """Return the in-layer paths of the linear maps, and those outside the layers (the head)."""
    if isinstance(model, Entry):
        return [linear.module for linear in model.linears], ["lm_head"]
    modules: dict[str, None] = {}
    extra: dict[str, None] = {}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    for path, module in model.named_modules():
        # Inside a PEFT wrapper the map itself is `….q_proj.base_layer`, beside its adapters.
        path = path.removesuffix(".base_layer")
        if is_adapter_tensor(path) or not _is_linear(module):
            continue
        inside = re.split(r"\.\d+\.", path)[-1]
        (extra if module is head or inside == path else modules)[inside] = None
    return list(modules), list(extra)


def _known(model: Any) -> Any:
    """Return a model, or an `Entry`; of a mixture of experts its model, shapes only."""
    if isinstance(model, str):
        model = catalogue_entry(model)
    if not isinstance(model, Entry) or not model.family.experts:
        return model
    import torch
    from transformers import AutoModelForCausalLM

    config = config_of(model)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def _is_linear(module: Any) -> bool:
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, Conv1D):  # GPT-2's
        return True
    # By its attributes, not its class: bitsandbytes' layers count too.
    return (
        hasattr(module, "in_features")
        and hasattr(module, "out_features")
        and (getattr(module, "weight", None) is not None and not hasattr(module, "base_layer"))
    )


def _role(module: str) -> str:
    return "attention" if "att" in module.rpartition(".")[0] else "mlp"


def _holding(letters: list[str], modules: list[str]) -> set[str]:
    """Return the modules that compute `letters`; a fused one only if all it holds is asked for."""
    chosen: set[str] = set()
    for letter in letters:
        holders = [name for name in modules if letter in parts_of(name)]
        if not holders:
            present = [each for each in PARTS if any(each in parts_of(name) for name in modules)]
            raise choice_error("target_modules", letter, [*_GROUPS, *present, *_names(modules)])
        for holder in holders:
            if not set(parts_of(holder)) <= set(letters):
                raise _fused(letter, holder)
            chosen.add(holder)
    return chosen


def _no_such_module(target: str, modules: list[str]) -> LabError:
    for part in PARTS_BY_NAME.get(target, ()):
        for name in modules:
            if part in parts_of(name) and len(parts_of(name)) > 1:
                return _fused(target, name)
    return choice_error("target_modules", target, [*_names(modules), *_GROUPS])


def _fused(target: str, holder: str) -> LabError:
    held = parts_of(holder)
    listed = f"{', '.join(held[:-1])} and {held[-1]}"
    name = holder.rpartition(".")[2]
    return LabError(
        f"target_modules: {target!r} is no separate module here: {name!r} holds {listed} in one "
        f"matrix; name {name!r}, which adapts all of them"
    )


def _names(modules: list[str]) -> list[str]:
    return _shortest_names(set(modules), modules)


def _shortest_names(chosen: set[str], modules: list[str]) -> list[str]:
    names: dict[str, None] = {}
    for module in (name for name in modules if name in chosen):
        parts = module.split(".")
        ends = (".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1))
        names[next((end for end in ends if set(ending_with(end, modules)) <= chosen), module)] = (
            None
        )
    return list(names)

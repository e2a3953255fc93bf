"""LoRA+'s two learning rates: a higher one for B (arXiv 2402.12354)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs_lib.assessment.exercises.base import Exercise, FunctionCheck, Misconception, Property
from labs_lib.assessment.exercises.observed import malformed, well_formed


def small_model() -> Any:
    """Return PEFT's model of two linear maps, each with an adapter."""
    import torch
    from peft import LoraConfig, get_peft_model

    maps = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(6, 6), "v_proj": torch.nn.Linear(6, 3)})
    return get_peft_model(maps, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))


def peft_rates(learning_rate: float, ratio: float) -> dict[str, float]:
    """Return the rate that PEFT's own optimizer gives each trained parameter, by name."""
    import torch
    from peft.optimizers import create_loraplus_optimizer

    model = small_model()
    optimizer = create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=learning_rate, loraplus_lr_ratio=ratio
    )
    return _rates_of(model, optimizer.param_groups)


def _rates_of(model: Any, groups: Any) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names.get(id(parameter), "unknown"): float(group["lr"])
        for group in groups
        for parameter in group["params"]
    }


def _probe(function: Any, learning_rate: float, ratio: float) -> Any:
    """Hand the groups to AdamW, and return the rate that it holds for each parameter."""
    import torch

    model = small_model()
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    made = function(model, learning_rate, ratio)
    if made is None or made is ...:
        return ...
    if isinstance(made, (list, tuple)):
        made = list(made)
    if (
        not isinstance(made, list)
        or not made
        or not all(isinstance(group, dict) and "params" in group for group in made)
    ):
        return malformed()
    optimizer = torch.optim.AdamW(made, lr=learning_rate)
    thawed = [name for name, p in model.named_parameters() if p.requires_grad and name in frozen]
    rates = _rates_of(model, optimizer.param_groups)
    return {"rates": rates, "thawed": bool(thawed), "rate": learning_rate, "ratio": ratio}


def _of(factor: str, wanted: Callable[[float, float], float]) -> Callable[[Any], bool]:
    """Return a test: every rate of a factor is what the learning rate and the ratio give."""

    def test(result: Any) -> bool:
        rates = [rate for name, rate in result["rates"].items() if factor in name]
        expected = wanted(result["rate"], result["ratio"])
        return bool(rates) and all(abs(rate - expected) <= 1e-6 * expected for rate in rates)

    return test


def _each(*tests: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda results: all(test(result) for result in results for test in tests)


def _adapter_alone(result: Any) -> bool:
    return all("lora_" in name for name in result["rates"])


def _as_pefts(result: Any) -> bool:
    wanted = peft_rates(result["rate"], result["ratio"])
    found = result["rates"]
    return found.keys() == wanted.keys() and all(
        abs(found[name] - rate) <= 1e-6 * rate for name, rate in wanted.items()
    )


PLUS_GROUPS = Exercise(
    id="09.plus-groups",
    title="LoRA+'s parameter groups",
    objective="write",
    task=(
        "Write `plus_groups(model, learning_rate, ratio)`: the parameter groups that "
        "`torch.optim.AdamW` takes, a list of dictionaries with `params` and `lr`. The trained "
        "parameters get `learning_rate`, but each `lora_B` gets `ratio` times as much. Frozen "
        "parameters belong in no group."
    ),
    answer="plus_groups",
    hints=(
        "model.named_parameters() yields names and parameters; p.requires_grad says which train.",
        'PEFT has "lora_B" in the name of every B.',
        'Return [{"params": […], "lr": learning_rate}, {"params": […], "lr": …}].',
    ),
    check=FunctionCheck(
        cases=lambda generator: [
            (generator.choice((1e-4, 2e-4, 1e-3)), generator.choice((4, 16))) for _ in range(2)
        ],
        probe=_probe,
        seconds=20.0,
        properties=(
            well_formed("plus_groups should return a list of dictionaries with params and lr."),
            Property(
                _each(lambda result: not result["thawed"]), "A frozen parameter was made to train."
            ),
            Property(_each(_adapter_alone), "A group holds parameters that are not the adapter's."),
            Property(
                _each(_as_pefts),
                "These are not the rates that PEFT's create_loraplus_optimizer gives.",
            ),
        ),
        misconceptions=(
            Misconception(
                "frozen-included",
                "Your groups hold the frozen base too. It gets no gradient, but it belongs in no "
                "group: take the parameters that require a gradient.",
                when=_each(lambda result: not _adapter_alone(result)),
            ),
            Misconception(
                "ratio-on-a",
                "You raise the rate of A. LoRA+ raises that of B.",
                when=_each(_of("lora_A", lambda r, k: r * k), _of("lora_B", lambda r, _k: r)),
            ),
            Misconception(
                "ratio-on-both",
                "Both rates are raised: that is plain LoRA at a higher learning rate.",
                when=_each(_of("lora_A", lambda r, k: r * k), _of("lora_B", lambda r, k: r * k)),
            ),
            Misconception(
                "a-lowered",
                "You lower the rate of A and leave B's. The quotient is right, but the rate "
                "belongs to A, and B gets ratio times as much.",
                when=_each(_of("lora_A", lambda r, k: r / k), _of("lora_B", lambda r, _k: r)),
            ),
            Misconception(
                "ratio-as-rate",
                "The ratio is no learning rate: multiply learning_rate by it.",
                when=_each(_of("lora_B", lambda _r, k: k)),
            ),
            Misconception(
                "one-rate",
                "Both get the same rate: that is plain LoRA.",
                when=_each(_of("lora_A", lambda r, _k: r), _of("lora_B", lambda r, _k: r)),
            ),
            Misconception(
                "a-left-out",
                "Your groups hold no A, so it would never move.",
                when=_each(lambda result: not any("lora_A" in name for name in result["rates"])),
            ),
        ),
    ),
    decoys=(
        '    b = [p for name, p in model.named_parameters() if "lora_A" in name]',
        '    return [{"params": a, "lr": learning_rate}, {"params": b, "lr": ratio}]',
    ),
    praise="PEFT's create_loraplus_optimizer gives every parameter the same rate.",
)

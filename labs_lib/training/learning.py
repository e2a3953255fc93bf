"""Whether a run learned: what a trainer does not say, and a lesson asserts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labs_lib.training.processes.tensors import whole

if TYPE_CHECKING:
    from labs_lib.training.run import Run


_WAITS_FOR_ITS_PARTNER = ("lora_A", "vera_lambda_d")
"""Parts of the names of tensors whose partner begins at zero."""


def without_gradient(model: Any) -> list[str]:
    """Return the names of the adapter's trained tensors that no gradient reaches.

    Call it after the first backward pass of a run. LoRA's A has a gradient of zero there, since
    B is zero, as has VeRA's inner vector, and counts only where it has none at all.
    """
    missing = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        waits = any(each in name for each in _WAITS_FOR_ITS_PARTNER)
        if parameter.grad is None or (not waits and not whole(parameter.grad).any()):
            missing.append(name)
    return missing


def cut_off_in(history: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what a trainer's log says of the tensors that no gradient reached."""
    return tuple(history[0].get("without_gradient", ())) if history else ()


def assert_learned(run: Run, share: float = 0.5) -> None:
    """Raise AssertionError unless the run learned; print what was checked.

    The held-out loss has to fall below `share` of what it was, and every tensor of the adapter
    has to be reached by a gradient in the first step: a run whose adapter is frozen or cut off
    ends without an error too.
    """
    before, after = run.before.loss, run.after.loss
    assert before is not None, "no held-out loss was taken before training"
    assert after is not None, "no held-out loss was taken after training"
    cut_off = run.without_gradient
    assert not cut_off, f"no gradient reached {len(cut_off)} trained tensors, first {cut_off[0]}"
    assert after < share * before, f"the held-out loss went from {before:.3f} to {after:.3f} only"
    reached = "" if run.recipe.trains_all else "; a gradient reached every trained tensor"
    print(f"held-out loss {before:.2f} → {after:.2f}{reached}")

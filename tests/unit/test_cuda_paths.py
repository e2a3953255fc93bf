"""What the course does on CUDA, as far as a machine without it can tell."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from labs_lib import hardware, models
from labs_lib.errors import LabError
from labs_lib.memory import request_of
from labs_lib.memory.step import arithmetic
from labs_lib.training import Recipe, session, train
from labs_lib.training.accounting import cost_of
from labs_lib.training.advice import does_not_fit
from labs_lib.training.engine.evaluating import random_state_kept
from labs_lib.training.engine.measure import memory_parts
from labs_lib.training.engine.trainer import MeasuringTrainer
from labs_lib.training.failures import ran_out_of_memory, ran_out_on_gpu
from labs_lib.training.forecasting import LongestBatch
from labs_lib.training.progress import Silent


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let torch believe in two GPUs, of which this process uses the second."""
    card = SimpleNamespace(name="Tesla T4", total_memory=16 * 2**30)
    for name, value in {
        "is_available": True, "is_initialized": True, "device_count": 2, "current_device": 1,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: card)
    return monkeypatch


@pytest.mark.parametrize(("multiplies", "precision"), [(False, "fp32"), (True, "bf16")])
def test_bf16_is_for_cards_that_multiply_it(
    two_gpus: pytest.MonkeyPatch, multiplies: bool, precision: str
):
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or multiplies

    two_gpus.setattr(torch.cuda, "is_bf16_supported", supported)
    found = hardware.detect.__wrapped__()
    assert (found.device, found.precision) == ("cuda", precision)


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_a_model_goes_to_this_processs_card(
    two_gpus: pytest.MonkeyPatch, tiny_model: Path, quantization: str | None
):
    asked: dict[str, Any] = {}

    def full(*_: Any, **options: Any) -> None:
        asked.update(options)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    two_gpus.setattr(transformers.AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(LabError, match="does not fit in the accelerator's memory") as caught:
        models.load_model(tiny_model, dtype="fp32", quantization=quantization, device="cuda")
    assert asked["device_map"] == {"": "cuda:1"}
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__traceback__ is None  # or what was loaded would stay


def test_only_this_processs_random_state_is_kept(two_gpus: pytest.MonkeyPatch):
    forked: list[list[int]] = []

    def fork(devices: list[int]) -> Any:
        forked.append(devices)
        return torch.inference_mode(False)

    two_gpus.setattr(torch.random, "fork_rng", fork)
    with random_state_kept():
        pass
    assert forked == [[1]]


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_measured_step_multiplies_in_16_bits_where_its_tensors_are():
    mixed = request_of("smollm2-135m-instruct", precision="mixed")
    assert [arithmetic(mixed, kind).device for kind in ("cuda", "cpu")] == ["cuda", "cpu"]


@pytest.mark.seconds
def test_a_run_without_memory_keeps_neither_its_model_nor_its_trainer(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept: list[weakref.ref[Any]] = []

    def step(self: MeasuringTrainer, *_: Any, **__: Any) -> None:
        kept.extend([weakref.ref(self), weakref.ref(self.model)])
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    batches: list[LongestBatch] = []

    def told(*given: Any) -> LabError:
        batches.append(given[-1])
        return does_not_fit(*given)

    monkeypatch.setattr(MeasuringTrainer, "training_step", step)
    monkeypatch.setattr(session, "does_not_fit", told)
    recipe = Recipe.of(model=str(tiny_model), steps=1, batch_size=2, eval_rows=0, precision="fp32")
    with pytest.raises(LabError, match=r"^out of GPU memory: .*Change, first to last") as caught:
        train(recipe, tmp_path / "run", progress=Silent())
    gc.collect()
    assert kept
    assert [each() for each in kept] == [None, None], caught.value  # which a notebook remembers
    [batch] = batches
    assert batch.laid_out is not None
    assert batch.laid_out.rows == 2
    assert batch.longest_row == batch.laid_out.longest > 8


@pytest.mark.parametrize(
    ("error", "anywhere", "on_gpu"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, True),
        (RuntimeError("CUDA error: out of memory"), True, True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED in cublas"), True, True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), True, False),
        (MemoryError(), True, False),
        (RuntimeError("CUDA error: device-side assert triggered"), False, False),
    ],
    ids=["torch", "driver", "cuBLAS", "CPU", "Python", "another"],
)  # fmt: skip
def test_whose_memory_ran_out(error: Exception, anywhere: bool, on_gpu: bool):
    assert (ran_out_of_memory(error), ran_out_on_gpu(error)) == (anywhere, on_gpu)


def test_paged_states_are_no_part_of_the_cards_peak(tmp_path: Path):
    model = torch.nn.Linear(8, 8, bias=False)
    optimizer = torch.optim.SGD(model.parameters())
    paged = torch.zeros(1000)
    paged.is_paged = True  # pyright: ignore[reportAttributeAccessIssue]  (as bitsandbytes marks it)
    optimizer.state[model.weight] = {"state1": paged, "absmax1": torch.zeros(10)}
    parts = memory_parts(model, optimizer, 256)
    assert (parts["optimizer_bytes"], parts["paged_bytes"]) == (4040, 4000)
    line = {"loss": 1.0, "step_seconds": 1.0, "num_tokens": 1, "memory": parts}
    card: Any = SimpleNamespace(device="cuda")
    cost = cost_of([line], tmp_path, card, accelerator_peak_bytes=1000)
    assert cost.memory == {
        "weights_bytes": 256,
        "adapter_bytes": 0,
        "gradients_bytes": 256,
        "optimizer_bytes": 4040,
        "activations_bytes": 1000 - 256 - 256 - 40,
    }

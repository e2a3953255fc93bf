"""What lesson 09 measures: the bits an adapter holds, its intruders; and the picture of methods."""

from __future__ import annotations

from typing import Any

import pytest

from labs_lib import lowrank
from labs_lib.errors import LabError
from labs_lib.ledger.tiny import fill, tiny_llama, with_lora


def test_an_adapter_holds_what_fits_and_no_more():
    few, many = (lowrank.memorize(pairs, rank=1, steps=150) for pairs in (16, 512))
    assert few.parameters == many.parameters == (64 + 256) + (256 + 16)
    assert (few.offered_bits, many.offered_bits) == (64, 2048)
    assert few.recalled > 0.9
    assert few.stored_bits > 0.7 * few.offered_bits
    assert many.recalled < 0.6
    assert many.stored_bits < 0.5 * many.offered_bits
    assert many.bits_per_parameter == pytest.approx(many.stored_bits / 592)


def test_four_times_the_rank_holds_more():
    one, four = (lowrank.memorize(512, rank, steps=150) for rank in (1, 4))
    assert four.parameters == 4 * one.parameters
    assert four.stored_bits > 1.5 * one.stored_bits


def test_the_same_seed_memorizes_the_same_and_touches_no_other_random_numbers():
    import torch

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one = lowrank.memorize(32, 1, steps=20)
    assert torch.equal(torch.rand(2), expected)
    assert lowrank.memorize(32, 1, steps=20) == one
    assert lowrank.memorize(32, 1, steps=20, seed=1) != one


def test_a_rank_that_no_map_has_is_refused():
    with pytest.raises(LabError, match="rank"):
        lowrank.memorize(16, rank=17)


def adapted(scale: float) -> Any:
    """Return a small model whose adapter is `scale` times as strong as a usual one."""
    model = with_lora(tiny_llama())
    fill(model, scale=scale)
    return model


def pefts_count(model: Any) -> int:
    """Return how many intruders PEFT's own mitigation finds, from what it prints."""
    from peft.tuners.lora.intruders import reduce_intruder_dimension

    said: list[str] = []
    reduce_intruder_dimension(model, logging_sink=said.append)
    return sum(int(line.rpartition(" ")[2]) for line in said if "Intruders: " in line)


@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0])
def test_intruders_are_those_that_peft_finds(scale: float):
    model = adapted(scale)
    found = lowrank.overlaps(model)["default"]
    assert len(found) == 4  # query and value of two layers
    assert {len(each) for each in found.values()} == {10}
    assert lowrank.count_intruders(found) == pefts_count(model)


def test_without_an_update_every_direction_is_the_bases():
    found = lowrank.overlaps(adapted(0.0))["default"]
    assert min(map(min, found.values())) > 0.999
    assert lowrank.count_intruders(found) == 0


def test_a_strong_update_brings_intruders():
    counts = [
        lowrank.count_intruders(lowrank.overlaps(adapted(scale))["default"])
        for scale in (0.01, 30.0)
    ]
    assert counts[0] == 0 < counts[1]


def test_modules_and_adapters_are_chosen_by_name():
    model = with_lora(tiny_llama(), trained=True)
    model.add_adapter("second", model.peft_config["default"])
    found = lowrank.overlaps(model, ("default", "second"), modules=("q_proj",), strongest=3)
    assert set(found) == {"default", "second"}
    assert all(name.endswith("q_proj") for name in found["default"])
    assert {len(each) for each in found["second"].values()} == {3}
    assert min(map(min, found["second"].values())) > 0.999  # its B is still zero


def test_the_picture_names_every_method_that_the_lesson_teaches():
    alt = lowrank.draw_places().alt
    for method in ("PiSSA", "OLoRA", "EVA", "rsLoRA", "LoRA+", "LoRA-FA", "DoRA", "VeRA", "MiSS",
                   "AdaLoRA", "OFT", "IA³"):  # fmt: skip
        assert method in alt

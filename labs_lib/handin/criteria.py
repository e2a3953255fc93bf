"""The criteria of the rubric: each looks at a hand-in and says (met, why) in one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabError
from labs_lib.handin.contents import ADAPTER_FOLDER, CARD_FILE, Handed
from labs_lib.judging import bootstrap_interval, compare_scores

if TYPE_CHECKING:
    from labs_lib.data import Row
    from labs_lib.judging import Scores

Verdict = tuple[bool, str]

ENDS_OFF = 0.02
"""How far an end of an interval may lie from ours: rounding, or another way to compute it."""

FEWEST_WORDS = 8
"""Of a reason. Whether it is a good one, a person reads."""


def chosen(handed: Handed) -> Verdict:
    """Tell whether a way was chosen, and for a reason."""
    said = handed.said
    if said.choice is None:
        return False, "Nothing was chosen: fine-tune, prompt or retrieve."
    words = len(said.because.split())
    if words < FEWEST_WORDS:
        return False, f"{said.choice}, for a reason of {words} words; say why in a sentence."
    return True, f"{said.choice}: {said.because.strip()}"


def has_baselines(handed: Handed) -> Verdict:
    """Tell whether two ways without training were scored, on the rows that the adapter was."""
    stated = handed.said.baselines
    if not stated:
        return False, "No way without training was scored, so nothing says what training adds."
    try:
        scored = handed.baselines
    except LabError as error:
        return False, str(error).removeprefix("hand-in: ")
    for ours, theirs in zip(scored, stated, strict=True):
        if theirs.metric != ours.metric or any(
            abs(a - b) > 1e-6 for a, b in zip(ours.values, theirs.values, strict=False)
        ):
            return False, f"{ours.name}: its answers are worth {ours.mean:.0%} by {ours.metric}."
    if len(scored) == 1:
        return False, (
            f"Only {scored[0].name} was scored. A prompt with examples and the nearest row are "
            "harder to beat."
        )
    best = _best(scored)
    return True, f"{len(scored)} ways without training; the best is {_told(best)}."


def has_interval(handed: Handed) -> Verdict:
    """Tell whether the score has an interval, and the one that the rows give."""
    result, stated = handed.result, handed.said.interval
    if stated is None:
        return False, f"The score, {_told(result)}, has no interval."
    ways = [result.interval()]
    if len(set(result.values)) > 1:
        ways.append(bootstrap_interval(result.values))
    off = min(max(abs(a - b) for a, b in zip(stated, way, strict=True)) for way in ways)
    low, high = ways[0]
    right = f"{_told(result)} has the 95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    if off > ENDS_OFF:
        return False, f"{right}, not {100 * stated[0]:.0f} to {100 * stated[1]:.0f} %."
    return True, f"{right}."


def held_out(handed: Handed) -> Verdict:
    """Tell whether the rows are those of the run, and none that is tested was trained on."""
    run, data_set = handed.run, handed.data_set
    if data_set.fingerprint != run.data_fingerprint:
        return False, "The rows in data/ are not those of the run: their fingerprints differ."
    scored = data_set.test[: len(run.after.prompts)]
    if [row.prompt for row in scored] != list(run.after.prompts):
        return False, "run.json holds answers to other rows than the test rows."
    learned = [*data_set.train, *data_set.validation]
    known = {_asked(row) for row in learned}
    if twice := [place for place, row in enumerate(data_set.test) if _asked(row) in known]:
        return False, f"{_rows(len(twice))} of the test, first row {twice[0]}, were trained on too."
    field = handed.said.entity
    if field is None:
        return True, f"No prompt of the {len(data_set.test)} test rows is in another split."
    shared = _entities(learned, field) & _entities(data_set.test, field)
    if shared:
        return False, f"{len(shared)} values of {field} are in the test and were trained on too."
    return True, f"No prompt and no {field} of the {len(data_set.test)} test rows was trained on."


def has_card(handed: Handed) -> Verdict:
    """Tell whether the model card is complete, and of this run."""
    from labs_lib.export import unwritten
    from labs_lib.training.adapter.config import base_of

    path = handed.folder / CARD_FILE
    try:
        missing = unwritten(path)
    except LabError as error:
        return False, str(error)
    if missing:
        return False, f"To be written: {', '.join(missing)}."
    named, base = _base_in(path), base_of(handed.folder / ADAPTER_FOLDER)
    if _last_part(base) not in map(_last_part, named):
        return False, f"It names the base {', '.join(named)}, and the adapter's is {base}."
    return True, "Every field is written."


def honest(handed: Handed) -> Verdict:
    """Tell whether the conclusion is what the comparison with the best baseline shows."""
    said = handed.said
    if not handed.baselines:
        return False, "Without a baseline nothing can be concluded."
    best = _best(handed.baselines)
    found = compare_scores(best, handed.result)
    shown = "not shown"
    if found.beyond_noise:
        shown = "better" if found.difference > 0 else "worse"
    low, high = (100 * end for end in found.interval)
    why = (
        f"{100 * found.difference:+.0f} points against {best.name}, 95 % interval {low:+.0f} to "
        f"{high:+.0f}: {shown}"
    )
    if said.conclusion is None:
        return False, f"No conclusion was stated. {why}."
    if said.conclusion != shown:
        return False, f"You say {said.conclusion}. {why}."
    return True, f"{why}, as you say."


def loads(handed: Handed) -> Verdict:
    """Tell whether the adapter is whole, trained, the run's own, and fits its base."""
    from labs_lib.training.adapter.config import peft_config, read_config
    from labs_lib.training.adapter.tensors import check_finite, check_fits, weight_shapes

    run, folder = handed.run, handed.folder / ADAPTER_FOLDER
    base = _empty_base(run.recipe.model)
    try:
        config, shapes = read_config(folder), weight_shapes(folder)
        peft_config(config)
        check_fits(base, config, shapes)
        check_finite(folder)
    except LabError as error:
        return False, str(error).removeprefix("adapter: ")
    count = sum(_product(shape) for shape in shapes.values())
    if count != run.trainable_parameters:
        trained = run.trainable_parameters
        return False, f"It has {count:,} parameters, and the run trained {trained:,}."
    if _is_untrained(folder):
        return False, "Every matrix B is zero: this adapter was never trained."
    return True, f"{count:,} parameters, each in its place on {run.recipe.model}."


CRITERIA: dict[str, Callable[[Handed], Verdict]] = {
    "a choice, with its reason": chosen,
    "baselines": has_baselines,
    "an interval": has_interval,
    "held-out rows": held_out,
    "a conclusion that the rows bear out": honest,
    "a complete model card": has_card,
    "an adapter that loads": loads,
}
"""What is looked at, in order, and by which function."""


def _best(scores: list[Scores]) -> Scores:
    return max(scores, key=lambda each: each.mean)


def _told(scores: Scores) -> str:
    return f"{scores.name} with {scores.mean:.0%} of {len(scores.values)} rows ({scores.metric})"


def _base_in(card: Path) -> list[str]:
    """Return the base models that a card's metadata names."""
    from huggingface_hub import ModelCard

    data: Any = ModelCard(card.read_text(encoding="utf-8")).data
    named = data.base_model
    return [str(each) for each in named] if isinstance(named, list) else [str(named)]


def _last_part(name: str) -> str:
    return re.split(r"[/\\]", name)[-1].casefold()


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _asked(row: Row) -> str:
    """Return what a row asks, the same for two that differ in case and white space alone."""
    return " ".join(json.dumps(row.prompt_messages(), ensure_ascii=False).casefold().split())


def _entities(rows: Any, field: str) -> set[str]:
    found: set[str] = set()
    for row in rows:
        value = row.meta.get(field)
        values = value if isinstance(value, (list, tuple)) else [value]
        found |= {str(each) for each in values if each not in (None, "")}
    return found


def _empty_base(name: str) -> Any:
    """Return the base model without its weights; `LabError` where it is not to be had here."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from labs_lib import models

    if models.find(name):
        config = models.config_of(name)
    else:
        source = models.locate(name)
        if not source.local:
            raise LabError(f"the base model {name} is not on this machine")
        config = AutoConfig.from_pretrained(source.location, local_files_only=True)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for each in shape:
        size *= each
    return size


def _is_untrained(folder: Any) -> bool:
    """Return whether the adapter has matrices B, and all of them are zero."""
    from safetensors import safe_open

    from labs_lib.training.adapter.config import WEIGHTS_FILE

    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        names = [name for name in file.keys() if "lora_B" in name]  # noqa: SIM118
        return bool(names) and not any(file.get_tensor(name).any() for name in names)

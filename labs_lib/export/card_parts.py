"""What a run's record says, as the parts of a model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.export.weights import hub_name
from labs_lib.models import BUNDLED_NAME, BUNDLED_PROVENANCE, find
from labs_lib.step.methods import METHODS
from labs_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

    from labs_lib.training.run import Run

MISSING = "[More Information Needed]"
"""What Hugging Face's own template says where something is missing."""

# What the hub calls licences that it does not know by their SPDX names.
_HUB_LICENCES = {"Llama 2 Community License": "llama2", "Llama 3 Community License": "llama3"}


def card_parts(
    run: Run,
    intervals: Mapping[str, tuple[float, float]],
    baseline: Mapping[str, float],
    licence: str | None,
    data_licence: str | None,
    language: str | None,
) -> dict[str, Any]:
    """Return what the card's template asks for, apart from a person's own sentences."""
    recipe = run.recipe
    base, data = base_name(recipe.model), _named(recipe.dataset)
    what = "model" if recipe.trains_all else "adapter"
    kind = METHODS[recipe.method].title
    return {
        "card_data": _metadata(run, licence, language),
        "name": recipe.name,
        "summary": f"A {kind} {what} for `{base}`, fine-tuned on `{data}`.",
        "remarks": list(_remarks(run)),
        "code": _code(recipe, base),
        "data": _data(run, data, data_licence),
        "recipe": _table(("field", "value"), _recipe_rows(recipe)),
        "scores": _scores(run, intervals, baseline),
        "measured": _table(("", "measured"), _measured(run)),
        "versions": ", ".join(f"{name} {number}" for name, number in run.versions.items()),
        "hardware": f"{run.hardware.get('device_name')} ({run.hardware.get('precision')})",
        "finished": run.finished_utc,
    }


def base_name(model: str) -> str:
    """Return the base model's name for a stranger: the hub's, or the last part of a path."""
    return hub_name(model) if _is_on_hub(model) else Path(model).name


def _is_on_hub(model: str) -> bool:
    return find(model) is not None or (model.count("/") == 1 and not Path(model).exists())


def _named(dataset: str) -> str:
    """Return a data set's name without the folders of this machine."""
    path = Path(dataset)
    return path.name if path.is_absolute() or path.exists() else dataset


def _metadata(run: Run, licence: str | None, language: str | None) -> ModelCardData:
    """Return the metadata of the hub's specification, only what a hub can resolve."""
    from huggingface_hub import EvalResult, ModelCardData

    recipe, data = run.recipe, _named(run.recipe.dataset)
    known = find(recipe.model)
    named = licence or (known.licence if known else None)
    fields: dict[str, Any] = {} if named is None else _licence(named)
    if _is_on_hub(recipe.model):
        fields["base_model"] = hub_name(recipe.model)
    results = [
        EvalResult("text-generation", data, data, metric, round(share, 4), dataset_split="test")
        for metric, share in (run.after.rates() if run.after.prompts else {}).items()
    ]
    return ModelCardData(
        language=language,
        library_name="transformers" if recipe.trains_all else "peft",
        pipeline_tag="text-generation",
        tags=[recipe.method, "lora-lab"],
        model_name=recipe.name,
        eval_results=results or None,
        **fields,
    )


def _licence(name: str) -> dict[str, str]:
    """Return the metadata for a licence: the hub's name, or "other" and the name in full."""
    if name in _HUB_LICENCES:
        return {"license": _HUB_LICENCES[name]}
    if " " not in name:
        return {"license": name.lower()}
    return {"license": "other", "license_name": name}


def _remarks(run: Run) -> Iterable[str]:
    """Yield the limitations that the record itself tells."""
    recipe = run.recipe
    if recipe.quantizes:
        yield (
            f"Trained on a base in {recipe.quantization}; on the base in 16 bits its answers can "
            "differ slightly."
        )
    if recipe.model == BUNDLED_NAME:
        yield f"Its base: {BUNDLED_PROVENANCE}"
    if count := len(run.after.prompts):
        yield f"Scored on {count} held-out rows of its own data set and on no other task."
    else:
        yield "Not scored on held-out rows."


def _code(recipe: Recipe, base: str) -> str:
    if recipe.trains_all:
        return (
            "from transformers import AutoModelForCausalLM\n\n"
            'model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")'
        )
    return (
        "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{base}")\n'
        'model = PeftModel.from_pretrained(base, "path/to/this/folder")'
    )


def _data(run: Run, name: str, licence: str | None) -> str:
    from labs_lib import data

    card = data.card(name) if name in data.SETS else {}
    licence = licence or card.get("licence") or f"{MISSING} (`data_licence`)"
    lines = [f"`{name}`. {' '.join(str(card.get('about', '')).split())}".strip(), ""]
    lines += [f"- Licence of the data: {licence}"]
    lines += [
        f"- {split} rows: {counts['used']}"
        for split, counts in run.rows.items()
        if isinstance(counts, dict)
    ]
    lines += [f"- held-out rows asked: {len(run.after.prompts)}"]
    lines += [f"- SHA-256 of all rows: `{run.data_fingerprint}`"]
    return "\n".join(lines)


def _recipe_rows(recipe: Recipe) -> Iterable[tuple[str, Any]]:
    """Yield the fields that decided the result, a path by its last part."""
    shown = {"model": base_name(recipe.model), "dataset": _named(recipe.dataset)}
    unused = {"name"} if recipe.quantizes else {"name", "quantization", "double_quantization"}
    if recipe.trains_all:
        unused |= {"rank", "alpha", "dropout", "rslora", "target_modules"}
    for field, value in recipe.model_dump().items():
        if value is not None and field not in unused:
            yield f"`{field}`", shown.get(field, value)


def _measured(run: Run) -> Iterable[tuple[str, str]]:
    """Yield what a run says of itself, but for its scores, and its base, which may be a path."""
    elsewhere = {"method", "score", *(metric.replace("_", " ") for metric in run.after.passed)}
    return (line for line in run.table() if line[0] not in elsewhere)


def _scores(
    run: Run, intervals: Mapping[str, tuple[float, float]], baseline: Mapping[str, float]
) -> str:
    count = len(run.after.prompts)
    if not count:
        return "Not scored: no held-out row was asked."
    rows = []
    for metric, score in run.scores().items():
        low_high = intervals.get(metric)
        rows.append(
            (
                metric.replace("_", " "),
                _share(score["before"]),
                _share(baseline.get(metric)),
                _share(score["after"]),
                f"{low_high[0]:.1%} to {low_high[1]:.1%}" if low_high else "",
                count,
            )
        )
    head = ("metric", "base model", "baseline", "fine-tuned", "interval", "held-out rows")
    kept = [index for index in range(len(head)) if any(row[index] != "" for row in rows)]
    loss = run.after.loss
    said = "" if loss is None else f"\n\nHeld-out loss: {loss:.3f} nats per token."
    return _table([head[i] for i in kept], [[row[i] for i in kept] for row in rows]) + said


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )

"""A model card in Hugging Face's format, filled from a run's own record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs_lib.errors import LabError, choice_error, last_line
from labs_lib.export.card_parts import MISSING, card_parts
from labs_lib.export.weights import CARD_FILE
from labs_lib.files import expanded, write_text
from labs_lib.training.run import Run

TEMPLATE = Path(__file__).with_name("card_template.md")
# Field → the heading that it stands under.
_SECTIONS = {
    "use": "Direct Use",
    "not_for": "Out-of-Scope Use",
    "limitations": "Bias, Risks, and Limitations",
}
# Field → the card's metadata that holds it.
_METADATA = {"licence": "license", "language": "language", "base_model": "base_model"}
_LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")


def write_card(
    run_folder: str | Path,
    out: str | Path | None = None,
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    baseline: Mapping[str, float] | None = None,
    licence: str | None = None,
    data_licence: str | None = None,
    language: str | None = None,
    use: str | None = None,
    not_for: str | None = None,
    limitations: str | None = None,
    replace: bool = False,
) -> Path:
    """Write the model card of a finished run to `README.md` in `out`; returns its path.

    `out` is a folder, by default the run's own. Base model, data set, method, recipe, scores with
    the number of held-out rows, forecast and measured peak come from `run.json`. `intervals` maps a
    metric to the ends of its confidence interval and `baseline` to the score of the baseline, both
    as shares from 0 to 1. `licence` is the adapter's, by default the base model's where the
    catalogue knows it; `data_licence` is asked for only where the data set has no card.
    `language` is an ISO 639 code such as "en". `use`, `not_for` and `limitations` are a person's
    own sentences: what is not given is marked in the card, and `unwritten` names it.

    Raises `LabError` for a folder without a finished run, a metric that the run has not, a share
    outside of 0 to 1, an interval that the run's score is not in, and for a card that is there
    already with another text, unless `replace`.
    """
    run = Run.load(run_folder)
    _check_shares(run, intervals or {}, baseline or {})
    if language is not None and not _LANGUAGE.fullmatch(language):
        raise LabError(f"language: {language!r} is no ISO 639 code such as en, es or sw")
    written = {"use": use, "not_for": not_for, "limitations": limitations}
    parts = card_parts(run, intervals or {}, baseline or {}, licence, data_licence, language)
    parts |= {name: (text or "").strip() or MISSING for name, text in written.items()}
    from huggingface_hub import ModelCard

    card = ModelCard.from_template(template_path=str(TEMPLATE), **parts)
    file = expanded(out or run.folder) / CARD_FILE
    text = card.content.rstrip() + "\n"
    if file.is_file() and not replace and file.read_bytes() != text.encode():
        raise LabError(
            f"card: {file} is there already and says something else; move it, or have it replaced "
            "(replace=True)"
        )
    write_text(file, text)
    return file


def unwritten(card: str | Path) -> tuple[str, ...]:
    """Return the names of the fields that a person must still write in a card; empty when complete.

    `card` is the card's file or its folder. A field is missing where its section is not there, is
    empty or is still marked, and where its metadata is. Raises `LabError` for a missing file, and
    for one whose metadata Hugging Face's `ModelCard` cannot read. Nothing is asked of a hub.
    """
    file = expanded(card)
    file = file / CARD_FILE if file.is_dir() else file
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"card: cannot read {file}: {last_line(error)}") from None
    metadata, body = _read(file, text)
    sections = _sections(body)
    missing = [name for name, key in _METADATA.items() if not metadata.get(key)]
    for name, heading in _SECTIONS.items():
        said = sections.pop(heading, "")
        if not said or MISSING in said:
            missing.append(name)
    marked = re.compile(rf"{re.escape(MISSING)} \(`(\w+)`\)")
    for heading, said in sections.items():
        if MISSING in said:
            missing.extend(marked.findall(said) or [heading])
    return tuple(dict.fromkeys(missing))


def _read(file: Path, text: str) -> tuple[dict[str, Any], str]:
    """Return a card's metadata and the text below it."""
    import yaml
    from huggingface_hub import ModelCard

    try:
        card = ModelCard(text)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise LabError(f"card: the metadata of {file} cannot be read: {last_line(error)}") from None
    return card.data.to_dict(), card.text


def _sections(text: str) -> dict[str, str]:
    """Return heading → the text under it, up to the next heading of any level."""
    parts = re.split(r"^#{1,6} +(.+?) *$", re.sub(r"<!--.*?-->", "", text, flags=re.S), flags=re.M)
    return {heading: said.strip() for heading, said in zip(parts[1::2], parts[2::2], strict=True)}


def _check_shares(
    run: Run, intervals: Mapping[str, tuple[float, float]], baseline: Mapping[str, float]
) -> None:
    for field, given in (("intervals", intervals), ("baseline", baseline)):
        for metric in given:
            if metric not in run.after.passed:
                raise choice_error(field, metric, run.after.passed)
    for metric, share in baseline.items():
        if not 0 <= share <= 1:
            raise LabError(f"baseline: {metric}: {share} is no share; legal: 0 to 1")
    for metric, (low, high) in intervals.items():
        score = run.after.rate(metric)
        if not 0 <= low <= score <= high <= 1:
            raise LabError(
                f"intervals: {metric}: ({low}, {high}) is no interval from 0 to 1 around this "
                f"run's score, {score:.3f}"
            )

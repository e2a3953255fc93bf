"""The course's own small instruction sets, and how to bring your own."""

from labs_lib.data.bundled import SETS, card, general_text, load_set, scorers
from labs_lib.data.own import (
    Advice,
    Look,
    OwnData,
    look,
    read_own,
    save_data_set,
    split_by_entity,
    starter,
    starter_card,
    starters,
)
from labs_lib.data.readers import from_csv, from_hub_or_local, from_jsonl
from labs_lib.data.rows import DataSet, Row, to_hf, to_jsonl
from labs_lib.data.scoring import (
    exact_match,
    exactly_right,
    fact_right,
    in_voice,
    parsed_json,
    valid_json,
    voice_marks,
)
from labs_lib.data.sources import resolve
from labs_lib.data.texts import TEXTS, load_text, longest_copy
from labs_lib.data.token_row import TokenRow

__all__ = [
    "SETS",
    "TEXTS",
    "Advice",
    "DataSet",
    "Look",
    "OwnData",
    "Row",
    "TokenRow",
    "card",
    "exact_match",
    "exactly_right",
    "fact_right",
    "from_csv",
    "from_hub_or_local",
    "from_jsonl",
    "general_text",
    "in_voice",
    "load_set",
    "load_text",
    "longest_copy",
    "look",
    "parsed_json",
    "read_own",
    "resolve",
    "save_data_set",
    "scorers",
    "split_by_entity",
    "starter",
    "starter_card",
    "starters",
    "to_hf",
    "to_jsonl",
    "valid_json",
    "voice_marks",
]

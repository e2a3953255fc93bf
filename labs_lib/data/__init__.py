"""The course's own small instruction sets, and how to bring your own."""

from labs_lib.data.bundled import SETS, card, general_text, load_set, scorers
from labs_lib.data.loss_view import (
    END_MARKS,
    LossView,
    RowTokens,
    loss_view,
    plain_tokens,
    templated_tokens,
)
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
    "END_MARKS",
    "SETS",
    "TEXTS",
    "Advice",
    "DataSet",
    "Look",
    "LossView",
    "OwnData",
    "Row",
    "RowTokens",
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
    "loss_view",
    "parsed_json",
    "plain_tokens",
    "read_own",
    "resolve",
    "save_data_set",
    "scorers",
    "split_by_entity",
    "starter",
    "starter_card",
    "starters",
    "templated_tokens",
    "to_hf",
    "to_jsonl",
    "valid_json",
    "voice_marks",
]

"""From a student's own file to a data set that one can trust: read it, look at it, split it."""

from labs_lib.data.own.advice import Advice
from labs_lib.data.own.looking import Look, look
from labs_lib.data.own.reading import OwnData, read_own
from labs_lib.data.own.saving import save_data_set
from labs_lib.data.own.splitting import split_by_entity
from labs_lib.data.own.starter_sets import starter, starter_card, starters

__all__ = [
    "Advice",
    "Look",
    "OwnData",
    "look",
    "read_own",
    "save_data_set",
    "split_by_entity",
    "starter",
    "starter_card",
    "starters",
]

"""The catalogue of architectures, and loading a model: bundled, local or from a hub."""

from labs_lib.models.bundled import BUNDLED_NAME, BUNDLED_PROVENANCE, prepare_bundled
from labs_lib.models.catalogue import Entry, LinearShape, catalogue, config_of, entry, find
from labs_lib.models.loading import load, load_model, load_tokenizer, locate
from labs_lib.models.targets import resolve_targets

__all__ = [
    "BUNDLED_NAME",
    "BUNDLED_PROVENANCE",
    "Entry",
    "LinearShape",
    "catalogue",
    "config_of",
    "entry",
    "find",
    "load",
    "load_model",
    "load_tokenizer",
    "locate",
    "prepare_bundled",
    "resolve_targets",
]

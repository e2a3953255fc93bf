"""The catalogue of architectures, and loading a model: bundled, local or from a hub."""

from labs_lib.models.bundled import BUNDLED_NAME, BUNDLED_PROVENANCE, prepare_bundled
from labs_lib.models.catalogue import Entry, LinearShape, catalogue, config_of, entry
from labs_lib.models.loading import load, load_model, load_tokenizer
from labs_lib.models.targets import resolve_targets

__all__ = [
    "BUNDLED_NAME",
    "BUNDLED_PROVENANCE",
    "Entry",
    "LinearShape",
    "catalogue",
    "config_of",
    "entry",
    "load",
    "load_model",
    "load_tokenizer",
    "prepare_bundled",
    "resolve_targets",
]

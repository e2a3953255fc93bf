"""Keep libraries from printing what a student cannot act on, for the time of a run."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Loggers that announce things which are normal here: no hub, a CPU, a chat model's own settings.
CHATTY = (
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "bitsandbytes",
    "huggingface_hub",
)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence progress bars and notices below errors inside the block, and put all back after."""
    import datasets
    import transformers

    levels = {name: logging.getLogger(name).level for name in CHATTY}
    bars = datasets.are_progress_bars_disabled()
    bars_transformers = transformers.utils.logging.is_progress_bar_enabled()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if not bars:
            datasets.enable_progress_bars()
        if bars_transformers:
            transformers.utils.logging.enable_progress_bar()

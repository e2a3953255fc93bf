"""Messages that would make a student look for a fault where there is none, kept off for good.

On a CPU with bf16 instructions bitsandbytes asks a model hub for an optional kernel as it is
imported, and logs that it could not.  PEFT and transformers import bitsandbytes themselves, so any
cell or verb may be the first to do so; `import labs_lib` comes before all of them.  The kernel that
is built in does the work: `labs doctor` says so.

PEFT calls two methods of transformers by their old names, which still work; only PEFT can change
that.  For good, and not around a call: a list of filters that is put back belongs to all threads at
once, and the libraries load in one of their own while cells run.
"""

from __future__ import annotations

import logging
import re
import warnings

LOGGER = "bitsandbytes.backends.cpu.ops"
BEGINNING = "Failed to load CPU gemm_4bit_forward from kernels-community"


OLD_NAMES = (
    "`gradient_checkpointing_enable` is deprecated",
    "`is_gradient_checkpointing` is deprecated",
)


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Return False for the one message; everything else passes."""
    return not str(record.msg).startswith(BEGINNING)


def keep_off() -> None:
    """Filter these messages; the logger's level, and all other messages, stay as they are."""
    logging.getLogger(LOGGER).addFilter(is_worth_saying)
    for name in OLD_NAMES:
        warnings.filterwarnings("ignore", message=re.escape(name), category=FutureWarning)

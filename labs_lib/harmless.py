"""One message that would make a student look for a fault where there is none, kept off for good.

On a CPU with bf16 instructions bitsandbytes asks a model hub for an optional kernel as it is
imported, and logs that it could not.  PEFT and transformers import bitsandbytes themselves, so any
cell or verb may be the first to do so; `import labs_lib` comes before all of them.  The kernel that
is built in does the work: `labs doctor` says so.
"""

from __future__ import annotations

import logging

LOGGER = "bitsandbytes.backends.cpu.ops"
BEGINNING = "Failed to load CPU gemm_4bit_forward from kernels-community"


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Return False for the one message; everything else passes."""
    return not str(record.msg).startswith(BEGINNING)


def keep_off() -> None:
    """Filter the message; the logger's level and what else it says stay as they are."""
    logging.getLogger(LOGGER).addFilter(is_worth_saying)

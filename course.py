#!/usr/bin/env python3
"""Set up LoRA Lab on this machine and open it: setup, start, lesson, demo, test, notebooks.

It needs only Python 3.10 or newer.  Everything that it installs goes into `.venv`, in the folder of
this file; finished steps are not repeated.  Its code is in `tools/launcher`.
"""

import os
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - says so on a Python that can only parse this file
    sys.stderr.write(
        "course.py: this is Python %d.%d; LoRA Lab needs Python 3.10 or newer "  # noqa: UP031
        "(3.11 is what it is tested on)\n" % sys.version_info[:2]
    )
    sys.exit(2)

# Python puts this folder there itself, unless it was called with -P.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120

from tools.launcher.command_line import main
from tools.launcher.stopping import end_in_order
from tools.launcher.terminal import print_anything

if __name__ == "__main__":
    print_anything()
    end_in_order()
    sys.exit(main(sys.argv[1:]))

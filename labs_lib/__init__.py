"""LoRA Lab's helper package: the notebooks teach, these rooms carry.

Importing it loads none of the heavy libraries; each room brings its own when it is used.
"""

from labs_lib.allotment import prepare_threads
from labs_lib.harmless import keep_off

__version__ = "0.1.0"  # here alone: the package's metadata and `labs --version` read it

keep_off()
prepare_threads()

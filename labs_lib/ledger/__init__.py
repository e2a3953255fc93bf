"""What is said about LoRA and QLoRA, ruled: each claim with its figure, its check and its source.

The claims are `claims/TOPIC.yaml`; `claim("memory.only-adapter")` shows one, `claims()` lists them,
`evidence` computes a claim's figure anew.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

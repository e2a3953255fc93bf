"""What this machine can do: device, precision, memory."""

from __future__ import annotations

import functools
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from labs_lib import allotment


@dataclass(frozen=True)
class Hardware:
    """What training has of this machine; memory in bytes.

    `precision` is the fastest one this machine trains well in: "bf16" or "fp32". `cores` and
    `memory_bytes` are what this process may use, a part of a core counting as one;
    `cores_limited_by` and `memory_limited_by` name the setting that says so. `threads` is how many
    torch computes with.
    """

    device: str
    device_name: str
    precision: str
    cores: int
    memory_bytes: int
    device_memory_bytes: int
    system: str
    threads: int
    cores_limited_by: str
    memory_limited_by: str

    def as_dict(self) -> dict[str, object]:
        """Return the fields as plain values, for `run.json`."""
        return asdict(self)


@functools.cache
def detect() -> Hardware:
    """Look once at this machine: CUDA before Apple MPS before the CPU."""
    import torch

    cores, memory = allotment.threads(), memory_limit()
    memory_bytes = int(memory.amount)
    device, name, device_memory_bytes = "cpu", cpu_name(), memory_bytes
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        device, name, device_memory_bytes = "cuda", properties.name, properties.total_memory
        # A T4 or a V100 takes bf16 tensors too, and emulates their products.
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if bf16 else "fp32"
    elif torch.backends.mps.is_available():
        device, name, precision = "mps", "Apple GPU", "fp32"
    else:
        precision = "bf16" if cpu_multiplies_bf16() else "fp32"
    return Hardware(
        device=device,
        device_name=name,
        precision=precision,
        cores=int(cores.amount),
        memory_bytes=memory_bytes,
        device_memory_bytes=device_memory_bytes,
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        threads=torch.get_num_threads(),
        cores_limited_by=cores.setting,
        memory_limited_by=memory.setting,
    )


def memory_limit() -> allotment.Limit:
    """Return the memory that this process may use, in bytes, and the setting that says so."""
    import psutil

    machine = allotment.Limit(psutil.virtual_memory().total, "the machine's memory")
    return allotment.tightest([machine, *allotment.memory_limits()])


def cpu_multiplies_bf16() -> bool:
    """Return whether the CPU has bf16 matrix instructions, so that bf16 is faster than fp32."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))


def cpu_name() -> str:
    """Return the processor's name, as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
